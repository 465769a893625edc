//! `cargo xtask test-python`: builds the wheel, installs it into a clean virtual environment and tests what users would get.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, SIMULATORS, cargo};

/// The simulated provider that the tests start (testkit/examples/serve.rs).
const SIMULATOR: &str = if cfg!(windows) { "serve.exe" } else { "serve" };

/// How to build the wheel.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The release profile instead of the development one.
    pub release: bool,
    /// With the entry that panics on purpose. Never in a wheel that is handed out.
    pub test_entry: bool,
}

/// Builds the wheel and the simulated provider, runs pytest and mypy on what users would get. `python` names the interpreter, 3.10 or
/// newer.
pub fn test(root: &Path, python: &str, release: bool) -> Result<(), String> {
    let tools = tools(root, python)?;
    let wheel = wheel(root, &tools, Build { release, test_entry: true })?;
    let clean = install(root, python, &wheel, "test-venv", Some("requirements-test.txt"))?;
    println!(
        "python: {} ({} KiB)",
        file_name(&wheel),
        fs::metadata(&wheel).map_or(0, |data| data.len() / 1024)
    );
    process::run(root, &cargo(), SIMULATORS)?;
    let package = root.join("python");
    let mut pytest = Command::new(program(&clean, "python"));
    pytest
        .args(["-m", "pytest", "-q"])
        .env("PROVEIL_SIMULATOR", root.join("target/debug/examples").join(SIMULATOR));
    run(pytest.current_dir(&package))?;
    run(Command::new(program(&clean, "python")).args(["-m", "mypy"]).current_dir(&package))
}

/// An environment with the wheel, the test entry in it, and the pinned test tools.
pub fn prepare(root: &Path, python: &str, release: bool) -> Result<PathBuf, String> {
    let tools = tools(root, python)?;
    let wheel = wheel(root, &tools, Build { release, test_entry: true })?;
    println!(
        "python: {} ({} KiB)",
        file_name(&wheel),
        fs::metadata(&wheel).map_or(0, |data| data.len() / 1024)
    );
    install(root, python, &wheel, "test-venv", Some("requirements-test.txt"))
}

/// A clean environment with only the wheel in it, for examples, benchmarks and the demo: its interpreter.
pub fn environment(root: &Path, python: &str, release: bool) -> Result<PathBuf, String> {
    let tools = tools(root, python)?;
    let wheel = wheel(root, &tools, Build { release, test_entry: false })?;
    let name = if release { "release-venv" } else { "dev-venv" };
    Ok(program(&install(root, python, &wheel, name, None)?, "python"))
}

/// The environment that has maturin.
fn tools(root: &Path, python: &str) -> Result<PathBuf, String> {
    let venv = home(root).join("build-venv");
    fresh(python, &venv, false)?;
    requirements(&venv, &root.join("python/requirements-build.txt"))?;
    Ok(venv)
}

/// Builds the wheel.
fn wheel(root: &Path, tools: &Path, build: Build) -> Result<PathBuf, String> {
    let profile = if build.release { "release" } else { "dev" };
    let out = home(root).join(if build.test_entry { format!("{profile}-test") } else { profile.to_owned() });
    let _ = fs::remove_dir_all(&out);
    let mut command = Command::new(program(tools, "maturin"));
    command.args(["build", "--locked", "--auditwheel", "skip", "--profile", profile, "--out"]).arg(&out);
    if build.test_entry {
        command.args(["--features", "test-entry"]);
    }
    command.arg("--interpreter").arg(program(tools, "python")).env("VIRTUAL_ENV", tools);
    run(command.current_dir(root.join("python")))?;
    let entries = fs::read_dir(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let mut wheels = entries.filter_map(Result::ok).map(|entry| entry.path());
    wheels
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .ok_or_else(|| "maturin built no wheel".to_owned())
}

/// A new environment with the wheel and, if named, the pinned tools of a requirements file.
fn install(
    root: &Path,
    python: &str,
    wheel: &Path,
    name: &str,
    tools: Option<&str>,
) -> Result<PathBuf, String> {
    let venv = home(root).join(name);
    // Without other tools the environment is cheap, and a new one shows that nothing else is needed.
    fresh(python, &venv, tools.is_none())?;
    if let Some(file) = tools {
        requirements(&venv, &root.join("python").join(file))?;
    }
    pip(
        &venv,
        &[
            OsStr::new("--no-deps"),
            OsStr::new("--no-index"),
            OsStr::new("--force-reinstall"),
            wheel.as_os_str(),
        ],
    )?;
    Ok(venv)
}

/// Installs what a requirements file pins, unless the environment has it.
pub(crate) fn requirements(venv: &Path, path: &Path) -> Result<(), String> {
    let wanted = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let stamp = venv.join("requirements.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    pip(venv, &[OsStr::new("--requirement"), path.as_os_str()])?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

fn pip(venv: &Path, arguments: &[&OsStr]) -> Result<(), String> {
    let mut command = Command::new(program(venv, "python"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments);
    run(&mut command)
}

/// Makes an environment, or with `anew` a new one.
pub(crate) fn fresh(python: &str, venv: &Path, anew: bool) -> Result<(), String> {
    if anew {
        let _ = fs::remove_dir_all(venv);
    }
    if program(venv, "python").exists() {
        return Ok(());
    }
    run(Command::new(python).args(["-m", "venv"]).arg(venv))
}

fn home(root: &Path) -> PathBuf {
    root.join("target/python")
}

fn program(venv: &Path, name: &str) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join(format!("{name}.exe")) } else { venv.join("bin").join(name) }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!(
        "{} {:?}",
        file_name(Path::new(command.get_program())),
        command.get_args().collect::<Vec<_>>()
    );
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}
