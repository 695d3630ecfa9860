//! Layer 5: the configuration. Read once from its layers, checked once, and then plain typed fields.
//!
//! [`TABLE`] is the one place that names settings: their keys, types, ranges, defaults and descriptions. From it
//! come the fields of [`Config`], what `print-config` prints, and which names are known. A key in a file and the
//! variable of that name in capitals are the same setting. Later layers win: defaults, the profile's defaults, the
//! file, the environment, the command line.

mod error;
mod layers;
mod parts;
mod print;
mod setting;
mod table;

use std::path::PathBuf;

use config::{Map, Source as _, Value};

use crate::config::layers::Layer;
pub use crate::config::{
    error::{ConfigError, Problem},
    layers::{Flag, find, nearest},
    print::print,
    setting::{DatabaseName, LogFilter, LogFormat, Origin, Profile, RoleRates, Secret, Setting, SettingType},
    table::*,
};

/// What a configuration is read from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Names and values of the environment.
    pub environment: Vec<(String, String)>,
    /// Settings of the command line.
    pub flags: Vec<Flag>,
}

/// A configuration with what there is to tell about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each setting's value and source, in the order of the table.
    pub values: Vec<SettingValue>,
    /// What is likely not meant so, in words.
    pub warnings: Vec<String>,
}

/// A setting's value for printing.
#[derive(Clone, Debug)]
pub struct SettingValue {
    /// Which setting.
    pub setting: &'static Setting,
    /// The value as TOML, secrets masked; `None` where there is none.
    pub toml: Option<String>,
    /// Where it comes from: `default`, `profile …`, a path, `environment variable …`, or a flag.
    pub source: String,
}

impl Default for Config {
    /// The defaults of the development profile.
    fn default() -> Self {
        load(&Sources::default()).expect("the defaults are valid").config
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// Everything that is wrong, not only the first thing.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let file = sources.file.as_deref().map(|path| Layer::file(path, &mut problems)).unwrap_or_default();
    let environment = Layer::environment(&sources.environment, &mut problems);
    let command_line = Layer::command_line(&sources.flags, &mut problems);

    // The profile decides about a layer below the one it is named in, so it is looked up first. A name that is
    // none is reported with the other values.
    let named = [&command_line, &environment, &file].into_iter().find_map(|layer| layer.get("profile"));
    let profile = named.and_then(|name| Profile::parse(&name, find("profile")?).ok()).unwrap_or_default();

    let merged = config::Config::builder()
        .add_source(Layer::defaults())
        .add_source(Layer::profile(profile))
        .add_source(file)
        .add_source(environment)
        .add_source(command_line)
        .build()
        .and_then(|merged| merged.collect())
        .expect("layers of plain text merge");

    let mut values = Values { merged, problems };
    let config = Config::read(&mut values);
    if let Some(config) = &config {
        config.check(&mut values);
    }
    let printed = TABLE.iter().map(|setting| values.printed(setting)).collect();
    match config {
        Some(config) if values.problems.is_empty() => {
            let warnings = warnings(&config, &sources.environment);
            Ok(Loaded { config, values: printed, warnings })
        }
        _ => Err(ConfigError { problems: values.problems }),
    }
}

fn warnings(config: &Config, environment: &[(String, String)]) -> Vec<String> {
    let misspelt = layers::likely_misspelt(environment);
    let mut warnings: Vec<_> = misspelt
        .into_iter()
        .map(|(name, near)| format!("the environment variable {name} is not a setting; is {near} meant?"))
        .collect();
    if config.server.profile == Profile::Production && !config.http.secure_cookies {
        warnings.push("secure_cookies is off under the production profile: cookies travel without TLS too".into());
    }
    if config.http.proxy_protocol && config.http.trusted_proxies.is_empty() {
        warnings.push("proxy_protocol is on and trusted_proxies is empty: no connection will have a header".into());
    }
    warnings
}

/// The merged layers while they are read into fields.
struct Values {
    merged: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Values {
    /// A setting's text and source.
    fn text(&self, key: &str) -> (String, String) {
        let value = self.merged.get(key).expect("the defaults have every key");
        (value.kind.to_string(), value.origin().unwrap_or("default").to_owned())
    }

    /// Reads a setting as its type; notes the problem where it is none.
    fn read<T: SettingType>(&mut self, setting: &'static Setting) -> Option<T> {
        let (text, origin) = self.text(setting.key);
        match T::parse(&text, setting) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.problems.push(Problem::Invalid { key: setting.key, value: text, origin, wanted });
                None
            }
        }
    }

    /// Notes that a setting's value does not go with another's.
    fn conflict(&mut self, key: &'static str, reason: String) {
        let (mut value, origin) = self.text(key);
        if find(key).is_some_and(|setting| setting.secret) {
            value = "********".into();
        }
        self.problems.push(Problem::Conflict { key, value, origin, reason });
    }

    fn printed(&self, setting: &'static Setting) -> SettingValue {
        let (text, source) = self.text(setting.key);
        SettingValue { setting, toml: (setting.to_toml)(setting, &text).unwrap_or_default(), source }
    }
}

#[cfg(test)]
mod tests;
