//! Public names in Rust sources, for the Rust surface and for UniFFI's, whose sources are Rust with attributes. It relies on the
//! layout that `cargo fmt` gives: items at the margin, members four spaces in.

use super::Item;
use super::table::lower_camel;

/// A declaration with where it belongs.
struct Found {
    name: String,
    parent: Option<String>,
    /// Whether it is a value of an enum.
    value: bool,
    /// Attributes of the item, or of the type or `impl` that it is in.
    attributes: String,
}

/// Names of one source under `module`: `module::Type`, `module::Type::method`, `module::function`.
pub fn items(text: &str, file: &str, module: &str) -> Vec<Item> {
    scan(text)
        .into_iter()
        .map(|found| {
            let parent = found.parent.map(|parent| format!("{module}::{parent}"));
            let name = format!("{}::{}", parent.as_deref().unwrap_or(module), found.name);
            Item { name, parent, exported: false, file: file.to_owned() }
        })
        .collect()
}

/// Names that UniFFI exports from one source, as Kotlin and Swift have them: `Policy.fromJson`.
pub fn uniffi_items(text: &str, file: &str) -> Vec<Item> {
    scan(text)
        .into_iter()
        .filter(|found| found.attributes.contains("uniffi::"))
        .map(|found| {
            let named = if found.value || found.parent.is_none() && is_type(&found.name) {
                found.name.clone()
            } else {
                lower_camel(&found.name)
            };
            let name = found.parent.as_ref().map_or(named.clone(), |parent| format!("{parent}.{named}"));
            Item { name, parent: found.parent, exported: true, file: file.to_owned() }
        })
        .collect()
}

/// Full paths of what the root of the client exports, given both roots.
pub fn exports(client: &str, core: &str) -> Vec<String> {
    let aliases = uses(core);
    uses(client)
        .into_iter()
        .filter_map(|path| {
            let (module, name) = path.rsplit_once("::")?;
            Some(match module {
                "proveil_core" => aliases
                    .iter()
                    .find(|alias| alias.ends_with(&format!("::{name}")))
                    .map_or(path.clone(), |alias| format!("proveil_core::{alias}")),
                _ if module.starts_with("proveil_core") => path.clone(),
                _ => format!("proveil::{name}"),
            })
        })
        .collect()
}

/// Paths of `pub use a::b::{C, D};` lines, one for each name. Renamed modules are left out.
fn uses(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let Some(path) = line.strip_prefix("pub use ").and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        match path.split_once('{') {
            Some((module, names)) => {
                let names = names.trim_end_matches('}').split(',').map(str::trim);
                paths.extend(names.map(|name| format!("{module}{name}")));
            }
            None if path.contains(" as ") => {}
            None => paths.push(path.to_owned()),
        }
    }
    paths
}

