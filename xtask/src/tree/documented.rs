//! `docs/dependencies.md`: a section for each crate, a line with a reason for each of its direct dependencies, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::read;
use super::workspace::Workspace;

const FILE: &str = "docs/dependencies.md";

/// Names of dependencies by section.
type Sections = BTreeMap<String, BTreeSet<String>>;

/// Dependencies without a line and lines without a dependency.
pub fn violations(root: &Path, workspace: &Workspace) -> Result<Vec<String>, String> {
    let mut actual = Sections::new();
    for package in workspace.crates().chain(&workspace.apart) {
        let outer = package.dependencies.iter().filter(|dependency| !dependency.internal);
        actual.insert(package.name.clone(), outer.map(|dependency| dependency.name.clone()).collect());
    }
    actual.insert("node/package.json".to_owned(), npm(&read(root, "node/package.json")?)?);
    for file in
        ["python/requirements-build.txt", "python/requirements-test.txt", "tests/deploy/requirements.txt"]
    {
        actual.insert(file.to_owned(), requirements(&read(root, file)?));
    }
    // A crate with crates of the repository only has nothing to explain.
    actual.retain(|_, names| !names.is_empty());
    let (written, mut found) = sections(&read(root, FILE)?);
    found.extend(differences(&actual, &written));
    Ok(found)
}

fn npm(package: &str) -> Result<BTreeSet<String>, String> {
    let package: Value =
        serde_json::from_str(package).map_err(|error| format!("node/package.json: {error}"))?;
    let kinds = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];
    let names =
        kinds.iter().filter_map(|kind| package[*kind].as_object()).flat_map(|one| one.keys().cloned());
    Ok(names.collect())
}

fn requirements(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_once("==")).map(|(name, _)| name.to_owned()).collect()
}

/// The sections of the document, and lines that have no reason.
fn sections(text: &str) -> (Sections, Vec<String>) {
    let (mut written, mut found) = (Sections::new(), Vec::new());
    let mut section: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            section = Some(name.trim().to_owned());
            written.entry(name.trim().to_owned()).or_default();
        }
        let (Some(section), Some(rest)) = (&section, line.strip_prefix("- `")) else { continue };
        let (name, reason) = rest.split_once('`').unwrap_or((rest, ""));
        if reason.trim_start_matches(':').trim().len() < 10 {
            found.push(format!("{FILE}: {section}: {name} has no reason"));
        }
        let fresh = written.entry(section.clone()).or_default().insert(name.to_owned());
        if !fresh {
            found.push(format!("{FILE}: {section}: {name} is there twice"));
        }
    }
    (written, found)
}

fn differences(actual: &Sections, written: &Sections) -> Vec<String> {
    let mut found = Vec::new();
    let none = BTreeSet::new();
    for (section, names) in actual {
        let lines = written.get(section).unwrap_or(&none);
        found.extend(names.difference(lines).map(|name| format!("{FILE}: {section}: no line for {name}")));
    }
    for (section, lines) in written {
        let Some(names) = actual.get(section) else {
            found.push(format!("{FILE}: {section} is no crate with dependencies"));
            continue;
        };
        found.extend(
            lines.difference(names).map(|name| format!("{FILE}: {section}: {name} is no direct dependency")),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actual() -> Sections {
        Sections::from([("a".to_owned(), ["x", "y"].map(str::to_owned).into())])
    }

    #[test]
    fn both_directions() {
        let good = "# D\n\n## a\n\n- `x`: because of that\n- `y` (tests): because of this\n";
        for (text, count) in [
            (good.to_owned(), 0),
            (good.replace("- `y` (tests): because of this\n", ""), 1),
            (format!("{good}- `z`: because of that\n"), 1),
            (format!("{good}- `x`: because of that\n"), 1),
            (format!("{good}## b\n"), 1),
            (good.replace("because of that", ""), 1),
            (String::new(), 2),
        ] {
            let (written, mut found) = sections(&text);
            found.extend(differences(&actual(), &written));
            assert_eq!(found.len(), count, "{text}: {found:?}");
        }
    }

    #[test]
    fn other_languages() {
        let names = npm(r#"{"devDependencies":{"typescript":"1"},"dependencies":{"a":"1"}}"#).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "typescript"]);
        assert_eq!(requirements("maturin==1.0\n# x\n").into_iter().collect::<Vec<_>>(), ["maturin"]);
    }
}
