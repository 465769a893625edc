//! The core beside verifiers that are not in the tree of this workspace: `bench/peers`, one program for each way to build it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::row::Row;
use super::row::Target::{AtLeast, AtMost};
use super::{UNPREPARED, output, read_rows};
use crate::process::{cargo, output as output_of, run};

/// Feature, and the rows that its program measures, for when it is not there.
const PROGRAMS: [(&str, &[&str]); 2] = [
    ("pure-rust", &["snp.over_sev_pure_rust", "rim.over_bergshamra"]),
    ("openssl", &["snp.over_sev_openssl"]),
];

/// Builds the programs. The one with the system's OpenSSL is left out where its headers are not installed.
pub(super) fn prepare(root: &Path, target: &Path) -> Result<(), String> {
    let target = target.join("peers");
    for (feature, _) in PROGRAMS {
        if feature == "openssl" && output_of(root, "pkg-config", ["--exists", "openssl"]).is_err() {
            continue;
        }
        let place = target.to_string_lossy().into_owned();
        let manifest = "bench/peers/Cargo.toml";
        let arguments =
            ["build", "--release", "--locked", "--manifest-path", manifest, "--features", feature];
        run(root, &cargo(), arguments.into_iter().chain(["--target-dir", place.as_str()]))?;
        let built =
            target.join("release").join(format!("proveil-bench-peers{}", std::env::consts::EXE_SUFFIX));
        fs::copy(&built, program(&target, feature))
            .map_err(|error| format!("{}: {error}", built.display()))?;
    }
    Ok(())
}

/// All rows, without a value where there is no program.
pub(super) fn rows(target: &Path) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (feature, names) in PROGRAMS {
        let program = program(&target.join("peers"), feature);
        if program.exists() {
            rows.extend(read_rows(&output(&mut Command::new(program))?)?);
            continue;
        }
        let why = if feature == "openssl" {
            "measured with --prepare where libssl's headers are"
        } else {
            UNPREPARED
        };
        rows.extend(names.iter().map(|name| {
            let bound = if name.starts_with("rim") {
                AtMost(1.2)
            } else {
                AtLeast(if feature == "openssl" { 2.7 } else { 6.0 })
            };
            Row::new(name, None, "x", bound, why)
        }));
    }
    Ok(rows)
}

fn program(target: &Path, feature: &str) -> PathBuf {
    target.join(format!("{feature}{}", std::env::consts::EXE_SUFFIX))
}
