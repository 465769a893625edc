//! `cargo xtask conformance` and `cargo xtask drivers`: the test vectors through every language (tests/conformance/protocol.md).

use std::path::{Path, PathBuf};

use crate::process::{cargo, output, run};
use crate::{package_c, test_node, test_python, test_uniffi};

/// Languages that have a driver.
pub const LANGUAGES: [&str; 5] = ["rust", "c", "python", "node", "uniffi"];

/// Providers with vectors, by the names of their directories.
pub const PROVIDERS: [&str; 2] = ["venice", "privatemode"];

/// Builds the drivers of all languages whose tools are here and runs the vectors of `dir` through them, or those of every provider.
pub fn test(root: &Path, dir: Option<&Path>) -> Result<(), String> {
    let present: Vec<&str> = LANGUAGES.into_iter().filter(|language| is_present(root, language)).collect();
    for language in &present {
        prepare(root, language)?;
    }
    let dirs = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => PROVIDERS.map(|provider| root.join("tests/vectors").join(provider)).to_vec(),
    };
    let runner = root.join("tests/conformance/run.py").display().to_string();
    let languages = present.join(",");
    dirs.iter().try_for_each(|dir| {
        let vectors = dir.display().to_string();
        let arguments = [&runner, "--no-build", "--require-all", "--lang", &languages, "--vectors", &vectors];
        run(root, "python3", arguments)
    })
}

/// Builds what the driver of one language needs.
pub fn prepare(root: &Path, language: &str) -> Result<(), String> {
    match language {
        "rust" => run(root, &cargo(), ["build", "--quiet", "--package", "proveil-conformance"]),
        "c" => c_driver(root),
        "python" => test_python::prepare(root, "python3", false).map(|_| ()),
        "node" => test_node::prepare(root, test_node::Build { release: false, test_entry: true }),
        "uniffi" => test_uniffi::prepare(root).map(|_| ()),
        _ => Err(format!("unknown language: {language}; there are {}", LANGUAGES.join(", "))),
    }
}

/// Whether the tools of a language are installed. Rust, Python and UniFFI's Python output need no more than this program does.
fn is_present(root: &Path, language: &str) -> bool {
    match language {
        "c" => output(root, "cc", ["--version"]).is_ok(),
        "node" => output(root, "node", ["--version"]).is_ok() && output(root, "npm", ["--version"]).is_ok(),
        _ => true,
    }
}

/// Compiles the C driver against a staged package: `target/conformance/c-driver`.
fn c_driver(root: &Path) -> Result<(), String> {
    let built = package_c::build(root, false)?;
    let home: PathBuf = package_c::target_dir(root).join("conformance");
    let package = home.join("c-package");
    package_c::stage(root, &built, &package)?;
    let (include, lib) = (package.join("include"), package.join("lib"));
    let arguments = [
        "-std=c99".to_owned(),
        "-O1".to_owned(),
        format!("-I{}", include.display()),
        root.join("tests/conformance/drivers/c/driver.c").display().to_string(),
        format!("-L{}", lib.display()),
        "-lproveil".to_owned(),
        format!("-Wl,-rpath,{}", lib.display()),
        "-o".to_owned(),
        home.join("c-driver").display().to_string(),
    ];
    run(root, "cc", arguments)
}
