//! Sizes of what is handed out, and what a clean build costs.

use std::fs;
use std::path::{Path, PathBuf};

use super::row::Row;
use super::row::Target::AtMost;
use super::{cargo_name, output};
use crate::process::{cargo, run};
use crate::{package_c, test_node, test_python};

const MB: f64 = 1e6;
/// CPU time of a clean build of the core.
const BUILD_MAX_S: f64 = 150.0;

/// Builds everything that is measured besides the core, in the release profile.
pub(super) fn prepare(root: &Path) -> Result<(), String> {
    package_c::build(root, true)?;
    test_python::environment(root, "python3", true)?;
    test_node::prepare(root, test_node::Build { release: true, test_entry: false })?;
    test_node::pack(root, "release")?;
    run(root, &cargo(), ["build", "--release", "--package", "proveil-cli"])
}

/// All rows of this module.
pub(super) fn rows(root: &Path, target: &Path, build: bool) -> Result<Vec<Row>, String> {
    let release = target.join("release");
    let binary = release.join(format!("proveil{}", std::env::consts::EXE_SUFFIX));
    let mut rows = vec![
        size("size.wheel", 4.0, wheel(target).as_deref(), super::UNPREPARED),
        size("size.addon", 5.0, addon_package(target).as_deref(), super::UNPREPARED),
        Row {
            target: None,
            ..size(
                "size.addon_unpacked",
                5.0,
                Some(&release.join(cargo_name("proveil_node"))),
                super::UNPREPARED,
            )
        },
        size("size.binary", 12.0, Some(&binary), super::UNPREPARED),
    ];
    if build {
        rows.push(clean_build(root, target)?);
    }
    Ok(rows)
}

fn size(name: &str, most: f64, path: Option<&Path>, missing: &str) -> Row {
    let found = path.and_then(|path| Some((path, fs::metadata(path).ok()?.len())));
    match found {
        Some((path, bytes)) => {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Far below 2^52, so the conversion is exact.
            Row::new(name, Some(bytes as f64 / MB), "MB", AtMost(most), file)
        }
        None => Row::new(name, None, "MB", AtMost(most), missing),
    }
}

/// The wheel of the release profile.
fn wheel(target: &Path) -> Option<PathBuf> {
    one_with_extension(&target.join("python/release"), "whl")
}

/// The npm package of the release profile, which holds the addon.
fn addon_package(target: &Path) -> Option<PathBuf> {
    one_with_extension(&target.join("node/release"), "tgz")
}

fn one_with_extension(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|found| found == extension))
}

/// Builds the core in an empty directory. The shell says what CPU time its children took.
fn clean_build(root: &Path, target: &Path) -> Result<Row, String> {
    let dir = target.join("bench/clean");
    let _ = fs::remove_dir_all(&dir);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "\"$0\" build --quiet --package proveil-core && times"])
        .arg(cargo())
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &dir)
        .env("CARGO_BUILD_BUILD_DIR", &dir);
    let text = output(&mut shell)?;
    let _ = fs::remove_dir_all(&dir);
    let seconds = children_seconds(&text).ok_or_else(|| format!("`times` printed: {text}"))?;
    let what = "CPU time of a clean build of proveil-core, dev profile, dependencies downloaded before";
    Ok(Row::new("build.core", Some(seconds), "s", AtMost(BUILD_MAX_S), what))
}

/// The second line of POSIX `times`: user and system time of the children, such as `1m2.34s 0m5.67s`.
fn children_seconds(text: &str) -> Option<f64> {
    let line = text.lines().nth(1)?;
    line.split_whitespace().map(seconds).sum()
}

fn seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_shell() {
        assert_eq!(children_seconds("0m0.01s 0m0.00s\n1m2.50s 0m5.250s\n"), Some(67.75));
        for bad in ["", "0m0s 0m0s", "x\n1m2 3m4s", "x\n1m2s 3s"] {
            assert_eq!(children_seconds(bad), None, "{bad:?}");
        }
    }
}
