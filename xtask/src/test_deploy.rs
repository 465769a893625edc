//! `cargo xtask test deploy`: what ships the proxy (`deploy/`), judged by the tools of those who use it. They come from the Python package
//! registry, pinned, into an environment of their own; the checks are in `tests/deploy/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{output, run};

const REQUIREMENTS: &str = "tests/deploy/requirements.txt";

/// Why the step cannot run here, if so.
pub fn missing(root: &Path) -> Option<String> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    output(root, "python3", ["-c", check]).err().map(|_| "no python3 from 3.10 on with venv".to_owned())
}

/// Makes the environment and runs all checks, each of which says what it did.
pub fn test(root: &Path) -> Result<(), String> {
    let python = environment(root)?;
    run(root, &python, ["tests/deploy/check.py", "deploy"])
}

/// The interpreter of an environment with the pinned tools.
fn environment(root: &Path) -> Result<String, String> {
    let venv = root.join("target/deploy/venv");
    let python = program(&venv);
    let name = python.to_str().ok_or("the repository's path is no text")?.to_owned();
    let wanted =
        fs::read_to_string(root.join(REQUIREMENTS)).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    let stamp = venv.join("requirements.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(name);
    }
    // Absent is as good as removed.
    let _ = fs::remove_dir_all(&venv);
    run(root, "python3", ["-m".as_ref(), "venv".as_ref(), venv.as_os_str()])?;
    run(
        root,
        &name,
        [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
            REQUIREMENTS,
        ],
    )?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(name)
}

fn program(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts/python.exe") } else { venv.join("bin/python") }
}
