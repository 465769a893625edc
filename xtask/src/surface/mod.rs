//! `cargo xtask surface`: one surface in all languages (style.md B5). `docs/surface.toml` names every idea and method in each; this
//! compares it, in both directions, with the committed sources that make the surface of each language. Nothing has to be built.

mod compare;
mod node;
mod python;
mod rust;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use table::Table;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Language {
    Rust,
    C,
    Python,
    Node,
    Uniffi,
}

impl Language {
    const ALL: [Language; 5] =
        [Language::Rust, Language::C, Language::Python, Language::Node, Language::Uniffi];

    /// The key of the column.
    const fn key(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::C => "c",
            Language::Python => "python",
            Language::Node => "node",
            Language::Uniffi => "uniffi",
        }
    }

    /// Where the surface of the language is read.
    const fn artefact(self) -> &'static str {
        match self {
            Language::Rust => "core/src and client/src",
            Language::C => "include/proveil.h",
            Language::Python => "python/python/proveil",
            Language::Node => "node/src",
            Language::Uniffi => "bindings/uniffi/src",
        }
    }
}

/// One public name of a language.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// As in the table: `VerifiedEndpoint.seal`, `pv_endpoint_seal`, `proveil_core::endpoint::VerifiedEndpoint::seal`.
    name: String,
    /// The type that it belongs to. Such an item has to be in the table when its type is.
    parent: Option<String>,
    /// Whether an item without parent has to be in the table.
    exported: bool,
    /// File, from the root of the repository.
    file: String,
}

/// Everything public in one language.
struct Surface {
    language: Language,
    items: Vec<Item>,
}

/// Compares everything, or with `table` only prints the table with all names written out.
pub fn run(root: &Path, print: bool) -> Result<(), String> {
    let text = read(root, "docs/surface.toml")?;
    let table = Table::parse(&text)?;
    if print {
        print!("{}", table.text());
        return Ok(());
    }
    let surfaces = [
        Surface { language: Language::Rust, items: rust_items(root)? },
        Surface {
            language: Language::C,
            items: compare::c_items(&read(root, "include/proveil.h")?, "include/proveil.h"),
        },
        Surface { language: Language::Python, items: python_items(root)? },
        Surface { language: Language::Node, items: node_items(root)? },
        Surface { language: Language::Uniffi, items: uniffi_items(root)? },
    ];
    let mut found = table.unexplained(&read(root, "docs/adr/0009-surface.md")?);
    found.extend(compare::differences(&table, &surfaces));
    if !found.is_empty() {
        return Err(format!("\n  {}", found.join("\n  ")));
    }
    let names: usize = surfaces.iter().map(|surface| surface.items.len()).sum();
    println!("{} entries agree with {names} names in five languages", table.entries.len());
    Ok(())
}

/// Sources with the Rust surface: a file or the files of a folder, and the path of their items. The modules of the client are private
/// and re-exported at its root; those of the core flatten their files.
const RUST: &[(&str, &str)] = &[
    ("client/src/client.rs", "proveil"),
    ("client/src/config.rs", "proveil"),
    ("client/src/notice.rs", "proveil"),
    ("client/src/stream.rs", "proveil"),
    ("client/src/blocking.rs", "proveil::blocking"),
    ("core/src/appraise", "proveil_core::appraise"),
    ("core/src/attest", "proveil_core::attest"),
    ("core/src/bundle", "proveil_core::bundle"),
    ("core/src/endpoint", "proveil_core::endpoint"),
    ("core/src/error", "proveil_core::error"),
    ("core/src/http.rs", "proveil_core::http"),
    ("core/src/policy", "proveil_core::policy"),
    ("core/src/provider", "proveil_core::provider"),
    ("core/src/report", "proveil_core::report"),
    ("core/src/secret.rs", "proveil_core::secret"),
];

fn rust_items(root: &Path) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for (source, module) in RUST {
        for file in files(root, source, "rs")? {
            items.extend(rust::items(&read(root, &file)?, &file, module));
        }
    }
    let (client, core) = (read(root, "client/src/lib.rs")?, read(root, "core/src/lib.rs")?);
    let exported = rust::exports(&client, &core);
    for name in exported {
        match items.iter_mut().find(|item| item.name == name) {
            Some(item) => item.exported = true,
            None => {
                items.push(Item { name, parent: None, exported: true, file: "client/src/lib.rs".to_owned() })
            }
        }
    }
    Ok(items)
}

fn python_items(root: &Path) -> Result<Vec<Item>, String> {
    let folder = "python/python/proveil";
    let public = python::exported(&read(root, &format!("{folder}/__init__.py"))?)?;
    let mut items = Vec::new();
    for extension in ["py", "pyi"] {
        for file in files(root, folder, extension)? {
            items.extend(python::items(&read(root, &file)?, &file, &public));
        }
    }
    Ok(items)
}

fn node_items(root: &Path) -> Result<Vec<Item>, String> {
    let index = read(root, "node/src/index.ts")?;
    let mut sources = Vec::new();
    for file in files(root, "node/src", "ts")? {
        sources.push((read(root, &file)?, file));
    }
    Ok(node::items(&index, &sources))
}

fn uniffi_items(root: &Path) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for file in files(root, "bindings/uniffi/src", "rs")? {
        // What only tests need is not in a released library.
        if !file.ends_with("test_entry.rs") {
            items.extend(rust::uniffi_items(&read(root, &file)?, &file));
        }
    }
    Ok(items)
}

/// A file itself, or the files of a folder with this extension, from the root, sorted.
fn files(root: &Path, place: &str, extension: &str) -> Result<Vec<String>, String> {
    let path = root.join(place);
    if path.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = fs::read_dir(&path).map_err(|error| format!("{place}: {error}"))?;
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|found| found == extension))
        .collect();
    names.sort();
    Ok(names
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| format!("{place}/{}", name.to_string_lossy()))
        .collect())
}

fn read(root: &Path, file: &str) -> Result<String, String> {
    fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))
}
