//! One version number, in `Cargo.toml`: every other place agrees with it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::read;
use super::workspace::Workspace;

/// Crates below testkit/stand-ins: they have the version of what they stand in for.
const STAND_INS: [&str; 1] = ["cmw"];

/// Places with another version.
pub fn violations(root: &Path, workspace: &Workspace) -> Result<Vec<String>, String> {
    let manifest = read(root, "Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap_or_default();
    let mut stated: Vec<(String, String)> = workspace
        .crates()
        .filter(|package| !STAND_INS.contains(&package.name.as_str()))
        .map(|package| (format!("crate {}", package.name), package.version.clone()))
        .collect();
    stated.extend(header_versions(&read(root, "include/proveil.h")?));
    stated.push(("node/package.json".to_owned(), npm_version(&read(root, "node/package.json")?, &[])?));
    let lock = read(root, "node/package-lock.json")?;
    stated.push(("node/package-lock.json".to_owned(), npm_version(&lock, &[])?));
    stated.push(("node/package-lock.json, packages".to_owned(), npm_version(&lock, &["packages", ""])?));
    stated.extend(chart_versions(&read(root, "deploy/helm/proveil-proxy/Chart.yaml")?));
    let mut found = differences(version, &stated);
    // The wheel takes it from its crate.
    if !wheel_follows(&read(root, "python/pyproject.toml")?)? {
        found.push(
            "python/pyproject.toml must take the version from the crate: dynamic = [\"version\"]".to_owned(),
        );
    }
    Ok(found)
}

fn differences(version: &str, stated: &[(String, String)]) -> Vec<String> {
    stated
        .iter()
        .filter(|(_, other)| other != version)
        .map(|(place, other)| format!("{place}: version {other}, but Cargo.toml says {version}"))
        .collect()
}

/// The text, the three parts and the number of the header, each as `major.minor.patch`. What is not there comes out as it is.
fn header_versions(header: &str) -> Vec<(String, String)> {
    let macros: BTreeMap<&str, &str> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let get = |name: &str| macros.get(name).copied().unwrap_or("missing");
    let parts = ["MAJOR", "MINOR", "PATCH"].map(|part| get(&format!("PV_VERSION_{part}"))).join(".");
    let number = evaluate(get("PV_VERSION_NUMBER"), &macros).map_or("unreadable".to_owned(), |number| {
        format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
    });
    vec![
        ("include/proveil.h, PV_VERSION".to_owned(), get("PV_VERSION").trim_matches('"').to_owned()),
        ("include/proveil.h, parts".to_owned(), parts),
        ("include/proveil.h, PV_VERSION_NUMBER".to_owned(), number),
    ]
}

/// The value of a sum of products of numbers and macros.
fn evaluate(expression: &str, macros: &BTreeMap<&str, &str>) -> Option<u64> {
    let sum = expression.trim_matches(|c| matches!(c, '(' | ')'));
    sum.split('+').try_fold(0_u64, |total, product| {
        let product = product.split('*').try_fold(1_u64, |value, factor| {
            let factor = factor.trim();
            value.checked_mul(macros.get(factor).unwrap_or(&factor).parse().ok()?)
        })?;
        total.checked_add(product)
    })
}

/// Both versions of the Helm chart: its own and that of what it starts.
fn chart_versions(chart: &str) -> Vec<(String, String)> {
    let value = |name: &str| {
        let line = chart.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or("missing").trim_matches('"').to_owned()
    };
    ["version", "appVersion"].map(|name| (format!("Chart.yaml, {name}"), value(name))).into()
}

fn npm_version(text: &str, path: &[&str]) -> Result<String, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("node: {error}"))?;
    let place = path.iter().fold(&file, |value, name| &value[*name]);
    Ok(place["version"].as_str().unwrap_or("missing").to_owned())
}

fn wheel_follows(pyproject: &str) -> Result<bool, String> {
    let file: toml::Table = pyproject.parse().map_err(|error| format!("python/pyproject.toml: {error}"))?;
    let project = file.get("project").ok_or("python/pyproject.toml: no [project]")?;
    let dynamic = project.get("dynamic").and_then(toml::Value::as_array);
    let named = dynamic.is_some_and(|list| list.iter().any(|one| one.as_str() == Some("version")));
    Ok(named && project.get("version").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#define PV_VERSION_MAJOR 1\n#define PV_VERSION_MINOR 22\n#define PV_VERSION_PATCH 3\n\
        #define PV_VERSION \"1.22.3\"\n\
        #define PV_VERSION_NUMBER (PV_VERSION_MAJOR * 1000000 + PV_VERSION_MINOR * 1000 + PV_VERSION_PATCH)\n";

    #[test]
    fn header_macros() {
        assert!(differences("1.22.3", &header_versions(HEADER)).is_empty());
        for (from, to) in [
            ("\"1.22.3\"", "\"1.22.4\""),
            ("PV_VERSION_MINOR * 1000 ", "PV_VERSION_MINOR * 100 "),
            // The slip that a public library made: one part twice.
            ("+ PV_VERSION_PATCH)", "+ PV_VERSION_MINOR)"),
            ("#define PV_VERSION_NUMBER", "#define PV_VERSION_OTHER"),
        ] {
            let header = HEADER.replace(from, to);
            assert_eq!(differences("1.22.3", &header_versions(&header)).len(), 1, "{from} to {to}");
        }
        assert_eq!(differences("1.22.4", &header_versions(HEADER)).len(), 3);
    }

    #[test]
    fn charts() {
        for (chart, wrong) in [
            ("apiVersion: v2\nversion: 1.2.3\nappVersion: \"1.2.3\"\n", 0),
            ("version: 1.2.4\nappVersion: 1.2.3\n", 1),
            ("version: 1.2.3\n", 1),
            ("", 2),
        ] {
            assert_eq!(differences("1.2.3", &chart_versions(chart)).len(), wrong, "{chart}");
        }
    }

    #[test]
    fn packages() {
        let lock = r#"{"version":"1.0.0","packages":{"":{"version":"1.0.1"}}}"#;
        assert_eq!(npm_version(lock, &[]).unwrap(), "1.0.0");
        assert_eq!(npm_version(lock, &["packages", ""]).unwrap(), "1.0.1");
        assert_eq!(npm_version("{}", &[]).unwrap(), "missing");
        assert!(wheel_follows("[project]\ndynamic = ['version']\n").unwrap());
        for bad in ["[project]\nversion = '1'\n", "[project]\ndynamic = ['version']\nversion = '1'\n"] {
            assert!(!wheel_follows(bad).unwrap(), "{bad}");
        }
    }
}
