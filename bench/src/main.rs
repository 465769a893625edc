//! Measures the core and prints the rows as JSON. Run by `cargo xtask bench`.

use std::path::Path;
use std::process::ExitCode;

use proveil_bench::recording::{Recording, ServerKeys};
use proveil_bench::row::Row;
use proveil_bench::{chunks, gpus, privatemode, proxy, replay, snp, tdx};

const USAGE: &str = "usage: proveil-bench rows [--full] EVIDENCE_DIR [GROUP]... | record DIR [repeated-key] | replay DIR | forward URL
  rows    measurements as a JSON array: all, or those of the named groups (fresh-key, repeated-key, burst, framing, tdx,
          snp, gpus, privatemode, proxy); --full sends the proxy 100,000 requests, not 5,000, to see whether it grows
  record  writes the answer that is measured in every language; on request one under a single server key
  replay  opens it from Rust: nanoseconds per chunk
  forward the bare pass-through to a server, which the proxy is measured beside";

/// Chunks of the answer that is measured in every language.
const RECORDED: usize = 512;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [command, full, dir, groups @ ..] if command == "rows" && full == "--full" => {
            print_rows(Path::new(dir), groups, true)
        }
        [command, dir, groups @ ..] if command == "rows" => print_rows(Path::new(dir), groups, false),
        [command, dir] if command == "record" => record(dir, ServerKeys::Fresh),
        [command, dir, keys] if command == "record" && keys == "repeated-key" => {
            record(dir, ServerKeys::Repeated)
        }
        [command, dir] if command == "replay" => replay::nanoseconds_per_chunk(Path::new(dir))
            .map(|time| println!("{time:.1}"))
            .map_err(|error| format!("{dir}: {error}")),
        [command, url] if command == "forward" => proxy::forward(url),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn record(dir: &str, keys: ServerKeys) -> Result<(), String> {
    Recording::make(RECORDED, keys).write(Path::new(dir)).map_err(|error| format!("{dir}: {error}"))
}

fn print_rows(evidence: &Path, wanted: &[String], full: bool) -> Result<(), String> {
    type Group<'a> = (&'a str, &'a dyn Fn() -> Vec<Row>);
    let tdx = || tdx::rows(evidence);
    let proxy = || proxy::rows(full);
    let groups: [Group<'_>; 9] = [
        ("fresh-key", &chunks::fresh_key),
        ("repeated-key", &chunks::repeated_key),
        ("burst", &chunks::burst),
        ("framing", &chunks::framing_and_json),
        ("tdx", &tdx),
        ("snp", &snp::rows),
        ("gpus", &gpus::rows),
        ("privatemode", &privatemode::rows),
        ("proxy", &proxy),
    ];
    if let Some(unknown) = wanted.iter().find(|name| groups.iter().all(|(known, _)| known != name)) {
        return Err(format!("unknown group: {unknown}\n{USAGE}"));
    }
    let chosen =
        groups.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name));
    let rows: Vec<serde_json::Value> = chosen.flat_map(|(_, rows)| rows()).map(|row| row.to_json()).collect();
    println!("{}", serde_json::Value::Array(rows));
    Ok(())
}
