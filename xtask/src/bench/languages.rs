//! What a chunk costs in C, Python and Node beside Rust, and what importing the Python package costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::row::Row;
use super::row::Target::AtMost;
use super::{UNPREPARED, cargo_name, number, output};
use crate::package_c;

/// How often each language has its turn; the fastest counts.
const ROUNDS: usize = 7;
/// `import proveil` beyond the interpreter's own start.
const IMPORT_MAX_MS: f64 = 60.0;

/// A language and how to measure it.
struct Language {
    name: &'static str,
    most: f64,
    /// The program with its arguments, or what is missing.
    program: Result<Vec<PathBuf>, String>,
    environment: Option<(&'static str, PathBuf)>,
}

/// All rows of this module. `bench` is the program that records the answer and opens it from Rust.
pub(super) fn rows(root: &Path, target: &Path, bench: &Path) -> Result<Vec<Row>, String> {
    let dir = target.join("bench");
    output(Command::new(bench).arg("record").arg(&dir))?;
    let languages = [c(root, target, &dir), python(root, target), node(root, target)];
    let mut rust = f64::INFINITY;
    let mut times = languages.each_ref().map(|_| f64::INFINITY);
    if languages.iter().any(|language| language.program.is_ok()) {
        for _ in 0..ROUNDS {
            rust = rust.min(number(Command::new(bench).arg("replay").arg(&dir))?);
            for (language, time) in languages.iter().zip(&mut times) {
                if let Some(mut command) = language.command(&dir) {
                    *time = time.min(number(&mut command)?);
                }
            }
        }
    }
    let mut rows: Vec<Row> =
        languages.iter().zip(times).map(|(language, time)| language.row(time, rust)).collect();
    rows.push(import(root, target)?);
    Ok(rows)
}

impl Language {
    fn command(&self, dir: &Path) -> Option<Command> {
        let (program, arguments) = self.program.as_ref().ok()?.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).arg(dir);
        if let Some((name, value)) = &self.environment {
            command.env(name, value);
        }
        Some(command)
    }

    fn row(&self, time: f64, rust: f64) -> Row {
        let name = format!("{}.chunk_over_rust", self.name);
        let (value, what) = match &self.program {
            Ok(_) => (
                Some(time / rust),
                format!(
                    "network pieces of 32 events to texts, per chunk {:.2} us; Rust {:.2} us",
                    time / 1e3,
                    rust / 1e3
                ),
            ),
            Err(missing) => (None, missing.clone()),
        };
        Row::new(&name, value, "x", AtMost(self.most), what)
    }
}

/// Compiles `bench/c/bench.c` against the release library.
fn c(root: &Path, target: &Path, dir: &Path) -> Language {
    let libraries = dir.join("lib");
    let program = compile_c(root, target, dir, &libraries).map(|program| vec![program]);
    Language { name: "c", most: 1.02, program, environment: Some(("LD_LIBRARY_PATH", libraries)) }
}

fn compile_c(root: &Path, target: &Path, dir: &Path, libraries: &Path) -> Result<PathBuf, String> {
    let release = target.join("release");
    let library = release.join("libproveil.so");
    if !library.exists() {
        return Err(UNPREPARED.to_owned());
    }
    // The loader asks for the name that the library gives itself.
    fs::create_dir_all(libraries).map_err(|error| package_c::failed(libraries, &error))?;
    package_c::copy(&library, &libraries.join("libproveil.so.0"))?;
    let program = dir.join("bench-c");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler
        .args(["-std=c99", "-D_POSIX_C_SOURCE=200112L", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root.join("include"))
        .arg(root.join("bench/c/bench.c"))
        .arg("-o")
        .arg(&program)
        .arg(library);
    output(&mut compiler).map(|_| program)
}

fn python(root: &Path, target: &Path) -> Language {
    let program = interpreter(target).map(|python| vec![python, root.join("bench/python/bench.py")]);
    Language { name: "python", most: 1.10, program, environment: None }
}

/// The interpreter that has the release wheel, see [`crate::test_python::environment`].
fn interpreter(target: &Path) -> Result<PathBuf, String> {
    let python = target.join("python/release-venv/bin/python");
    if python.exists() { Ok(python) } else { Err(UNPREPARED.to_owned()) }
}

fn node(root: &Path, target: &Path) -> Language {
    let program = match is_release_addon(root, target) {
        true => Ok(vec![PathBuf::from("node"), root.join("bench/node/bench.mjs")]),
        false => Err(UNPREPARED.to_owned()),
    };
    Language { name: "node", most: 1.15, program, environment: None }
}

/// The addon that the package loads is the one of the release profile.
fn is_release_addon(root: &Path, target: &Path) -> bool {
    let Ok(built) = fs::read(target.join("release").join(cargo_name("proveil_node"))) else { return false };
    let Ok(entries) = fs::read_dir(root.join("node")) else { return false };
    let mut addons = entries.filter_map(Result::ok).map(|entry| entry.path());
    addons.any(|path| {
        path.extension().is_some_and(|extension| extension == "node")
            && fs::read(path).is_ok_and(|addon| addon == built)
    })
}

fn import(root: &Path, target: &Path) -> Result<Row, String> {
    let row = |value, what: &str| Row::new("python.import", value, "ms", AtMost(IMPORT_MAX_MS), what);
    match interpreter(target) {
        Ok(python) => {
            let time = number(Command::new(python).arg(root.join("bench/python/bench.py")).arg("--import"))?;
            Ok(row(Some(time), "CPU time of `import proveil` beyond the interpreter's own start"))
        }
        Err(missing) => Ok(row(None, &missing)),
    }
}
