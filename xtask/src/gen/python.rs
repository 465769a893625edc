//! `python/python/proveil/_codes.py`: the registry as a Python table.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proveil_core::error::REGISTRY;
use serde_json::Value;

/// The file and its text.
pub fn outputs(root: &Path) -> Vec<(PathBuf, String)> {
    // A JSON text is a Python text, too.
    let text = |text: &str| Value::from(text).to_string();
    let mut out = String::from(
        "# Written by `cargo xtask gen` from core/src/error/registry.rs. Do not edit.\n\
         \"\"\"Every cause of an error by its slug: number, class, retryable, HTTP status, exit code, message, hint.\"\"\"\n\n\
         ROWS: dict[str, tuple[int, str, bool, int, int, str, str]] = {\n",
    );
    for row in REGISTRY {
        let retryable = if row.retryable { "True" } else { "False" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "    {}: ({}, {}, {retryable}, {}, {}, {}, {}),",
            text(row.slug),
            row.number,
            text(row.code.class().name()),
            row.http,
            row.exit,
            text(row.message),
            text(row.hint),
        );
    }
    out.push_str("}\n");
    vec![(root.join("python/python/proveil/_codes.py"), out)]
}
