//! TOML to settings. Strict: whatever is not known is an error with its place and the nearest name that is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use proveil::core::wire::nearest;
use proveil::{Code, Error, Provider, Result};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, Key, Kind};
use super::load::Found;
use super::origin::Origin;
use super::values::{self, Complaint, Raw};

/// Aliases and what they stand for.
const ALIASES_MAX: usize = 1000;
const MODELS_MAX: usize = 32;

/// `[models]`: each alias with its models and its place.
pub(super) type Aliases = BTreeMap<String, (Vec<String>, Origin)>;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) settings: Vec<Found>,
    pub(super) aliases: Aliases,
}

/// Reads a file's text; `path` names it in errors, and relative paths in it are seen from its directory.
pub(super) fn parse(path: &Path, text: &str) -> Result<Parsed> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let reader = Reader { path, text, base: whole.parent().unwrap_or(Path::new("/")) };
    let document = DeTable::parse(text).map_err(|error| {
        let place = error.span().unwrap_or_default();
        reader.error(&place, "").context(sentence(error.message()))
    })?;
    let mut parsed = Parsed::default();
    for (name, value) in document.get_ref() {
        match name.get_ref().as_ref() {
            "proxy" => reader.section("proxy", &keys::proxy(), value, &mut parsed.settings)?,
            "provider" => reader.providers(value, &mut parsed.settings)?,
            "models" => parsed.aliases = reader.aliases(value)?,
            other => return Err(reader.unknown_section(name, other)),
        }
    }
    Ok(parsed)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    base: &'a Path,
}

type Name<'i> = Spanned<DeString<'i>>;
type Item<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn providers(&self, value: &Item<'_>, found: &mut Vec<Found>) -> Result<()> {
        for (name, section) in self.table("provider", value)? {
            let provider = Provider::parse(name.get_ref()).map_err(|error| {
                let near = nearest(name.get_ref(), Provider::ALL.iter().map(|it| it.name()));
                let wrong = self.error(&name.span(), &format!("provider.{}", name.get_ref()));
                let wrong = wrong.expected(error.expected_value().unwrap_or_default());
                match near {
                    Some(near) => wrong.context(format!("No such provider. Did you mean `{near}`?")),
                    None => wrong.context("No such provider."),
                }
            })?;
            let place = format!("provider.{}", provider.name());
            self.section(&place, &keys::of(provider), section, found)?;
        }
        Ok(())
    }

    fn section(&self, place: &str, keys: &[Key], value: &Item<'_>, found: &mut Vec<Found>) -> Result<()> {
        for (name, value) in self.table(place, value)? {
            let path = format!("{place}.{}", name.get_ref());
            let Some(key) = keys.iter().find(|key| key.name() == name.get_ref()) else {
                let names: Vec<&str> = keys.iter().map(Key::name).collect();
                let error = self.error(&name.span(), &path);
                return Err(match keys::why_not(name.get_ref(), keys) {
                    Some(why) => error.context(format!("There is no such key. {why}")),
                    None => error.context("There is no such key.").expected(names.join(", ")),
                });
            };
            let value = raw(key.kind(), value)
                .and_then(|raw| values::check(key.kind(), raw, Some(self.base)))
                .map_err(|complaint| self.complain(&value.span(), &path, complaint))?;
            found.push(Found { key: key.path(), value, origin: self.origin(&name.span()) });
        }
        Ok(())
    }

    fn aliases(&self, value: &Item<'_>) -> Result<Aliases> {
        let table = self.table("models", value)?;
        let mut aliases = Aliases::new();
        for (name, value) in table {
            let alias = name.get_ref().as_ref();
            let path = format!("models.{alias}");
            let wrong = |why: &str| self.error(&name.span(), &path).context(why.to_owned());
            if alias.is_empty() || !alias.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("An alias is a word of visible ASCII characters."));
            }
            if aliases.len() >= ALIASES_MAX {
                return Err(wrong("There are too many aliases."));
            }
            if split(alias).is_some() {
                return Err(wrong("An alias must not look like a model of a provider."));
            }
            let models = list(value).ok_or_else(|| {
                let found = kind_of(value.get_ref());
                self.complain(&value.span(), &path, Complaint::new("a list of `provider/model`", found))
            })?;
            if models.is_empty() || models.len() > MODELS_MAX {
                let complaint = Complaint::new(format!("1 to {MODELS_MAX} models"), models.len().to_string());
                return Err(self.complain(&value.span(), &path, complaint));
            }
            if let Some(bad) = models.iter().find(|model| split(model).is_none()) {
                return Err(self.complain(&value.span(), &path, not_a_model(bad)));
            }
            aliases.insert(alias.to_owned(), (models, self.origin(&name.span())));
        }
        Ok(aliases)
    }

    fn table<'v, 'i>(&self, place: &str, value: &'v Item<'i>) -> Result<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => Err(self.complain(&value.span(), place, Complaint::new("a table", kind_of(other)))),
        }
    }

    fn unknown_section(&self, name: &Name<'_>, text: &str) -> Error {
        let error = self.error(&name.span(), text);
        // A key of a section may have been written before the section's head.
        let keys = keys::all();
        if let Some(key) = keys.iter().find(|key| key.name() == text) {
            return error
                .context(format!("There is no such section. The key goes below `[{}]`.", key.section()));
        }
        if let Some(near) = nearest(text, ["proxy", "provider", "models"]) {
            return error.context(format!("There is no such section. Did you mean `{near}`?"));
        }
        match keys::why_not(text, &keys) {
            Some(why) => error.context(format!("There is no such section. {why}")),
            None => error.context("There is no such section.").expected("proxy, provider, models"),
        }
    }

    fn complain(&self, span: &Range<usize>, key: &str, complaint: Complaint) -> Error {
        let error = self.error(span, key).expected(complaint.expected).found(complaint.found);
        match complaint.advice {
            Some(advice) => error.context(advice),
            None => error,
        }
    }

    fn error(&self, span: &Range<usize>, key: &str) -> Error {
        let (line, column) = self.place(span);
        let key = if key.is_empty() { String::new() } else { format!(": {key}") };
        let place = format!("{}:{line}:{column}{key}", self.path.display());
        Error::new(Code::ConfigInvalid).at(place).in_text(line, column)
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        let (line, column) = self.place(span);
        Origin::File { path: self.path.to_owned(), line, column }
    }

    /// Line and column in characters, both from 1.
    fn place(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
        (line, column)
    }
}

