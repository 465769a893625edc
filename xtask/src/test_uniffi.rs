//! `cargo xtask test-uniffi`: builds the library, generates the sources of all three languages, runs the tests of the Python ones.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything. `python` names the interpreter; the tests need its standard library only.
pub fn test(root: &Path, python: &str) -> Result<(), String> {
    let out = prepare(root)?;
    let tests = root.join("tests/uniffi");
    run(Command::new(python)
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(&tests)
        .env("PYTHONPATH", out.join("python"))
        .current_dir(root))
}

/// Builds the library with the test entry, generates every language below `target/uniffi` and puts the library beside the Python
/// module, which looks for it there: the folder.
pub fn prepare(root: &Path) -> Result<PathBuf, String> {
    let out = root.join("target/uniffi");
    let library = root.join("target/debug").join(library_name());
    cargo(root, &["build", "--quiet", "--package", "proveil-uniffi", "--features", "test-entry"])?;
    let arguments =
        [library.as_os_str(), root.join("bindings/uniffi/uniffi.toml").as_os_str(), out.as_os_str()]
            .map(OsStr::to_owned);
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(["run", "--quiet", "--package", "proveil-uniffi-bindgen", "--"]).args(arguments);
    run(command.args(["python", "kotlin", "swift"]).current_dir(root))?;
    let target = out.join("python").join(library_name());
    let fresh = target.with_extension("new");
    std::fs::copy(&library, &fresh)
        .and_then(|_| std::fs::rename(&fresh, &target))
        .map_err(|error| format!("cannot copy {} to {}: {error}", library.display(), target.display()))?;
    Ok(out)
}

fn library_name() -> String {
    format!("{}proveil_uniffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(Command::new(program).args(arguments).current_dir(root))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}
