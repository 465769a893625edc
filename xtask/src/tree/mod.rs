//! What must hold for the repository as a whole, read from its files and from `cargo metadata`; nothing is built. Part of
//! `cargo xtask check` and a step of `cargo xtask test`.

mod crates;
mod documented;
mod files;
mod licences;
mod threats;
mod versions;
mod workspace;

use std::fs;
use std::path::Path;

use workspace::Workspace;

/// A rule: what it says, and every violation of it, one line each.
type Rule = (&'static str, fn(&Path, &Workspace) -> Result<Vec<String>, String>);

const RULES: &[Rule] = &[
    ("locked packages come from crates.io, npm packages from npmjs.org", crates::sources),
    ("artefacts hold one version of each cryptography crate", crates::one_version),
    ("crates and dependencies keep to the oldest supported Rust", crates::rust_versions),
    ("licences of all locked packages are allowed by deny.toml", licences::violations),
    ("docs/dependencies.md has a reason for each direct dependency", documented::violations),
    ("one version number everywhere", versions::violations),
    ("sources are short", files::lengths),
    ("no file names a place on a machine", files::places),
    ("each attack on verification is named in a test", threats::violations),
];

/// Checks every rule, and prints each that holds.
pub fn check(root: &Path) -> Result<(), String> {
    let workspace = Workspace::load(root)?;
    let mut found = Vec::new();
    for (says, violations) in RULES {
        let violations = violations(root, &workspace)?;
        println!("{} {says}", if violations.is_empty() { "ok  " } else { "FAIL" });
        found.extend(violations);
    }
    if found.is_empty() { Ok(()) } else { Err(format!("\n  {}", found.join("\n  "))) }
}

fn read(root: &Path, file: &str) -> Result<String, String> {
    fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))
}
