//! `cargo xtask bench`: every figure that has a target, as a table or JSON.
//!
//! Owns what is done in which order and the form of the result. The core and the proxy are measured by the package `proveil-bench`; `languages`
//! adds C, Python and Node, `artefacts` sizes and build time. Those need what other commands build, and say so when it is missing.

mod artefacts;
mod languages;
mod peers;
mod row;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::row::{Row, Table};
use crate::package_c::target_dir;
use crate::process::{cargo, run as run_program};

/// Why a row has no value.
const UNPREPARED: &str = "measured with --prepare, or after it";

/// What to measure and how to show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// One JSON document instead of a table.
    pub json: bool,
    /// A missed target is shown, but is no failure.
    pub advisory: bool,
    /// Build the release library, wheel, addon and binary first. Without it, those of an earlier build are measured.
    pub prepare: bool,
    /// Send the proxy 100,000 requests, not 5,000, to see whether its memory grows, which takes some minutes.
    pub full: bool,
    /// Measure a clean build of the core too, which takes a minute or two.
    pub build: bool,
}

/// Measures and prints. `evidence` is the directory of captured evidence, which may be absent. An error when a target is missed.
pub fn run(root: &Path, evidence: &Path, options: Options) -> Result<(), String> {
    let target = target_dir(root);
    if options.prepare {
        artefacts::prepare(root)?;
        peers::prepare(root, &target)?;
    }
    run_program(root, &cargo(), ["build", "--quiet", "--release", "--package", "proveil-bench"])?;
    let bench = target.join("release").join(format!("proveil-bench{}", std::env::consts::EXE_SUFFIX));
    let memory = target.join("release").join(format!("proveil-bench-memory{}", std::env::consts::EXE_SUFFIX));

    let mut core = Command::new(&bench);
    core.arg("rows").args(options.full.then_some("--full")).arg(evidence);
    let mut rows = read_rows(&output(&mut core)?)?;
    rows.extend(read_rows(&output(&mut Command::new(memory))?)?);
    rows.extend(peers::rows(&target)?);
    rows.extend(languages::rows(root, &target, &bench)?);
    rows.extend(artefacts::rows(root, &target, options.build)?);
    let table = Table(rows);
    let shown = if options.json { table.to_json() } else { table.to_text() };
    println!("{shown}");
    if options.advisory || table.is_met() { Ok(()) } else { Err("a target is missed".to_owned()) }
}

/// The rows that a measuring program printed: one, or an array.
fn read_rows(text: &str) -> Result<Vec<Row>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let rows = match value {
        Value::Array(rows) => rows,
        row => vec![row],
    };
    rows.iter().map(|row| Row::read(row).ok_or_else(|| format!("not a row: {row}"))).collect()
}

/// File name of a dynamic library that Cargo built.
fn cargo_name(library: &str) -> String {
    format!("{}{library}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String, String> {
    let result = command.output().map_err(|error| format!("{}: {error}", name(command)))?;
    if result.status.success() {
        return String::from_utf8(result.stdout).map_err(|error| error.to_string());
    }
    Err(format!("{}: {}\n{}", name(command), result.status, String::from_utf8_lossy(&result.stderr)))
}

/// The number that a command prints.
fn number(command: &mut Command) -> Result<f64, String> {
    let text = output(command)?;
    text.trim().parse().map_err(|_| format!("{} printed no number: {text}", name(command)))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
