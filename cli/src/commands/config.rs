//! `proveil config`: what is configured, and where it came from.

use std::path::Path;

use proveil::{Code, Error, Result};
use serde_json::{Value, json};

use crate::args::{self, ConfigAction};
use crate::config::{self, Loaded, Origin, Setting};
use crate::failure::Stop;
use crate::output::Output;

/// Where values begin.
const VALUE_COLUMN: usize = 25;
/// Characters of a value in one line.
const VALUE_WIDTH: usize = 54;

pub(super) fn run(args: &args::Config, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    match args.action {
        ConfigAction::Show { origin } => show(&config::load(file)?, origin, output),
        ConfigAction::Path => path(file, output),
    }
}

fn show(loaded: &Loaded, origin: bool, output: &Output) -> Result<u8, Stop> {
    if output.is_json() {
        let file = loaded.file.as_ref().map(|path| path.display().to_string());
        let keys: Vec<Value> = loaded.origins.iter().map(document).collect();
        output.document(&json!({ "schema": "proveil.config/v1", "file": file, "settings": keys }))?;
        return Ok(0);
    }
    let file = loaded.file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let mut text = row("file", &file);
    let mut section = String::new();
    for setting in &loaded.origins {
        let (place, name) = split(&setting.key);
        if place != section {
            text.push_str(&format!("\n[{place}]\n"));
            section = place.to_owned();
        }
        let value = match setting.origin {
            Origin::Default => format!("({})", setting.value),
            _ => setting.value.clone(),
        };
        text.push_str(&row(name, &value));
        if origin {
            text.push_str(&row("", &format!("from {}", setting.origin)));
        }
    }
    output.result(&text)?;
    Ok(0)
}

/// A name and its value, which goes on in further lines below itself.
fn row(name: &str, value: &str) -> String {
    let chars: Vec<char> = value.chars().collect();
    let mut text = String::new();
    let mut name = name;
    // Names that are longer than their column, of aliases say, have a line of their own.
    if name.chars().count() >= VALUE_COLUMN {
        text.push_str(&format!("{}\n", shortened(name)));
        name = "";
    }
    for piece in chars.chunks(VALUE_WIDTH) {
        text.push_str(&format!("{name:<VALUE_COLUMN$}{}\n", piece.iter().collect::<String>()));
        name = "";
    }
    text
}

/// At most 80 characters.
fn shortened(name: &str) -> String {
    if name.chars().count() <= 80 {
        return name.to_owned();
    }
    name.chars().take(79).chain(['\u{2026}']).collect()
}

/// `provider.venice` and `base_url`; an alias can have dots of its own.
fn split(key: &str) -> (&str, &str) {
    match key.strip_prefix("models.") {
        Some(alias) => ("models", alias),
        None => key.rsplit_once('.').unwrap_or(("", key)),
    }
}

fn document(setting: &Setting) -> Value {
    let origin = match &setting.origin {
        Origin::File { path, line, column } => {
            json!({ "kind": "file", "path": path.display().to_string(), "line": line, "column": column })
        }
        Origin::Environment(name) => json!({ "kind": "environment", "name": name }),
        Origin::Default => json!({ "kind": "default" }),
    };
    json!({ "key": setting.key, "value": setting.value, "about": config::about(&setting.key), "origin": origin })
}

fn path(file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let places = config::candidates(file, |name| std::env::var_os(name))?;
    let used = places.iter().find(|place| place.exists());
    if output.is_json() {
        let all: Vec<Value> = places
            .iter()
            .map(|place| json!({ "path": place.path.display().to_string(), "from": place.from, "exists": place.exists() }))
            .collect();
        let used = used.map(|place| place.path.display().to_string());
        output.document(&json!({ "schema": "proveil.config-path/v1", "file": used, "places": all }))?;
        return Ok(0);
    }
    let nowhere = || Error::new(Code::ConfigInvalid).context("There is no home directory to look in.");
    let place = used.or(places.first()).ok_or_else(nowhere)?;
    if used.is_none() && !output.is_quiet() {
        output.message("There is no configuration. The first place that is looked at:");
    }
    output.result(&place.path.display().to_string())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_within_80_columns() {
        let long = "x".repeat(300);
        for (name, value) in [("listen", "127.0.0.1"), ("n", &long), (&long, &long), ("", &long)] {
            let text = row(name, value);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert_eq!(text.matches('x').count() >= 300, value.len() == 300, "{text}");
        }
        assert_eq!(split("provider.venice.base_url"), ("provider.venice", "base_url"));
        assert_eq!(split("models.gpt-4.1"), ("models", "gpt-4.1"));
    }
}
