//! Files that are generated from the error registry and the sources, and committed: each names the command that writes it, and
//! `--check` fails when one differs.

mod c;
mod error_pages;
mod errors_json;
mod node;
mod python;
mod uniffi;

use std::fs;
use std::path::{Path, PathBuf};

/// Writes every generated file, or with `check` compares it.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    write_or_compare(root, &outputs(root)?, check)
}

/// The same for the vectors that are generated: the error registry.
pub fn vectors(root: &Path, check: bool) -> Result<(), String> {
    write_or_compare(root, &errors_json::outputs(root), check)
}

fn write_or_compare(root: &Path, outputs: &[(PathBuf, String)], check: bool) -> Result<(), String> {
    let mut stale = Vec::new();
    for (path, text) in outputs {
        if fs::read_to_string(path).is_ok_and(|have| have == *text) {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        if !check {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)
                    .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
            }
            fs::write(path, text).map_err(|error| format!("cannot write {shown}: {error}"))?;
            println!("wrote {shown}");
        }
        stale.push(shown);
    }
    if check && !stale.is_empty() {
        return Err(format!("generated files differ, run `cargo xtask gen`: {}", stale.join(", ")));
    }
    println!("{} generated files are up to date", outputs.len());
    Ok(())
}

fn outputs(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut all = errors_json::outputs(root);
    all.extend(error_pages::outputs(root));
    all.extend(python::outputs(root));
    all.extend(node::outputs(root));
    all.extend(uniffi::outputs(root));
    all.extend(c::outputs(root)?);
    Ok(all)
}
