//! `cargo xtask check-layers`: the core's modules import only from rows above them, and the core pulls in nothing that does I/O.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{cargo, output};

/// Modules of the core from the bottom up (docs/architecture.md). A module may import from its own row and from rows above it here.
const ROWS: &[&[&str]] = &[
    &["error", "limits"],
    &["wire", "secret"],
    &["crypto"],
    &["pki"],
    &["http"],
    &["claims"],
    &["evidence"],
    &["attest"],
    &["report"],
    &["policy"],
    &["appraise", "pin"],
    &["openai"],
    &["endpoint"],
    &["seal", "stream"],
    &["provider"],
    &["bundle"],
];

/// Imports against the order, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[("wire", "limits", "bounds of the strict readers")];

/// Names that the core's sources must not contain, with what they would bring in.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::net", "sockets"),
    ("std::fs", "files"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
    ("SystemTime", "the clock"),
    ("Instant", "the clock"),
    ("tokio", "I/O"),
    ("reqwest", "I/O"),
    ("getrandom", "randomness of its own"),
];

/// Packages that must not be in the core's dependency tree, nor any whose name continues one of these after a hyphen.
const FORBIDDEN_PACKAGES: &[&str] = &[
    "async-std",
    "curl",
    "hyper",
    "mio",
    "napi",
    "native-tls",
    "openssl",
    "pyo3",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "ureq",
    "uniffi",
];

/// Every violation, one line each.
pub fn violations(root: &Path) -> Result<Vec<String>, String> {
    let source = root.join("core/src");
    let mut files = Vec::new();
    collect(&source, &mut files)?;
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let relative = file.strip_prefix(&source).unwrap_or(file);
        found.extend(check_file(relative, &text));
    }
    found.extend(check_tree(root)?);
    Ok(found)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

fn check_file(relative: &Path, text: &str) -> Vec<String> {
    let module = relative
        .components()
        .next()
        .map(|first| first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
        .unwrap_or_default();
    // The list of modules, and doc tests about all of them.
    if module == "lib" || module == "typestate" {
        return Vec::new();
    }
    let mut found = Vec::new();
    let Some(own) = row(&module) else {
        return vec![format!("core/src/{}: module `{module}` has no row", relative.display())];
    };
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    for (number, line) in product.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let place = format!("core/src/{}:{}", relative.display(), number + 1);
        for imported in code.split("crate::").skip(1) {
            let name: String = imported.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(other) = row(&name) else { continue };
            let excused = EXCEPTIONS.iter().any(|(from, to, _)| *from == module && *to == name);
            if other > own && !excused {
                found.push(format!("{place}: `{module}` imports `{name}`, which is above it"));
            }
        }
        for (name, brings) in FORBIDDEN {
            if code.contains(name) {
                found.push(format!("{place}: `{name}` brings {brings} into the core"));
            }
        }
    }
    found
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

fn check_tree(root: &Path) -> Result<Vec<String>, String> {
    let arguments =
        "tree --locked --package proveil-core --all-features --edges normal --prefix none --format {p}";
    Ok(forbidden(&output(root, &cargo(), arguments.split(' '))?))
}

fn forbidden(tree: &str) -> Vec<String> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|package| {
            FORBIDDEN_PACKAGES.iter().any(|name| package == name || package.starts_with(&format!("{name}-")))
        })
        .map(|package| format!("package `{package}` is in the core's dependency tree"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_upwards_and_a_clock_are_found() {
        let found =
            check_file(Path::new("wire/hex.rs"), "use crate::policy::Policy;\nlet t = SystemTime::now();\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            check_file(Path::new("policy/mod.rs"), "use crate::wire::hex; // crate::provider\n").is_empty()
        );
        assert_eq!(check_file(Path::new("new.rs"), "").len(), 1);
    }

    #[test]
    fn packages_that_do_io_are_found() {
        let tree =
            "proveil-core v0.1.0 (core)\nring v0.17.14\nopenssl-sys v0.9.0\ntokio v1.0.0\ntokiox v1.0.0\n";
        assert_eq!(forbidden(tree).len(), 2, "{:?}", forbidden(tree));
    }
}
