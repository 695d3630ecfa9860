//! A configuration as text that is also a file to start from.

use std::fmt::Write;

use crate::config::{Loaded, table::TABLE};

/// Every setting with its value and where that comes from: valid TOML, with the source as a comment.
///
/// What has no value, or may not be shown, stands there as a comment. `explain` puts what each setting does above it.
pub fn print(loaded: &Loaded, explain: bool) -> String {
    let lines: Vec<_> = TABLE.iter().map(|setting| (setting, line(loaded, setting.key))).collect();
    // Long values would push everyone's comment to the right.
    let width = lines.iter().map(|(_, (line, _))| line.len()).filter(|length| *length <= 60).max().unwrap_or(0);
    let mut out = String::new();
    let mut section = "";
    for (setting, (line, source)) in &lines {
        if setting.section != section {
            section = setting.section;
            let _ = writeln!(out, "{}# {section}", if out.is_empty() { "" } else { "\n" });
        }
        if explain {
            let _ = writeln!(out, "\n# {}", setting.doc);
        }
        let _ = writeln!(out, "{line:<width$}  # {source}");
    }
    out
}

/// A setting's line and the name of its source.
fn line(loaded: &Loaded, key: &str) -> (String, String) {
    let value = loaded.values.iter().find(|value| value.setting.key == key).expect("every setting has a value");
    let line = match (&value.toml, value.setting.secret) {
        (Some(toml), false) => format!("{key} = {toml}"),
        (Some(masked), true) => format!("# {key} = {masked}"),
        (None, _) => format!("# {key} ="),
    };
    // A path may hold anything; a comment ends at the line's end.
    (line, value.source.replace(|c: char| c.is_control(), " "))
}
