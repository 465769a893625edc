//! Files that are generated from the sources and committed: each names the command that writes it, and `--check` fails when
//! one differs.

mod c;
mod errors_json;
mod python;

use std::fs;
use std::path::Path;

/// Writes every generated file, or with `--check` compares it.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    let mut stale = Vec::new();
    let outputs = [c::outputs(root)?, errors_json::outputs(root), python::outputs(root)];
    for (path, text) in outputs.into_iter().flatten() {
        if fs::read_to_string(&path).is_ok_and(|have| have == text) {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if !check {
            fs::write(&path, text).map_err(|error| format!("cannot write {shown}: {error}"))?;
            println!("wrote {shown}");
        }
        stale.push(shown);
    }
    if check && !stale.is_empty() {
        return Err(format!("generated files differ, run `cargo xtask gen`: {}", stale.join(", ")));
    }
    Ok(())
}
