//! Writes the seeds of the fuzz targets: `cargo run -p proveil-testkit --example fuzz_seeds -- fuzz/corpus` (fuzz/README.md).

#![allow(clippy::print_stdout, reason = "a command line tool talks to its user")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "nothing here can go on without its input")]

#[allow(dead_code, reason = "only the seeds are used here")]
#[path = "../../fuzz/src/bodies.rs"]
mod bodies;
#[path = "../../fuzz/src/seeds.rs"]
mod seeds;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1).map(PathBuf::from) else { return ExitCode::from(2) };
    for (target, name, bytes) in seeds::all() {
        let folder = directory.join(target);
        let file = folder.join(name);
        match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &bytes)) {
            Ok(()) => println!("{} ({} bytes)", file.display(), bytes.len()),
            Err(error) => {
                println!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
