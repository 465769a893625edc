//! The crates of the repository and all locked packages, as `cargo metadata` tells them.

use std::path::Path;

use serde_json::Value;

use crate::process::{cargo, output};

/// A direct dependency of a crate.
pub struct Dependency {
    /// The name under which the crate uses it.
    pub name: String,
    /// Whether it is a crate of this repository.
    pub internal: bool,
}

/// A crate of the repository or a locked package.
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX expression, if given.
    pub licence: Option<String>,
    /// Oldest Rust that it says it supports.
    pub rust_version: Option<String>,
    /// Whether it is a crate of this repository.
    pub internal: bool,
    /// Direct dependencies of all kinds and targets.
    pub dependencies: Vec<Dependency>,
}

/// All of them.
pub struct Workspace {
    /// Crates of the workspace and their locked packages for all targets.
    pub packages: Vec<Package>,
    /// Workspaces of their own: the fuzz targets, and other verifiers to measure beside.
    pub apart: Vec<Package>,
}

impl Workspace {
    /// Asks cargo. Downloads locked packages that are not there yet; builds nothing.
    pub fn load(root: &Path) -> Result<Workspace, String> {
        let metadata = ["metadata", "--format-version", "1", "--locked"];
        let mut apart = Vec::new();
        for manifest in ["fuzz/Cargo.toml", "bench/peers/Cargo.toml"] {
            let metadata = ["metadata", "--format-version", "1", "--no-deps", "--manifest-path", manifest];
            apart.extend(packages(&output(root, &cargo(), metadata)?)?);
        }
        Ok(Workspace { packages: packages(&output(root, &cargo(), metadata)?)?, apart })
    }

    /// Crates of the repository.
    pub fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.internal)
    }
}

fn packages(json: &str) -> Result<Vec<Package>, String> {
    let metadata: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
    let list = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    Ok(list.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let dependencies = value["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: text("name").unwrap_or_default(),
        version: text("version").unwrap_or_default(),
        licence: text("license"),
        rust_version: text("rust_version"),
        internal: value["source"].is_null(),
        dependencies: dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency["rename"]
                    .as_str()
                    .or_else(|| dependency["name"].as_str())
                    .unwrap_or_default()
                    .to_owned(),
                internal: dependency["source"].is_null(),
            })
            .collect(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A package for the tests of the rules.
    pub fn made_up(name: &str, internal: bool) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            rust_version: Some("1.80".to_owned()),
            internal,
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn metadata() {
        let json = r#"{"packages":[{"name":"a","version":"1.2.3","source":null,"license":"MIT","rust_version":"1.88.0",
            "dependencies":[{"name":"b","rename":"b-old","source":"registry+x"},{"name":"c","rename":null,"source":null}]},
            {"name":"b","version":"0.1.0","source":"registry+x","license":null,"rust_version":null,"dependencies":[]}]}"#;
        let packages = packages(json).unwrap();
        let names: Vec<(&str, bool)> =
            packages[0].dependencies.iter().map(|one| (one.name.as_str(), one.internal)).collect();
        assert_eq!(names, [("b-old", false), ("c", true)]);
        assert!(packages[0].internal && !packages[1].internal && packages[1].licence.is_none());
        assert!(super::packages("{}").is_err());
    }
}
