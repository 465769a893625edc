//! Runs `tests/c` and the examples in `examples/c` against the built library: plain, under valgrind, under AddressSanitizer.

mod simulated;
mod simulator;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::conformance;
use crate::package_c::{build, failed, stage, target_dir};
use crate::process::{cargo, run};

/// Warnings that the header and every test must be free of.
const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
const C99: &str = "-std=c99";
/// Test programs in C99, with the arguments that a sanitized or valgrind run adds to keep it short.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("layout", &[]),
    ("misuse", &[]),
    ("bundles", &[]),
    ("threads", &["quick"]),
    ("fork", &["quick"]),
    ("leak", &["quick"]),
];

/// What to run besides the plain tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Also under valgrind, where it is installed.
    pub valgrind: bool,
    /// Also with everything in Rust and C compiled for AddressSanitizer.
    pub asan: bool,
}

/// Builds and runs everything, prints one line per test and a closing count.
pub fn test(root: &Path, options: Options) -> Result<(), String> {
    let work = target_dir(root).join("c-tests");
    fs::create_dir_all(&work).map_err(|error| failed(&work, &error))?;
    let mut tests = Tests { root: root.to_path_buf(), work, passed: 0, failed: 0, skipped: 0 };

    // The variant with the test entry first, so that the plain one is what stays in cargo's folder.
    run(root, &cargo(), ["build", "--package", "proveil-c", "--features", "test-entry"])?;
    let entry = tests.work.join("entry");
    stage(root, &target_dir(root).join("debug"), &entry)?;
    let built = build(root, false)?;
    let package = tests.work.join("package");
    stage(root, &built, &package)?;

    tests.headers();
    tests.symbols(&package);
    tests.programs(&package, &entry);
    tests.package(&package);
    tests.simulated(&package)?;
    tests.conformance(&package);
    if options.valgrind {
        tests.valgrind(&package);
    }
    if options.asan {
        tests.asan()?;
    }
    println!("{} passed, {} failed, {} skipped", tests.passed, tests.failed, tests.skipped);
    if tests.failed == 0 { Ok(()) } else { Err("the C tests failed".to_owned()) }
}

