//! What a setting is: its row in the table, and the types its value may have.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::domain::bucket::Rate;

/// One row of the table of settings.
#[derive(Debug)]
pub struct Setting {
    /// Its name in a file; in capitals its name in the environment.
    pub key: &'static str,
    /// What it does, with the unit and what its special values mean.
    pub doc: &'static str,
    /// The part of the configuration that it belongs to.
    pub section: &'static str,
    /// Its value where nobody says otherwise, as text.
    pub default: &'static str,
    /// Defaults of single profiles.
    pub by_profile: &'static [(Profile, &'static str)],
    /// The numbers it may have, where it is one, in the unit of its key.
    pub range: RangeInclusive<u64>,
    /// Never printed; may be given as a file's path under the key with `_file` added.
    pub secret: bool,
    /// Reads a value's text and gives it back as TOML: `None` where it stands for no value, and else what was
    /// expected.
    pub to_toml: fn(&Setting, &str) -> Result<Option<String>, String>,
}

impl Setting {
    /// Its name in the environment.
    pub fn variable(&self) -> String {
        self.key.to_ascii_uppercase()
    }

    /// Its default under a profile, and whether it is the profile's own.
    pub fn default_under(&self, profile: Profile) -> (&'static str, bool) {
        let own = self.by_profile.iter().find(|(of, _)| *of == profile);
        own.map_or((self.default, false), |(_, value)| (value, true))
    }

    fn number(&self, text: &str, most: u64, what: &str) -> Result<u64, String> {
        let (least, most) = (*self.range.start(), most.min(*self.range.end()));
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("{what} from {least} to {most}"))
    }

    /// The unit of a duration, by the end of its key, in milliseconds.
    fn unit(&self) -> (&'static str, u64) {
        match self.key.rsplit('_').next() {
            Some("days") => ("days", 24 * 60 * 60 * 1000),
            Some("s") => ("seconds", 1000),
            _ => ("milliseconds", 1),
        }
    }
}

/// A type that a setting's value may have.
pub trait SettingType: Sized {
    /// Whether values of this type are secrets.
    const SECRET: bool = false;

    /// Reads a value; the error says what would have been one.
    fn parse(text: &str, setting: &Setting) -> Result<Self, String>;

    /// The value as TOML; `None` where it is none.
    fn to_toml(&self, setting: &Setting) -> Option<String>;
}

/// A named set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For work on one machine.
    #[default]
    Development,
    /// As production, for trying things out.
    Staging,
    /// For everyone to play on, behind TLS.
    Production,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),* }) => {
        impl $type {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in a configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl SettingType for $type {
            fn parse(text: &str, _: &Setting) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| one_of(Self::ALL.iter().map(|one| one.as_str())))
            }

            fn to_toml(&self, _: &Setting) -> Option<String> {
                Some(quoted(self.as_str()))
            }
        }
    };
}

words!(Profile { Development = "development", Staging = "staging", Production = "production" });
words!(LogFormat { Text = "text", Json = "json" });

