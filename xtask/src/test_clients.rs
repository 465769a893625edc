//! Clients that people use, unchanged and pinned, against the proxy: `cargo xtask test clients` (tests/clients, docs/proxy.md).

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{cargo, output, run};
use crate::{test_node, test_python};

/// Environments that cannot be one: each major version of openai-python with the libraries that go with it.
const ENVIRONMENTS: [&str; 2] = ["openai2", "openai3"];

/// Why the step cannot run here, if so. The newest openai-python needs Python 3.11.
pub fn missing(root: &Path) -> Option<String> {
    let python = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let node = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    let tools = [
        (output(root, "python3", ["-c", python]), "python3 from 3.11 on with venv"),
        (output(root, "node", ["-e", node]), "node from 20 on"),
        (output(root, test_node::npm(), ["--version"]), "npm"),
        (output(root, "curl", ["--json", "{}", "--fail-with-body", "--version"]), "curl from 7.82 on"),
    ];
    tools.into_iter().find(|(found, _)| found.is_err()).map(|(_, name)| format!("no {name}"))
}

/// Installs the clients below `target/clients`, builds the command line and runs every case.
pub fn test(root: &Path) -> Result<(), String> {
    let source = root.join("tests/clients");
    let home = root.join("target/clients");
    fs::create_dir_all(&home).map_err(|error| format!("cannot make {}: {error}", home.display()))?;
    for name in ENVIRONMENTS {
        let venv = home.join(name);
        test_python::fresh("python3", &venv, false)?;
        test_python::requirements(&venv, &source.join(format!("requirements-{name}.txt")))?;
    }
    install_node(&source, &home.join("node"))?;
    run(root, &cargo(), ["build", "--quiet", "--package", "proveil-cli"])?;
    let proveil = root.join("target/debug").join(format!("proveil{}", std::env::consts::EXE_SUFFIX));
    let arguments = [
        source.join("run.py").display().to_string(),
        "--proveil".to_owned(),
        proveil.display().to_string(),
        "--home".to_owned(),
        home.display().to_string(),
    ];
    run(root, "python3", arguments)
}

/// Packages beside copies of the drivers: Node looks for packages from where a script is.
fn install_node(source: &Path, folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for name in [".npmrc", "package.json", "package-lock.json"] {
        copy(&source.join(name), &folder.join(name))?;
    }
    for driver in scripts(&source.join("drivers"))? {
        let name = driver.file_name().unwrap_or_default();
        copy(&driver, &folder.join(name))?;
    }
    if test_node::is_installed(folder) {
        return Ok(());
    }
    // Some of the packages ask for a newer Node than the oldest that they run on here; every case shows that they do.
    run(folder, test_node::npm(), ["ci", "--loglevel=error"])
}

fn scripts(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "mjs")).collect())
}

/// Copies a file unless it is there already: a newer lock file would be a reason to install again.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot copy {} to {}: {error}", from.display(), to.display());
    let wanted = fs::read(from).map_err(fail)?;
    if fs::read(to).is_ok_and(|have| have == wanted) { Ok(()) } else { fs::write(to, wanted).map_err(fail) }
}