struct Tests {
    root: PathBuf,
    work: PathBuf,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tests {
    /// Runs a command and counts it as one test.
    fn check(&mut self, name: &str, command: &mut Command) -> bool {
        let outcome = command.output().map_err(|error| format!("{command:?}: {error}")).and_then(|output| {
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("{command:?}: {}{}", output.status, text(&output)))
            }
        });
        self.count(name, outcome)
    }

    fn count(&mut self, name: &str, outcome: Result<(), String>) -> bool {
        match &outcome {
            Ok(()) => {
                self.passed = self.passed.saturating_add(1);
                println!("ok      {name}");
            }
            Err(why) => {
                self.failed = self.failed.saturating_add(1);
                println!("FAILED  {name}\n{why}");
            }
        }
        outcome.is_ok()
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.skipped = self.skipped.saturating_add(1);
        println!("skipped {name}: {why}");
    }

    fn source(&self, name: &str) -> PathBuf {
        self.root.join("tests/c").join(name)
    }

    /// A compiler with the warnings and the header's folder.
    fn compiler(&self, program: &str, standard: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(standard).args(WARNINGS).arg("-g").arg("-I").arg(self.root.join("include"));
        command
    }

    /// The header alone, twice, as C99, C11 and C++11, by every compiler that is here.
    fn headers(&mut self) {
        let cases = [
            ("gcc", C99, "header_alone.c"),
            ("gcc", C99, "header_twice.c"),
            ("gcc", "-std=c11", "header_alone.c"),
            ("g++", "-std=c++11", "header_cxx.cpp"),
            ("g++", "-std=c++20", "header_cxx.cpp"),
            ("g++", "-std=c++17", "hpp.cpp"),
            ("clang", C99, "header_alone.c"),
            ("clang++", "-std=c++11", "header_cxx.cpp"),
        ];
        for (compiler, standard, file) in cases {
            let name = format!("{file} {compiler} {standard}");
            if Command::new(compiler).arg("--version").output().is_err() {
                self.skip(&name, "no such compiler here");
                continue;
            }
            let source = self.source(file);
            self.check(&name, self.compiler(compiler, standard).arg("-fsyntax-only").arg(source));
        }
    }

    /// What the shared library exports is what `include/proveil.symbols` lists, and its name for the linker is the right one.
    fn symbols(&mut self, package: &Path) {
        let library = package.join("lib/libproveil.so");
        let exported = output(Command::new("nm").args(["-D", "--defined-only"]).arg(&library)).map(|text| {
            // Lines are `address type name@@version`; type A is the version itself.
            let names = text
                .lines()
                .filter(|line| !line.contains(" A "))
                .filter_map(|line| line.split_whitespace().last());
            names.filter_map(|name| name.split('@').next()).map(str::to_owned).collect()
        });
        let listed = fs::read_to_string(self.root.join("include/proveil.symbols"))
            .map_err(|error| error.to_string())
            .map(|text| text.lines().map(str::to_owned).collect());
        let same = exported.and_then(|exported: BTreeSet<String>| {
            let listed: BTreeSet<String> = listed?;
            let differences: Vec<&String> = exported.symmetric_difference(&listed).collect();
            if differences.is_empty() { Ok(()) } else { Err(format!("not in both: {differences:?}")) }
        });
        self.count("exported symbols", same);
        let named = output(Command::new("objdump").arg("-p").arg(&library)).and_then(|text| {
            let found = text
                .lines()
                .any(|line| line.trim().starts_with("SONAME") && line.ends_with("libproveil.so.0"));
            if found { Ok(()) } else { Err("no SONAME libproveil.so.0".to_owned()) }
        });
        self.count("soname", named);
    }

    /// Compiles one test program against the shared library in `package`.
    fn compile(&mut self, name: &str, package: &Path, extra: &[&str], suffix: &str) -> Option<PathBuf> {
        let program = self.work.join(format!("{name}{suffix}"));
        let mut command = self.compiler("gcc", C99);
        command.args(extra).arg(self.source(&format!("{name}.c"))).arg("-o").arg(&program);
        link_shared(&mut command, package);
        self.check(&format!("compile {name}{suffix}"), &mut command).then_some(program)
    }

    fn programs(&mut self, package: &Path, entry: &Path) {
        for (name, _) in PROGRAMS {
            if let Some(program) = self.compile(name, package, &[], "") {
                let root = self.root.clone();
                self.check(name, Command::new(program).current_dir(root));
            }
        }
        if let Some(program) = self.compile("panic", entry, &[], "") {
            self.check("panic", &mut Command::new(program));
        }
        let program = self.work.join("hpp");
        let source = self.source("hpp.cpp");
        let mut command = self.compiler("g++", "-std=c++17");
        link_shared(command.arg(source).arg("-o").arg(&program), package);
        if self.check("compile hpp", &mut command) {
            self.check("hpp", &mut Command::new(program));
        }
    }

    /// The package as a user finds it: pkg-config for the shared and the static library, CMake for both.
    fn package(&mut self, package: &Path) {
        let flags = |more: &[&str]| {
            output(
                Command::new("pkg-config")
                    .env("PKG_CONFIG_PATH", package.join("lib/pkgconfig"))
                    .args(["--cflags", "--libs"])
                    .args(more)
                    .arg("proveil"),
            )
        };
        if Command::new("pkg-config").arg("--version").output().is_err() {
            return self.skip("pkg-config", "not installed");
        }
        for example in ["verify", "chat"] {
            let program = self.work.join(format!("example-{example}"));
            let source = self.root.join("examples/c").join(example).with_extension("c");
            match flags(&[]) {
                Ok(flags) => {
                    let mut command = Command::new("gcc");
                    command.arg(C99).args(WARNINGS).arg(source).arg("-o").arg(program);
                    command.args(flags.split_whitespace());
                    self.check(&format!("compile examples/c/{example}.c by pkg-config"), &mut command);
                }
                Err(why) => {
                    self.count("pkg-config", Err(why));
                }
            }
        }
        let program = self.work.join("misuse-static");
        match flags(&["--static"]) {
            Ok(flags) => {
                let mut command = Command::new("gcc");
                command.arg(C99).arg(self.source("misuse.c")).arg("-o").arg(&program);
                // The static library in place of the shared one; everything else as pkg-config says.
                command.args(
                    flags
                        .split_whitespace()
                        .map(|flag| if flag == "-lproveil" { "-l:libproveil.a" } else { flag }),
                );
                if self.check("compile misuse with libproveil.a by pkg-config --static", &mut command) {
                    self.check("misuse with libproveil.a", &mut Command::new(program));
                }
            }
            Err(why) => {
                self.count("pkg-config --static", Err(why));
            }
        }
        self.cmake(package);
    }

    fn cmake(&mut self, package: &Path) {
        if Command::new("cmake").arg("--version").output().is_err() {
            return self.skip("cmake", "not installed");
        }
        let folder = self.work.join("cmake");
        let source = self.root.join("tests/c/cmake");
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(source).arg("-B").arg(&folder);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", package.display()));
        if self.check("cmake find_package(Proveil)", &mut configure)
            && self.check("cmake build", Command::new("cmake").arg("--build").arg(&folder))
        {
            self.check("layout by Proveil::proveil", &mut Command::new(folder.join("shared")));
            self.check("layout by Proveil::proveil_static", &mut Command::new(folder.join("static")));
        }
    }

    fn valgrind(&mut self, package: &Path) {
        if Command::new("valgrind").arg("--version").output().is_err() {
            return self.skip("valgrind", "not installed");
        }
        for (name, arguments) in PROGRAMS {
            let Some(program) = self.compile(name, package, &[], "-valgrind") else { continue };
            let mut command = Command::new("valgrind");
            command.current_dir(&self.root);
            // A forked child has the memory of threads that it does not have.
            let leaks = if *name == "fork" { "--leak-check=no" } else { "--leak-check=full" };
            command.args(["-q", "--error-exitcode=9", "--errors-for-leak-kinds=definite", leaks]);
            self.check(&format!("{name} under valgrind"), command.arg(program).args(*arguments));
        }
    }

    /// Everything in Rust and C compiled for AddressSanitizer, in a folder of its own. Needs no other toolchain: the installed one
    /// accepts the flag when told to.
    fn asan(&mut self) -> Result<(), String> {
        let triple = host()?;
        let target = target_dir(&self.root).join("asan");
        self.check(
            "build for AddressSanitizer",
            Command::new(cargo())
                .current_dir(&self.root)
                .args(["build", "--package", "proveil-c", "--target", &triple])
                .env("CARGO_TARGET_DIR", &target)
                .env("CARGO_BUILD_BUILD_DIR", target.join("build"))
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTFLAGS", "-Zsanitizer=address"),
        );
        let package = self.work.join("asan");
        stage(&self.root, &target.join(&triple).join("debug"), &package)?;
        let instrumented = output(Command::new("nm").arg("-D").arg(package.join("lib/libproveil.so")))
            .and_then(
                |text| if text.contains("__asan_") { Ok(()) } else { Err("no __asan_ symbols".to_owned()) },
            );
        self.count("the library is instrumented", instrumented);
        for (name, arguments) in PROGRAMS {
            if *name == "fork" {
                self.skip(
                    "fork under AddressSanitizer",
                    "its allocator may be locked for ever in a child forked beside other threads",
                );
                continue;
            }
            let Some(program) = self.compile(name, &package, &["-fsanitize=address"], "-asan") else {
                continue;
            };
            let mut command = Command::new(program);
            command.args(*arguments).current_dir(&self.root).env("ASAN_OPTIONS", "detect_leaks=1");
            self.check(&format!("{name} under AddressSanitizer"), &mut command);
        }
        Ok(())
    }
}

