//! Measures the core and prints the rows as JSON. Run by `cargo xtask bench`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proveil_bench::recording::{Recording, ServerKeys};
use proveil_bench::{chunks, replay, tdx};

const USAGE: &str = "usage: proveil-bench rows [EVIDENCE_DIR] | record DIR | replay DIR
  rows    every measurement, as a JSON array
  record  writes the answer that is measured in every language
  replay  opens it once from Rust: nanoseconds per chunk";

/// Chunks of the answer that is measured in every language.
const RECORDED: usize = 512;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let dir = arguments.next().map(PathBuf::from);
    match (command.as_deref(), dir) {
        (Some("rows"), dir) => print_rows(dir.as_deref()),
        (Some("record"), Some(dir)) => {
            if let Err(error) = Recording::make(RECORDED, ServerKeys::Fresh).write(&dir) {
                eprintln!("{}: {error}", dir.display());
                return ExitCode::FAILURE;
            }
        }
        (Some("replay"), Some(dir)) => match replay::nanoseconds_per_chunk(&dir) {
            Ok(time) => println!("{time:.1}"),
            Err(error) => {
                eprintln!("{}: {error}", dir.display());
                return ExitCode::FAILURE;
            }
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print_rows(evidence: Option<&Path>) {
    let rows = chunks::rows().into_iter().chain(tdx::rows(evidence));
    let rows: Vec<serde_json::Value> = rows.map(|row| row.to_json()).collect();
    println!("{}", serde_json::Value::Array(rows));
}
