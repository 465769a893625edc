//! `tests/vectors/errors.json`: the registry as a vector set, which the test of every language loads.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proveil_core::error::{REGISTRY, RETIRED};
use serde_json::Value;

/// The file and its text.
pub fn outputs(root: &Path) -> Vec<(PathBuf, String)> {
    let text = |text: &str| Value::from(text).to_string();
    let rows: Vec<String> = REGISTRY
        .iter()
        .map(|row| {
            let mut out = String::new();
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "{{\"id\":{slug},\"slug\":{slug},\"code\":{code},\"number\":{number},\"class\":{class},\"retryable\":{retryable},\
                 \"http\":{http},\"exit\":{exit},\"message\":{message},\"hint\":{hint}}}",
                slug = text(row.slug),
                code = text(&row.code.text()),
                number = row.number,
                class = text(row.code.class().name()),
                retryable = row.retryable,
                http = row.http,
                exit = row.exit,
                message = text(row.message),
                hint = text(row.hint),
            );
            out
        })
        .collect();
    let retired: Vec<String> = RETIRED
        .iter()
        .map(|(number, slug)| format!("{{\"number\":{number},\"slug\":{}}}", text(slug)))
        .collect();
    let document = format!(
        "{{\"format\":1,\"about\":\"The error registry. Written by `cargo xtask gen` from core/src/error/registry.rs.\",\n\
         \"retired\":[{}],\n\"cases\":[\n{}\n]}}\n",
        retired.join(","),
        rows.join(",\n"),
    );
    vec![(root.join("tests/vectors/errors.json"), document)]
}
