//! Files that are generated and committed.

mod node;
mod uniffi;

use std::path::Path;

/// Writes every generated file, or with `check` compares it.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    for (path, text) in node::outputs(root).into_iter().chain(uniffi::outputs(root)) {
        if std::fs::read_to_string(&path).is_ok_and(|have| have == text) {
            continue;
        }
        if check {
            return Err(format!("{} differs: run `cargo xtask gen`", path.display()));
        }
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