macro_rules! numbers {
    ($($type:ident)*) => {
        $(impl SettingType for $type {
            fn parse(text: &str, setting: &Setting) -> Result<Self, String> {
                let number = setting.number(text, u64::try_from($type::MAX).unwrap_or(u64::MAX), "a whole number")?;
                Ok(number as $type)
            }

            fn to_toml(&self, _: &Setting) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

numbers!(u16 u32 u64 usize);

/// A number, or `auto`: the server decides.
impl SettingType for Option<usize> {
    fn parse(text: &str, setting: &Setting) -> Result<Self, String> {
        match text {
            "auto" => Ok(None),
            number => usize::parse(number, setting).map(Some).map_err(|wanted| format!("`auto`, or {wanted}")),
        }
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(self.map_or_else(|| quoted("auto"), |number| number.to_string()))
    }
}

impl SettingType for Duration {
    fn parse(text: &str, setting: &Setting) -> Result<Self, String> {
        let (unit, unit_ms) = setting.unit();
        let number = setting.number(text, u64::MAX / unit_ms, &format!("a whole number of {unit}"))?;
        Ok(Duration::from_millis(number * unit_ms))
    }

    fn to_toml(&self, setting: &Setting) -> Option<String> {
        Some((self.as_millis() / u128::from(setting.unit().1)).to_string())
    }
}

impl SettingType for bool {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        text.parse().map_err(|_| one_of(["true", "false"].into_iter()))
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingType for IpAddr {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        text.parse().map_err(|_| "an IP address, such as 127.0.0.1 (this machine) or 0.0.0.0 (all networks)".into())
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// An address with its port, or `off`.
impl SettingType for Option<SocketAddr> {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        match text {
            "off" => Ok(None),
            address => {
                address.parse().map(Some).map_err(|_| "`off`, or an IP address and port, such as 127.0.0.1:9090".into())
            }
        }
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&self.map_or_else(|| "off".into(), |address| address.to_string())))
    }
}

impl SettingType for PathBuf {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        if text.is_empty() { Err("a path".into()) } else { Ok(text.into()) }
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

/// The name of a database: 1 to 38 letters, digits, `-` and `_`, which every server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseName(pub String);

impl SettingType for DatabaseName {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=38).contains(&text.len()) && text.chars().all(is_fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name of 1 to 38 letters, digits, `-` and `_`".into())
        }
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Networks, written as addresses or as `address/prefix`.
impl SettingType for Vec<IpNet> {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let network = |one: &str| {
            let parsed = one.parse::<IpNet>().ok().or_else(|| one.parse::<IpAddr>().ok().map(IpNet::from));
            parsed.ok_or_else(|| format!("addresses or networks such as 10.0.0.0/8, which `{one}` is not"))
        };
        elements(text).map(network).collect()
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(array(self))
    }
}

/// What each role may do, as a burst and in the long run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRates {
    /// Those without an account.
    pub guest: Rate,
    /// Those with one.
    pub member: Rate,
    /// Moderators and administrators.
    pub staff: Rate,
}

/// Three rates, for guests, members and staff, or one for all: `2/s burst 10`, `1/2s burst 5`, `unlimited`.
impl SettingType for RoleRates {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let rates: Option<Vec<_>> = elements(text).map(rate).collect();
        match rates.as_deref() {
            Some(&[all]) => Ok(Self { guest: all, member: all, staff: all }),
            Some(&[guest, member, staff]) => Ok(Self { guest, member, staff }),
            _ => Err("one rate for all, or three for guests, members and staff; a rate is written as `2/s burst 10`, \
                      `1/500ms burst 5` or `unlimited`"
                .into()),
        }
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        let Self { guest, member, staff } = self;
        let rates = if guest == member && member == staff { vec![guest] } else { vec![guest, member, staff] };
        Some(array(&rates.into_iter().map(rate_text).collect::<Vec<_>>()))
    }
}

/// A rate that is the same for everybody, and lets something happen.
impl SettingType for Rate {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let some = rate(text).filter(|rate| rate.capacity > 0 && rate.refill > 0);
        some.ok_or_else(|| "a rate above nothing, written as `2/s burst 10`, `1/500ms burst 5` or `unlimited`".into())
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&rate_text(self)))
    }
}

/// `2/s burst 10`: two a second in the long run, and ten at once.
fn rate(text: &str) -> Option<Rate> {
    if text == "unlimited" {
        return Some(Rate::UNLIMITED);
    }
    let (refill, rest) = text.split_once('/')?;
    let (period, burst) = rest.split_once(" burst ")?;
    let (number, unit_ms) = match period.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (period.strip_suffix('s')?, 1000),
    };
    let number: u32 = if number.is_empty() { 1 } else { number.parse().ok().filter(|number| *number > 0)? };
    let period_ms = number.checked_mul(unit_ms)?;
    Some(Rate { capacity: burst.trim().parse().ok()?, refill: refill.parse().ok()?, period_ms })
}

fn rate_text(rate: &Rate) -> String {
    if *rate == Rate::UNLIMITED {
        return "unlimited".into();
    }
    let Rate { capacity, refill, period_ms } = rate;
    let period = match period_ms {
        1000 => "s".into(),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    };
    format!("{refill}/{period} burst {capacity}")
}

/// A page's origin: scheme, host and, where it is not the scheme's own, port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SettingType for Vec<Origin> {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let origin = |one: &str| {
            let host = one.strip_prefix("https://").or_else(|| one.strip_prefix("http://"));
            match host {
                Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']) => {
                    Ok(Origin(one.to_ascii_lowercase()))
                }
                _ => Err(format!("origins such as https://piano.example, without a path, which `{one}` is not")),
            }
        };
        elements(text).map(origin).collect()
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(array(self))
    }
}

/// Which log lines are written, in the syntax of tracing's filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl SettingType for LogFilter {
    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        let wanted = |_| "a level (error, warn, info, debug, trace) or a filter such as info,pianorhythm_server=debug";
        EnvFilter::try_new(text).map_err(wanted)?;
        Ok(Self(text.to_owned()))
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A value that is printed nowhere, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// A secret; the empty text stands for none.
impl SettingType for Option<Secret> {
    const SECRET: bool = true;

    fn parse(text: &str, _: &Setting) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| Secret(text.to_owned())))
    }

    fn to_toml(&self, _: &Setting) -> Option<String> {
        self.as_ref().map(|_| quoted("********"))
    }
}

/// The elements of a list: separated by commas; `none` and the empty text have none.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |one| !one.is_empty() && text.trim() != "none")
}

fn array<T: fmt::Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(|value| quoted(&value.to_string())).collect();
    format!("[{}]", values.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}
