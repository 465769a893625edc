//! Running other programs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The cargo that runs this.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Arguments that make cargo build the simulated providers for the tests of other languages, side by side.
pub const SIMULATORS: [&str; 8] = [
    "build",
    "--quiet",
    "--package",
    "proveil-testkit",
    "--example",
    "serve",
    "--example",
    "serve_privatemode",
];

/// Runs a program to its end; anything but success is an error that names it.
pub fn run<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<(), String> {
    run_with(folder, program, arguments, &[])
}

/// The same with environment variables set.
pub fn run_with<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    environment: &[(&str, &str)],
) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    let status = command.status().map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(&command))) }
}

/// Standard output of a program that ends with success.
pub fn output<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} ended with {}\n{}", shown(&command), output.status, said.trim_end()))
    }
}

/// Program and arguments on one line.
fn shown(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
