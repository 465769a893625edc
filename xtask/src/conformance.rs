//! `cargo xtask conformance` and `cargo xtask drivers`: the test vectors through every language (tests/conformance/protocol.md).

use std::path::{Path, PathBuf};

use crate::process::{cargo, output, run};
use crate::{package_c, test_node, test_python, test_uniffi};

/// Languages that have a driver.
pub const LANGUAGES: [&str; 5] = ["rust", "c", "python", "node", "uniffi"];

/// Builds the drivers of all languages whose tools are here and runs the vectors of `dir` through them.
pub fn test(root: &Path, dir: &Path) -> Result<(), String> {
    let present: Vec<&str> = LANGUAGES.into_iter().filter(|language| is_present(root, language)).collect();
    for language in &present {
        prepare(root, language)?;
    }
    let runner = root.join("tests/conformance/run.py");
    let (runner, dir, languages) =
        (runner.display().to_string(), dir.display().to_string(), present.join(","));
    run(root, "python3", [&runner, "--no-build", "--require-all", "--lang", &languages, "--vectors", &dir])
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
