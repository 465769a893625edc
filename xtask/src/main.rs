//! `cargo xtask <command>`: see `USAGE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::path::PathBuf;
use std::process::ExitCode;

use xtask::{bench, evidence, r#gen, test_python};

const USAGE: &str = "usage: cargo xtask <command>

  bench [--json] [--advisory] [--build]
      measure speed, memory and sizes against their targets; exit 1 when one is missed, unless --advisory; --build adds a clean
      build of the core
  gen [--check]
      write, or compare, every generated file
  test-python [--release]
      build the wheel, install it into a clean environment, run its tests and the type checker
  evidence [--dir DIR] [--kind KIND]
      judge every sample, mutation and synthetic case of a directory of captured evidence (one that has an index.json, or whose
      subdirectories have) and compare with the expected verdicts; DIR defaults to $PROVEIL_EVIDENCE or ../shared/evidence
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("bench") => run_bench(arguments),
        Some("evidence") => run_evidence(arguments),
        Some("gen") => run_gen(arguments),
        Some("test-python") => run_test_python(arguments),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(code) => code,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

fn run_bench(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let mut options = bench::Options::default();
    for argument in arguments {
        match argument.as_str() {
            "--json" => options.json = true,
            "--advisory" => options.advisory = true,
            "--build" => options.build = true,
            _ => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
        }
    }
    let met = bench::run(&root(), &evidence::default_dir(), options)?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_gen(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let check = flag(arguments, "--check")?;
    r#gen::run(&root(), check).map(|()| ExitCode::SUCCESS)
}

fn run_test_python(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let release = flag(arguments, "--release")?;
    test_python::test(&root(), "python3", release).map(|()| ExitCode::SUCCESS)
}

/// Whether the only argument that a command takes was given.
fn flag(mut arguments: impl Iterator<Item = String>, name: &str) -> Result<bool, String> {
    match arguments.next() {
        None => Ok(false),
        Some(argument) if argument == name => Ok(true),
        Some(argument) => Err(format!("unknown argument: {argument}\n\n{USAGE}")),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn run_evidence(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let mut dir = None;
    let mut kind = None;
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--dir" => &mut dir,
            "--kind" => &mut kind,
            _ => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
        };
        *slot = Some(arguments.next().ok_or_else(|| format!("{argument} needs a value\n\n{USAGE}"))?);
    }
    let dir = match dir {
        Some(dir) => PathBuf::from(dir),
        None => evidence::default_dir(),
    };
    let report = evidence::judge(&dir, kind.as_deref())?;
    print!("{}", report.text());
    Ok(if report.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
