//! `cargo xtask <command>`: see `USAGE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use xtask::{r#gen, package_c, test_c};

const USAGE: &str = "usage: cargo xtask <command>

  gen [--check]
      write, or compare, every generated file
  test-c [--valgrind] [--asan]
      build the C library and run its tests and examples, also under valgrind and AddressSanitizer if asked for
  package-c --dir DIR [--release]
      stage headers, libraries, pkg-config file and CMake package under DIR
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("gen") => run_gen(arguments),
        Some("package-c") => run_package_c(arguments),
        Some("test-c") => run_test_c(arguments),
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

fn run_gen(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let check = match arguments.next().as_deref() {
        None => false,
        Some("--check") => true,
        Some(argument) => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
    };
    r#gen::run(&root(), check).map(|()| ExitCode::SUCCESS)
}

fn run_package_c(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let (mut dir, mut release) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => dir = arguments.next(),
            "--release" => release = true,
            _ => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
        }
    }
    let dir = dir.ok_or_else(|| format!("--dir needs a value\n\n{USAGE}"))?;
    package_c::package(&root(), Path::new(&dir), release).map(|()| ExitCode::SUCCESS)
}

fn run_test_c(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let mut options = test_c::Options::default();
    for argument in arguments {
        match argument.as_str() {
            "--valgrind" => options.valgrind = true,
            "--asan" => options.asan = true,
            _ => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
        }
    }
    test_c::test(&root(), options).map(|()| ExitCode::SUCCESS)
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
