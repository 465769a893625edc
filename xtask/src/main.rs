//! `cargo xtask`: everything that is done with this repository besides building it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod r#gen;
mod package_c;
mod test_c;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Outcome of a command: the text says what went wrong.
type Outcome = Result<(), String>;

const USAGE: &str = "usage: cargo xtask gen [--check]
       cargo xtask package-c --dir DIR [--release]
       cargo xtask test-c [--valgrind] [--asan]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = root();
    let outcome = match args.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("gen", rest)) => r#gen::run(&root, rest),
        Some(("package-c", rest)) => package_c::run(&root, rest),
        Some(("test-c", rest)) => test_c::run(&root, rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
