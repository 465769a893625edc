//! Licences of all locked packages. What is allowed is in `deny.toml`, which cargo-deny reads too; it need not be installed.

use std::path::Path;

use super::read;
use super::workspace::{Package, Workspace};

/// Packages whose licence cannot be satisfied by what `deny.toml` allows, and exceptions that no package needs.
pub fn violations(root: &Path, workspace: &Workspace) -> Result<Vec<String>, String> {
    let rules = Rules::parse(&read(root, "deny.toml")?)?;
    Ok(rules.violations(&workspace.packages))
}

struct Rules {
    allowed: Vec<String>,
    /// Package and licence that is allowed for it alone.
    exceptions: Vec<(String, String)>,
}

impl Rules {
    fn parse(text: &str) -> Result<Rules, String> {
        let file: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
        let licences = file.get("licenses").ok_or("deny.toml: no [licenses]")?;
        let texts = |value: Option<&toml::Value>| -> Vec<String> {
            let list = value.and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect()
        };
        let exceptions = licences.get("exceptions").and_then(toml::Value::as_array);
        let mut rules = Rules { allowed: texts(licences.get("allow")), exceptions: Vec::new() };
        for exception in exceptions.map(Vec::as_slice).unwrap_or_default() {
            let name = exception.get("crate").and_then(toml::Value::as_str).ok_or("deny.toml: no `crate`")?;
            let allowed = texts(exception.get("allow"));
            rules.exceptions.extend(allowed.into_iter().map(|licence| (name.to_owned(), licence)));
        }
        Ok(rules)
    }

    fn violations(&self, packages: &[Package]) -> Vec<String> {
        let mut found = Vec::new();
        for package in packages {
            let Some(licence) = &package.licence else {
                found.push(format!("{} {} has no licence", package.name, package.version));
                continue;
            };
            let allowed = |name: &str| {
                let for_it_alone = (package.name.clone(), name.to_owned());
                self.allowed.iter().any(|one| one == name) || self.exceptions.contains(&for_it_alone)
            };
            match satisfied(licence, &allowed) {
                Ok(true) => {}
                Ok(false) => found.push(format!("{} {}: {licence}", package.name, package.version)),
                Err(problem) => found.push(format!("{}: licence `{licence}`: {problem}", package.name)),
            }
        }
        for (name, licence) in &self.exceptions {
            if !packages.iter().any(|package| package.name == *name) {
                found.push(format!("deny.toml: {licence} is allowed for {name}, which is not locked"));
            }
        }
        found
    }
}

/// Whether an SPDX expression can be satisfied with allowed licences. `/` is an old form of OR.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, &'static str> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut place = 0;
    let value = either(&words, &mut place, allowed)?;
    if place == words.len() { Ok(value) } else { Err("unexpected word") }
}

fn either(words: &[&str], place: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, &'static str> {
    let mut value = both(words, place, allowed)?;
    while words.get(*place) == Some(&"OR") {
        *place += 1;
        value |= both(words, place, allowed)?;
    }
    Ok(value)
}

fn both(words: &[&str], place: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, &'static str> {
    let mut value = one(words, place, allowed)?;
    while words.get(*place) == Some(&"AND") {
        *place += 1;
        value &= one(words, place, allowed)?;
    }
    Ok(value)
}

fn one(words: &[&str], place: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, &'static str> {
    let word = *words.get(*place).ok_or("ends too early")?;
    *place += 1;
    match word {
        "(" => {
            let value = either(words, place, allowed)?;
            if words.get(*place) != Some(&")") {
                return Err("no closing parenthesis");
            }
            *place += 1;
            Ok(value)
        }
        "OR" | "AND" | "WITH" | ")" => Err("a licence is missing"),
        name => match (words.get(*place), words.get(*place + 1)) {
            (Some(&"WITH"), Some(exception)) => {
                *place += 2;
                Ok(allowed(&format!("{name} WITH {exception}")))
            }
            (Some(&"WITH"), None) => Err("ends too early"),
            _ => Ok(allowed(name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::workspace::tests::made_up;
    use super::*;

    #[test]
    fn expressions() {
        let allowed =
            |name: &str| matches!(name, "MIT" | "Apache-2.0" | "ISC" | "Apache-2.0 WITH LLVM-exception");
        for (expression, expected) in [
            ("MIT", Ok(true)),
            ("GPL-3.0-only", Ok(false)),
            ("GPL-3.0-only OR MIT", Ok(true)),
            ("Unlicense/MIT", Ok(true)),
            ("GPL-3.0-only AND MIT", Ok(false)),
            ("ISC AND (Apache-2.0 OR OpenSSL)", Ok(true)),
            ("ISC AND (GPL-2.0-only OR OpenSSL)", Ok(false)),
            ("MIT OR GPL-2.0-only AND OpenSSL", Ok(true)),
            ("Apache-2.0 WITH LLVM-exception", Ok(true)),
            ("GPL-2.0-only WITH LLVM-exception", Ok(false)),
            ("(MIT", Err("no closing parenthesis")),
            ("MIT AND", Err("ends too early")),
            ("MIT ISC", Err("unexpected word")),
            ("", Err("ends too early")),
        ] {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn packages_and_exceptions() {
        let rules = "[licenses]\nallow = ['MIT']\nexceptions = [{ crate = 'b', allow = ['MPL-2.0'] }]\n";
        let rules = Rules::parse(rules).unwrap();
        let package = |name: &str, licence: Option<&str>| Package {
            licence: licence.map(str::to_owned),
            ..made_up(name, false)
        };
        let b = || package("b", Some("MPL-2.0"));
        assert!(rules.violations(&[package("a", Some("MIT")), b()]).is_empty());
        assert_eq!(rules.violations(&[package("a", Some("MPL-2.0")), b()]).len(), 1);
        assert_eq!(rules.violations(&[package("a", None), b()]).len(), 1);
        assert_eq!(rules.violations(&[]).len(), 1, "an exception that nothing needs");
        assert!(Rules::parse("x").is_err() && Rules::parse("[bans]").is_err());
    }
}
