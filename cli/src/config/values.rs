//! Values and what is wrong with them.

use std::path::{Path, PathBuf};

use proveil::core::wire::nearest;
use proveil::{BaseUrl, Policy, Provider};

use super::keys::{Kind, resolved};
use super::origin::redacted;

/// A value as a file or variable has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Switch(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

/// A value that fits its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Switch(bool),
    Number(u64),
    Text(String),
    Path(PathBuf),
    List(Vec<String>),
}

impl Value {
    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Switch(on) => on.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => redacted(text),
            Value::Path(path) => path.display().to_string(),
            Value::List(list) if list.is_empty() => "none".to_owned(),
            Value::List(list) => list.iter().map(|item| redacted(item)).collect::<Vec<_>>().join(", "),
        }
    }
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) expected: String,
    pub(super) found: String,
    /// A sentence.
    pub(super) advice: Option<String>,
}

impl Complaint {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Complaint {
        Complaint { expected: expected.into(), found: found.into(), advice: None }
    }

    fn near<'a>(mut self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Complaint {
        self.advice = nearest(name, candidates).map(|near| format!("Did you mean `{near}`?"));
        self
    }
}

/// The text of a variable.
pub(super) fn from_variable(kind: Kind, text: &str) -> Result<Raw, Complaint> {
    let refuse = || Complaint::new(kind.describe(), redacted(text));
    match kind {
        Kind::Switch => text.parse().map(Raw::Switch).map_err(|_| refuse()),
        Kind::Number { .. } if !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(refuse()),
        Kind::Number { .. } => text.parse().map(Raw::Number).map_err(|_| refuse()),
        _ if kind.is_list() => Ok(Raw::List(text.split(',').map(|item| item.trim().to_owned()).collect())),
        _ => Ok(Raw::Text(text.to_owned())),
    }
}

/// Checks a value; `base` is the directory that relative paths are seen from, if there may be any.
pub(super) fn check(kind: Kind, raw: Raw, base: Option<&Path>) -> Result<Value, Complaint> {
    match (kind, raw) {
        (Kind::Switch, Raw::Switch(on)) => Ok(Value::Switch(on)),
        (Kind::Number { min, max }, Raw::Number(number)) => {
            let refuse = || Complaint::new(kind.describe(), number.to_string());
            (min..=max).contains(&number).then_some(Value::Number(number)).ok_or_else(refuse)
        }
        (Kind::Providers | Kind::Hosts | Kind::Origins, Raw::List(list)) => {
            check_list(kind, &list)?;
            Ok(Value::List(list))
        }
        (_, Raw::Text(text)) => check_text(kind, text, base),
        (_, Raw::Switch(_)) => Err(Complaint::new(kind.describe(), "true or false")),
        (_, Raw::Number(_)) => Err(Complaint::new(kind.describe(), "a number")),
        (_, Raw::List(_)) => Err(Complaint::new(kind.describe(), "a list")),
    }
}

fn check_text(kind: Kind, text: String, base: Option<&Path>) -> Result<Value, Complaint> {
    let refuse = |text: &str| Complaint::new(kind.describe(), redacted(text));
    match kind {
        Kind::Path => path(&text, base).map(Value::Path),
        Kind::Policy => policy(text, base),
        Kind::Url if BaseUrl::parse(&text).is_err() => Err(refuse(&text)),
        Kind::Listen if text.parse::<std::net::SocketAddr>().is_err() => Err(refuse(&text)),
        Kind::OneOf(names) if !names.contains(&text.as_str()) => {
            Err(refuse(&text).near(&text, names.iter().copied()))
        }
        Kind::Url | Kind::Listen | Kind::OneOf(_) => Ok(Value::Text(text)),
        _ => Err(Complaint::new(kind.describe(), "a string")),
    }
}

fn path(text: &str, base: Option<&Path>) -> Result<PathBuf, Complaint> {
    // Standard input is for flags: a setting is used again and again.
    resolved(text, base).ok_or_else(|| Complaint::new("an absolute path", text))
}

/// A preset by its name, a file by its path: never one of the directory that the program happens to be started in.
fn policy(text: String, base: Option<&Path>) -> Result<Value, Complaint> {
    if Policy::preset(&text).is_some() {
        return Ok(Value::Text(text));
    }
    let refuse =
        || Complaint::new("a preset, or a file that exists", &text).near(&text, Policy::preset_names());
    let file = resolved(&text, base).filter(|file| file.is_file()).ok_or_else(refuse)?;
    let name = file.to_str().ok_or_else(refuse)?;
    Ok(Value::Text(name.to_owned()))
}

fn check_list(kind: Kind, list: &[String]) -> Result<(), Complaint> {
    if kind == Kind::Providers && list.is_empty() {
        return Err(Complaint::new("at least one provider", "none"));
    }
    list.iter().try_for_each(|item| match kind {
        Kind::Providers => {
            let names = || Provider::ALL.iter().map(|provider| provider.name());
            if names().any(|name| name == item) {
                return Ok(());
            }
            Err(Complaint::new(names().collect::<Vec<_>>().join(", "), item).near(item, names()))
        }
        Kind::Hosts if is_host(item) => Ok(()),
        Kind::Origins if is_origin(item) => Ok(()),
        _ => Err(Complaint::new(kind.describe(), redacted(item))),
    })
}

/// A name or address, perhaps with a port. No patterns: each name is said.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

fn is_origin(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(is_host))
}
