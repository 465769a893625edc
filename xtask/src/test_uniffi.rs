//! `cargo xtask test-uniffi`: builds the library, generates the sources of all three languages, runs the tests of the Python ones.

use std::path::{Path, PathBuf};

use crate::process::{SIMULATORS, cargo, run};

/// Everything. `python` names the interpreter; the tests need its standard library only.
pub fn test(root: &Path, python: &str) -> Result<(), String> {
    prepare(root)?;
    run(root, &cargo(), SIMULATORS)?;
    run(root, python, ["tests/uniffi/run.py"])
}

/// Builds the library with the test entry, generates every language below `target/uniffi` and puts the library where the Python
/// module looks for it: beside it.
pub fn prepare(root: &Path) -> Result<PathBuf, String> {
    let out = root.join("target/uniffi");
    let name = format!("{}proveil_uniffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = root.join("target/debug").join(&name);
    run(root, &cargo(), ["build", "--quiet", "--package", "proveil-uniffi", "--features", "test-entry"])?;
    run(root, &cargo(), ["build", "--quiet", "--package", "proveil-uniffi-bindgen"])?;
    let generator =
        root.join("target/debug").join(format!("proveil-uniffi-bindgen{}", std::env::consts::EXE_SUFFIX));
    let config = root.join("bindings/uniffi/uniffi.toml");
    let texts = [&library, &config, &out].map(|path| path.to_string_lossy().into_owned());
    let languages = ["python", "kotlin", "swift"].map(str::to_owned);
    run(root, &generator.to_string_lossy(), texts.into_iter().chain(languages))?;
    let target = out.join("python").join(&name);
    // Put in place by renaming: a process that has the old one loaded keeps it.
    let fresh = target.with_extension("new");
    std::fs::copy(&library, &fresh)
        .and_then(|_| std::fs::rename(&fresh, &target))
        .map_err(|error| format!("cannot copy {} to {}: {error}", library.display(), target.display()))?;
    Ok(out)
}