/// `provider/model` with a provider that exists.
fn split(text: &str) -> Option<(Provider, &str)> {
    let (provider, model) = text.split_once('/')?;
    let provider = Provider::ALL.iter().copied().find(|it| it.name() == provider)?;
    (!model.is_empty() && model.bytes().all(|byte| byte.is_ascii_graphic())).then_some((provider, model))
}

fn not_a_model(text: &str) -> Complaint {
    let mut complaint = Complaint::new("`provider/model`, such as `venice/e2ee-glm-5-2-p`", text);
    let name = text.split('/').next().unwrap_or_default();
    if let Some(near) = nearest(name, Provider::ALL.iter().map(|it| it.name())).filter(|near| *near != name) {
        complaint.advice = Some(format!("Did you mean `{near}/...`?"));
    }
    complaint
}

fn raw(kind: Kind, value: &Item<'_>) -> Result<Raw, Complaint> {
    let refuse = || Complaint::new(kind.describe(), kind_of(value.get_ref()));
    match value.get_ref() {
        DeValue::Boolean(on) => Ok(Raw::Switch(*on)),
        DeValue::String(text) => Ok(Raw::Text(text.clone().into_owned())),
        DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(Raw::Number(number)),
            Err(_) => Err(Complaint::new(kind.describe(), number.to_string())),
        },
        DeValue::Array(_) => list(value).map(Raw::List).ok_or_else(refuse),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Err(refuse()),
    }
}

/// A list of strings.
fn list(value: &Item<'_>) -> Option<Vec<String>> {
    let DeValue::Array(items) = value.get_ref() else { return None };
    let text = |item: &Item<'_>| match item.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    };
    items.iter().map(text).collect()
}

const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list of something else",
        DeValue::Table(_) => "a table",
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
