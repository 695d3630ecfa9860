//! Where values come from: defaults, the profile, a file, the environment, the command line. Later ones win.

use std::{fs, path::Path};

use config::{ConfigError as LibraryError, FileFormat, Map, Source, Value, ValueKind};

use crate::config::{
    error::Problem,
    setting::{Profile, Setting},
    table::TABLE,
};

/// What is added to a secret's key to name a file that holds it.
const FILE_SUFFIX: &str = "_file";
/// The longest configuration or secret that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The settings that one source gives, each with the source's name as its origin.
#[derive(Clone, Debug, Default)]
pub struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, LibraryError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// Every setting's default.
    pub fn defaults() -> Self {
        let mut layer = Self::default();
        for setting in TABLE {
            layer.put(setting, "default".into(), setting.default);
        }
        layer
    }

    /// The defaults that a profile has of its own.
    pub fn profile(profile: Profile) -> Self {
        let mut layer = Self::default();
        for setting in TABLE {
            if let (value, true) = setting.default_under(profile) {
                layer.put(setting, format!("profile {}", profile.as_str()), value);
            }
        }
        layer
    }

    /// What a TOML file says. A key that is no setting is a problem.
    pub fn file(path: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let origin = path.display().to_string();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(Problem::Unreadable { what: "the configuration file".into(), path: origin, error });
                return layer;
            }
        };
        let source = config::File::from_str(&text, FileFormat::Toml);
        let values = match source.collect() {
            Ok(values) => values,
            Err(error) => {
                let error = match error {
                    LibraryError::FileParse { cause, .. } => cause.to_string(),
                    other => other.to_string(),
                };
                problems.push(Problem::Malformed { path: origin, error: error.trim().into() });
                return layer;
            }
        };
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, value) in values {
            match text_of(value.kind) {
                Some(text) => layer.take(&key, &origin, &key, text, problems),
                // A table, or an array of what is not plain: no setting has such a value.
                None => problems.push(Problem::Structured { key, origin: origin.clone() }),
            }
        }
        layer
    }

    /// What the environment says; other variables than settings are left alone. An empty one counts as unset.
    pub fn environment(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let key = name.to_ascii_lowercase();
            if key.to_ascii_uppercase() == *name && is_known(&key) {
                layer.take(&key, &format!("environment variable {name}"), name, value.clone(), problems);
            }
        }
        layer
    }

    /// What the command line says: keys and values, with the flag that each came by.
    pub fn command_line(flags: &[Flag], problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        for Flag { flag, key, value } in flags {
            if TABLE.iter().any(|setting| setting.secret && setting.key == key) {
                problems.push(Problem::SecretOnCommandLine { key: key.clone() });
            } else {
                layer.take(key, flag, key, value.clone(), problems);
            }
        }
        layer
    }

    /// The text of a key in this layer.
    pub fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(|value| text_of(value.kind.clone()))
    }

    /// Takes one setting under its key, or a secret's file under that with the suffix. `name` is what it was
    /// called by.
    fn take(&mut self, key: &str, origin: &str, name: &str, text: String, problems: &mut Vec<Problem>) {
        if let Some(setting) = find(key) {
            if setting.secret && self.0.contains_key(setting.key) {
                problems.push(Problem::SecretTwice { key: setting.key, origin: origin.into() });
            }
            self.put(setting, origin.into(), text);
            return;
        }
        let Some(setting) = secret_of(key) else {
            problems.push(Problem::Unknown { key: key.into(), origin: origin.into(), nearest: nearest(key) });
            return;
        };
        if self.0.contains_key(setting.key) {
            problems.push(Problem::SecretTwice { key: setting.key, origin: origin.into() });
        }
        match read(Path::new(&text)) {
            Ok(secret) => self.put(setting, format!("file {text} ({name})"), secret.trim_end()),
            Err(error) => problems.push(Problem::Unreadable { what: format!("{name}'s file"), path: text, error }),
        }
    }

    fn put(&mut self, setting: &Setting, origin: String, text: impl Into<String>) {
        let value = Value::new(Some(&origin), ValueKind::String(text.into()));
        self.0.insert(setting.key.into(), value);
    }
}

/// One setting of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag it came by, for messages: `--port`.
    pub flag: String,
    /// The setting's key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Names in the environment that are no settings, but so near to one of several words that they are likely meant
/// for it: each with that one's name.
pub fn likely_misspelt(variables: &[(String, String)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, _) in variables {
        let key = name.to_ascii_lowercase();
        if !name.contains('_') || key.to_ascii_uppercase() != *name || is_known(&key) {
            continue;
        }
        let near = nearest(&key);
        // Short names have too many neighbours that mean something else.
        if near.len() >= 8 && near.contains('_') && strsim::damerau_levenshtein(&key, near) <= 2 {
            found.push((name.clone(), near.to_ascii_uppercase()));
        }
    }
    found
}

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}

/// The known key that is nearest to this one. A common beginning weighs most: names are more often cut short than
/// begun wrong.
pub fn nearest(key: &str) -> &'static str {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let likeness = |setting: &Setting| strsim::jaro_winkler(&key, setting.key);
    let nearest = TABLE.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.map_or("", |setting| setting.key)
}

fn is_known(key: &str) -> bool {
    find(key).is_some() || secret_of(key).is_some()
}

/// The secret that a key with the suffix names a file of.
fn secret_of(key: &str) -> Option<&'static Setting> {
    key.strip_suffix(FILE_SUFFIX).and_then(find).filter(|setting| setting.secret)
}

fn read(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("it is longer than {MAX_FILE_BYTES} bytes"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A plain value as text, a list's elements separated by commas; `None` for what has structure.
fn text_of(kind: ValueKind) -> Option<String> {
    match kind {
        ValueKind::Table(_) => None,
        ValueKind::Array(values) => {
            let elements: Option<Vec<_>> = values
                .into_iter()
                .map(|value| match value.kind {
                    ValueKind::Array(_) | ValueKind::Table(_) => None,
                    plain => Some(plain.to_string()),
                })
                .collect();
            elements.map(|elements| elements.join(","))
        }
        plain => Some(plain.to_string()),
    }
}
