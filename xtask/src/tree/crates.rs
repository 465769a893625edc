//! Where packages come from, which appear once, and the oldest Rust they take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::read;
use super::workspace::{Package, Workspace};
use crate::process::{cargo, output};

/// The only registry of Rust packages.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The only registry of npm packages.
const NPM: &str = "https://registry.npmjs.org/";

/// Lock files of npm.
const NPM_LOCKS: [&str; 2] = ["node/package-lock.json", "tests/clients/package-lock.json"];

/// Crates whose second version in an artefact would be a second implementation to keep safe.
const CRYPTO: &[&str] = &[
    "aes",
    "aes-gcm",
    "aws-lc-rs",
    "aws-lc-sys",
    "chacha20",
    "cipher",
    "crypto-bigint",
    "ctr",
    "curve25519-dalek",
    "der",
    "digest",
    "ecdsa",
    "ed25519-dalek",
    "elliptic-curve",
    "ghash",
    "hkdf",
    "hmac",
    "k256",
    "p256",
    "p384",
    "polyval",
    "ring",
    "rustls",
    "rustls-webpki",
    "secp256k1",
    "secp256k1-sys",
    "sha2",
    "sha3",
    "subtle",
    "x509-parser",
    "zeroize",
];

/// What users get. Tools and benchmarks beside them hold older generations on purpose, to compare with.
const ARTEFACTS: &[&str] =
    &["proveil", "proveil-c", "proveil-cli", "proveil-node", "proveil-python", "proveil-uniffi"];

/// Lock files that name another source than the public registries.
pub fn sources(root: &Path, _: &Workspace) -> Result<Vec<String>, String> {
    let mut found = foreign_crates(&read(root, "Cargo.lock")?);
    for path in NPM_LOCKS {
        let lock: Value =
            serde_json::from_str(&read(root, path)?).map_err(|error| format!("{path}: {error}"))?;
        found.extend(foreign_npm(path, &lock));
    }
    Ok(found)
}

fn foreign_crates(lock: &str) -> Vec<String> {
    lock.lines()
        .filter_map(|line| line.strip_prefix("source = \"")?.strip_suffix('"'))
        .filter(|source| *source != CRATES_IO)
        .map(|source| format!("Cargo.lock: a package comes from {source}"))
        .collect()
}

fn foreign_npm(path: &str, lock: &Value) -> Vec<String> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .filter_map(|(name, package)| Some((name, package["resolved"].as_str()?)))
        .filter(|(_, source)| !source.starts_with(NPM))
        .map(|(name, source)| format!("{path}: {name} comes from {source}"))
        .collect()
}

/// Cryptography crates of which an artefact would hold two versions.
pub fn one_version(root: &Path, _: &Workspace) -> Result<Vec<String>, String> {
    let mut arguments = vec!["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    arguments.extend(ARTEFACTS.iter().flat_map(|artefact| ["--package", *artefact]));
    Ok(repeated(&output(root, &cargo(), arguments)?))
}

fn repeated(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && CRYPTO.contains(&name)
        {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            let versions: Vec<&str> = versions.iter().copied().collect();
            format!("artefacts would hold {name} in {} versions: {}", versions.len(), versions.join(", "))
        })
        .collect()
}

/// Crates without the workspace's `rust-version`, and packages that need a newer Rust than it.
pub fn rust_versions(root: &Path, workspace: &Workspace) -> Result<Vec<String>, String> {
    let manifest: toml::Table =
        read(root, "Cargo.toml")?.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str().unwrap_or_default();
    Ok(too_new(oldest, workspace.packages.iter().chain(&workspace.apart)))
}

fn too_new<'a>(oldest: &str, packages: impl Iterator<Item = &'a Package>) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let says = package.rust_version.as_deref();
        if package.internal && says.map(release) != Some(release(oldest)) {
            found.push(format!("crate {}: rust-version is {says:?}, not {oldest}", package.name));
        } else if says.is_some_and(|says| release(says) > release(oldest)) {
            let says = says.unwrap_or_default();
            found.push(format!("{} {} needs Rust {says}; ours is {oldest}", package.name, package.version));
        }
    }
    found
}

/// `1.88.0` and `1.88` as the same numbers.
fn release(version: &str) -> (u32, u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::super::workspace::tests::made_up;
    use super::*;

    #[test]
    fn other_sources_are_found() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.invalid/x#1\"\n");
        assert_eq!(foreign_crates(&lock).len(), 1);
        let lock = serde_json::json!({"packages": {"": {}, "a": {"resolved": format!("{NPM}a.tgz")},
            "b": {"resolved": "https://example.invalid/b.tgz"}}});
        assert_eq!(foreign_npm("package-lock.json", &lock).len(), 1);
    }

    #[test]
    fn two_versions_of_a_crypto_crate_are_found() {
        let tree = "proveil v0.1.0 (x)\nsha2 v0.11.0\nsyn v2.0.0\nsyn v3.0.0\nsha2 v0.11.0 (*)\n";
        assert!(repeated(tree).is_empty(), "two versions of syn are nothing to worry about");
        let found = repeated(&format!("{tree}sha2 v0.10.9\n"));
        assert_eq!(found, ["artefacts would hold sha2 in 2 versions: v0.10.9, v0.11.0"]);
    }

    #[test]
    fn a_newer_rust_is_found() {
        let mut ours = made_up("ours", true);
        ours.rust_version = Some("1.88".to_owned());
        let mut other = made_up("other", false);
        for (says, count) in [("1.88.0", 0), ("1.9", 0), ("1.88.1", 1), ("1.90", 1), ("2.0", 1)] {
            other.rust_version = Some(says.to_owned());
            assert_eq!(too_new("1.88", [&ours, &other].into_iter()).len(), count, "{says}");
        }
        other.rust_version = None;
        ours.rust_version = None;
        assert_eq!(too_new("1.88", [&ours, &other].into_iter()).len(), 1, "a crate of ours says nothing");
    }
}
