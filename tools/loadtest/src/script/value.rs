//! A value of a file as an argument of a command line.

use std::{
    error::Error as _,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction,
    error::{ContextKind, ContextValue},
};
use toml::Value;

/// Whether an argument is there or not, without a value.
pub fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// One argument. With its value behind a sign: whatever that is, it is no argument of its own.
pub fn word(name: &str, value: Option<&OsStr>) -> OsString {
    let mut word = OsString::from(format!("--{name}"));
    if let Some(value) = value {
        word.push("=");
        word.push(value);
    }
    word
}

/// What a value is on a command line; `None` where it has not the form that the argument takes.
pub fn words(arg: &Arg, value: &Value) -> Option<Vec<OsString>> {
    let name = crate::settings::name(arg);
    if is_flag(arg) {
        return value.as_bool().map(|is_on| if is_on { vec![word(name, None)] } else { Vec::new() });
    }
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    let scalars = match value {
        Value::Array(values) if is_list => &values[..],
        value => std::slice::from_ref(value),
    };
    scalars.iter().map(|value| Some(word(name, Some(text(value)?.as_ref())))).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// What an argument takes, and what it is for, in words.
pub fn takes(arg: &Arg) -> String {
    let what = if is_flag(arg) {
        "true or false".into()
    } else {
        let names = arg.get_value_names().into_iter().flatten().map(|name| name.as_str());
        let one = names.collect::<Vec<_>>().join(" ");
        if matches!(arg.get_action(), ArgAction::Append) { format!("a list of {one}") } else { one }
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if default.is_empty() || is_flag(arg) { String::new() } else { format!(" [{}]", default.join(", ")) };
    format!("{what}: {help}{default}")
}

/// Why a value was refused, in a few words.
pub fn why(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(right)) = error.get(ContextKind::ValidValue)
        && !right.is_empty()
    {
        return format!("it is none of {}", right.join(", "));
    }
    match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}
