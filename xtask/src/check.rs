//! `cargo xtask check`: the quick part of what CI runs, without tests and without building artefacts.

use std::path::Path;

use crate::process::{cargo, run, run_with};
use crate::{r#gen, surface, test, tree, vectors};

type Step = (&'static str, fn(&Path) -> Result<(), String>);

const STEPS: &[Step] = &[
    ("generated files", |root| r#gen::run(root, true)),
    ("layers of the core", test::check_layers),
    ("surface", |root| surface::run(root, false)),
    ("tree", tree::check),
    ("vectors", |root| vectors::run(root, true)),
    ("format and lints", test::lint),
    ("documentation", documentation),
];

/// How long each fuzz target runs.
const FUZZ_S: u32 = 60;

/// Runs every step to its end, then, if asked for, every fuzz target.
pub fn run_all(root: &Path, fuzz: bool) -> Result<(), String> {
    let mut failed = Vec::new();
    for (name, step) in STEPS.iter().chain(fuzz.then_some(&("fuzz targets", fuzz_targets as _))) {
        println!("\n=== {name}");
        if let Err(error) = step(root) {
            println!("FAILED {name}: {error}");
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Public items of the crates that Rust users read about; a broken link is an error.
pub fn documentation(root: &Path) -> Result<(), String> {
    let arguments =
        ["doc", "--quiet", "--locked", "--no-deps", "--package", "proveil-core", "--package", "proveil"];
    run_with(root, &cargo(), arguments, &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Seeds, then each target for a while (fuzz/README.md).
fn fuzz_targets(root: &Path) -> Result<(), String> {
    let seeds =
        ["run", "--quiet", "--package", "proveil-testkit", "--example", "fuzz_seeds", "--", "fuzz/corpus"];
    run(root, &cargo(), seeds)?;
    let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml"))
        .map_err(|error| format!("fuzz/Cargo.toml: {error}"))?;
    let time = format!("-max_total_time={FUZZ_S}");
    for target in targets(&manifest)? {
        println!("--- {target}");
        run(root, "sh", ["fuzz/run.sh", &target, &time])?;
    }
    Ok(())
}

/// Names of the programs of a manifest.
fn targets(manifest: &str) -> Result<Vec<String>, String> {
    let manifest: toml::Table = manifest.parse().map_err(|error| format!("fuzz/Cargo.toml: {error}"))?;
    let programs =
        manifest.get("bin").and_then(toml::Value::as_array).ok_or("no target in fuzz/Cargo.toml")?;
    Ok(programs
        .iter()
        .filter_map(|program| program.get("name").and_then(toml::Value::as_str))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_targets_come_from_the_manifest() {
        let manifest = "[package]\nname = 'f'\n[[bin]]\nname = 'a'\n[[bin]]\nname = 'b'\n";
        assert_eq!(targets(manifest).unwrap(), ["a", "b"]);
        assert!(targets("[package]\n").is_err());
    }
}