impl Tests {
    /// The vectors through the driver.
    fn conformance(&mut self, package: &Path) {
        let folder = target_dir(&self.root).join("c");
        let program = folder.join("conformance-driver");
        if let Err(error) = fs::create_dir_all(&folder) {
            self.count("conformance driver", Err(failed(&folder, &error)));
            return;
        }
        let mut command = self.compiler("gcc", C99);
        command.arg("-O2").arg(self.root.join("tests/conformance/drivers/c/driver.c")).arg("-o").arg(program);
        link_shared(&mut command, package);
        if self.check("compile the conformance driver", &mut command) {
            for provider in conformance::PROVIDERS {
                let mut run = Command::new("python3");
                run.current_dir(&self.root).args(["tests/conformance/run.py", "--vectors"]);
                run.arg(format!("tests/vectors/{provider}")).args(["--lang", "c", "--require-all"]);
                self.check(&format!("conformance vectors of {provider}"), &mut run);
            }
        }
    }
}

/// Links a program with the shared library in `package`, to be found there at run time.
fn link_shared(command: &mut Command, package: &Path) {
    let lib = package.join("lib");
    command.arg("-pthread").arg("-L").arg(&lib).arg("-lproveil").arg(format!("-Wl,-rpath,{}", lib.display()));
}

/// Standard output of a command that must succeed.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}{}", output.status, text(&output)))
    }
}

/// What a command printed.
fn text(output: &Output) -> String {
    format!("\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    output(Command::new("rustc").arg("-vV"))?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "rustc names no host".to_owned())
}
