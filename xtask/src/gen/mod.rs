//! Files that are generated and committed: each names the command that writes it, and `--check` fails when one differs.

mod c;

use std::path::{Path, PathBuf};

use crate::Outcome;

/// Writes every generated file, or with `--check` compares it.
pub fn run(root: &Path, args: &[String]) -> Outcome {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask gen [--check]".to_owned()),
    };
    let outputs: Vec<(PathBuf, String)> = c::outputs(root)?;
    let mut stale = Vec::new();
    for (path, text) in &outputs {
        if std::fs::read_to_string(path).is_ok_and(|have| have == *text) {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        if !check {
            std::fs::write(path, text).map_err(|error| format!("cannot write {shown}: {error}"))?;
            println!("wrote {shown}");
        }
        stale.push(shown);
    }
    match (check, stale.is_empty()) {
        (true, false) => Err(format!("generated files differ, run `cargo xtask gen`: {}", stale.join(", "))),
        (_, true) => {
            println!("{} generated files are up to date", outputs.len());
            Ok(())
        }
        _ => Ok(()),
    }
}