fn scan(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut attributes = String::new();
    // The type whose body this is, whether it is an enum, and its attributes.
    let mut body: Option<(String, bool, String)> = None;
    let mut skipping = false;
    for line in text.lines() {
        let ends = matches!(line, "}" | "};");
        if skipping || (body.is_some() && ends) {
            skipping &= !ends;
            body = None;
            continue;
        }
        if line.starts_with('#') {
            attributes.push_str(line);
            continue;
        }
        if let Some((parent, is_enum, outer)) = &body {
            if let Some((name, value)) = member(line, *is_enum) {
                found.push(Found {
                    name: name.to_owned(),
                    parent: Some(parent.clone()),
                    value,
                    attributes: outer.clone(),
                });
            }
            continue;
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let own = std::mem::take(&mut attributes);
        if line.starts_with("mod tests") {
            skipping = line.ends_with('{');
        } else if let Some(name) = line.strip_prefix("impl").and_then(implemented) {
            body = line.ends_with('{').then(|| (name.to_owned(), false, own));
        } else if let Some((name, is_enum)) = declared(line) {
            found.push(Found { name: name.to_owned(), parent: None, value: false, attributes: own.clone() });
            body = (is_type(name) && line.ends_with('{')).then(|| (name.to_owned(), is_enum, own));
        } else {
            // Bodies of private items, of functions and of traits.
            skipping = line.ends_with('{');
        }
        if line.contains("fn ") && line.ends_with(['{', '(']) {
            skipping = true;
        }
    }
    found
}

/// The public item that begins here, and whether it is an enum.
fn declared(line: &str) -> Option<(&str, bool)> {
    let rest = line.strip_prefix("pub ")?;
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    for word in ["struct ", "enum ", "fn ", "const fn ", "type ", "trait ", "const ", "static "] {
        if let Some(rest) = rest.strip_prefix(word) {
            return Some((identifier(rest)?, word == "enum "));
        }
    }
    None
}

/// The type of an inherent `impl`, after the word.
fn implemented(rest: &str) -> Option<&str> {
    let rest =
        rest.strip_prefix('<').map_or(rest, |rest| rest.split_once('>').map_or(rest, |(_, rest)| rest));
    let rest = rest.strip_prefix(' ')?;
    (!rest.contains(" for ")).then(|| identifier(rest)).flatten()
}

/// A public method, a public field or a value of an enum, and whether it is the last.
fn member(line: &str, is_enum: bool) -> Option<(&str, bool)> {
    let code = line.strip_prefix("    ")?;
    if let Some(rest) = code.strip_prefix("pub ") {
        let rest =
            ["const ", "async "].iter().fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        return identifier(rest.strip_prefix("fn ").unwrap_or(rest)).map(|name| (name, false));
    }
    let value = is_enum && code.starts_with(|c: char| c.is_ascii_uppercase());
    value.then(|| identifier(code).map(|name| (name, true))).flatten()
}

fn identifier(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).filter(|name| !name.is_empty())
}

fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().any(|c| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! x\nuse a::{\n    B,\n};\n\n/// A.\n#[derive(Debug)]\n#[derive(uniffi::Object)]\npub struct Proof(u8);\n\n\
        #[uniffi::export]\nimpl Proof {\n    /// pub fn no()\n    #[uniffi::constructor]\n    pub const fn from_it() -> Self {\n        \
        pub_fn()\n    }\n    pub(crate) fn hidden() {}\n}\n\nimpl<'a> Proof {\n    pub async fn plain(\n        &self,\n    ) {\n    }\n}\n\n\
        impl From<u8> for Proof {\n    fn from() {}\n}\n\n#[derive(uniffi::Enum)]\npub enum Kind {\n    /// One.\n    TheOne,\n    \
        Two { x: u8 },\n}\n\n#[derive(uniffi::Record)]\npub struct Row {\n    pub the_field: u8,\n    hidden: u8,\n}\n\n\
        #[uniffi::export(default(a = None))]\npub fn do_it(\n    a: u8,\n) {\n    let x = 1;\n}\n\npub fn other() {}\n\n\
        #[cfg(test)]\nmod tests {\n    pub struct Not {}\n}\n";

    #[test]
    fn rust_names() {
        let names: Vec<String> = items(SOURCE, "a.rs", "m").into_iter().map(|item| item.name).collect();
        let expected = "m::Proof m::Proof::from_it m::Proof::plain m::Kind m::Kind::TheOne m::Kind::Two m::Row m::Row::the_field \
                        m::do_it m::other";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn uniffi_names_are_only_what_is_exported() {
        let names: Vec<String> = uniffi_items(SOURCE, "a.rs").into_iter().map(|item| item.name).collect();
        assert_eq!(names.join(" "), "Proof Proof.fromIt Kind Kind.TheOne Kind.Two Row Row.theField doIt");
    }

    #[test]
    fn exports_have_their_full_path() {
        let client = "pub use client::Client;\npub use proveil_core as core;\npub use proveil_core::http::BaseUrl;\n\
                      pub use proveil_core::{Code, Error};\nuse x::Y;\n";
        let names = exports(client, "pub use error::{Code, Error};\n");
        let expected = "proveil::Client proveil_core::http::BaseUrl proveil_core::error::Code proveil_core::error::Error";
        assert_eq!(names.join(" "), expected);
    }
}
