//! `cargo xtask <command>`: see [`USAGE`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::path::PathBuf;
use std::process::ExitCode;

use xtask::sweep::Extent;
use xtask::{
    bench, check, conformance, demo, evidence, r#gen, layers, package_c, root, surface, sweep, test, test_c,
    test_node, test_python, test_uniffi, vectors,
};

const USAGE: &str = "usage: cargo xtask <command>

  demo
      an enclave proven, a prompt sealed, an answer streamed in every language present; then three attacks refused
  test [--require-all] [STEP...]
      every test in every language present, with all set-up; --require-all makes a missing language an error
  check [--fuzz]
      the quick part of what CI runs: format, lints, documentation, generated files, layers, surface, repository rules, vectors;
      --fuzz then runs each fuzz target for 60 seconds
  bench [--json] [--advisory] [--prepare] [--full] [--build]
      measure speed, memory and sizes against their targets; a missed one is an error, unless --advisory; --prepare builds the
      release library, wheel, addon, binary and other verifiers first; --full sends the
      proxy 100,000 requests; --build adds a clean build of the core
  gen [--check]
      write, or compare, every generated file that is committed; without --check also the UniFFI sources (Kotlin, Swift, Python)
      below target/uniffi, which are not
  check-layers
      the core's modules import only from rows above them
  surface [--table]
      the public names of all languages agree with docs/surface.toml; --table prints it with all names written out
  vectors [--check]
      write, or compare, generated test vectors; copied ones must be as tests/vectors/MANIFEST.sha256 says, new sets are added to it
  sweep [--quick]
      flip every bit of genuine bundles of captured evidence; none may stay verified that tests/evidence/dont-care.toml does not
      list; --quick takes one bit of each byte of certificates and collateral, as the test run does
  evidence [--dir DIR] [--kind KIND]
      judge every sample, mutation and synthetic case of a directory of captured evidence (one that has an index.json, or whose
      subdirectories have) and compare with the expected verdicts; DIR defaults to $PROVEIL_EVIDENCE or ../shared/evidence
  conformance [--vectors DIR]
      build the driver of every language present and run test vectors through all of them; without DIR, those of
      every provider in tests/vectors
  drivers LANGUAGE...
      only build drivers, of rust, c, python, node, uniffi
  package-c --dir DIR [--release]
      stage headers, libraries, pkg-config file and CMake package of the C library under DIR
  test-c [--valgrind] [--asan]
      the C library alone, also under valgrind and AddressSanitizer if asked for
  test-python [--release] | test-node [--release] | test-uniffi
      one language alone
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    match dispatch(&command, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, mut arguments: Vec<String>) -> Result<(), String> {
    let root = root();
    match command {
        "demo" => {
            none_left(&arguments)?;
            demo::run_demo(&root)
        }
        "test" => {
            let require_all = flag(&mut arguments, "--require-all");
            test::run_all(&root, require_all, &arguments)
        }
        "check" => {
            let fuzz = flag(&mut arguments, "--fuzz");
            none_left(&arguments)?;
            check::run_all(&root, fuzz)
        }
        "bench" => {
            let options = bench::Options {
                json: flag(&mut arguments, "--json"),
                advisory: flag(&mut arguments, "--advisory"),
                prepare: flag(&mut arguments, "--prepare"),
                full: flag(&mut arguments, "--full"),
                build: flag(&mut arguments, "--build"),
            };
            none_left(&arguments)?;
            bench::run(&root, &evidence::default_dir(), options)
        }
        "gen" => {
            let check = flag(&mut arguments, "--check");
            none_left(&arguments)?;
            r#gen::run(&root, check)?;
            if !check {
                println!("wrote {}", test_uniffi::prepare(&root)?.display());
            }
            Ok(())
        }
        "check-layers" => {
            none_left(&arguments)?;
            let found = layers::violations(&root)?;
            if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
        }
        "surface" => {
            let print = flag(&mut arguments, "--table");
            none_left(&arguments)?;
            surface::run(&root, print)
        }
        "vectors" => {
            let check = flag(&mut arguments, "--check");
            none_left(&arguments)?;
            vectors::run(&root, check)
        }
        "sweep" => {
            let extent = if flag(&mut arguments, "--quick") { Extent::Quick } else { Extent::Full };
            none_left(&arguments)?;
            match sweep::missing() {
                Some(why) => Err(why),
                None => sweep::run(&root, extent),
            }
        }
        "evidence" => {
            let dir = value(&mut arguments, "--dir")?.map_or_else(evidence::default_dir, PathBuf::from);
            let kind = value(&mut arguments, "--kind")?;
            none_left(&arguments)?;
            let report = evidence::judge(&dir, kind.as_deref())?;
            print!("{}", report.text());
            if report.is_right() { Ok(()) } else { Err("verdicts differ from the expected ones".to_owned()) }
        }
        "conformance" => {
            let dir = value(&mut arguments, "--vectors")?.map(PathBuf::from);
            none_left(&arguments)?;
            conformance::test(&root, dir.as_deref())
        }
        "drivers" => arguments.iter().try_for_each(|language| conformance::prepare(&root, language)),
        "package-c" => {
            let release = flag(&mut arguments, "--release");
            let dir =
                value(&mut arguments, "--dir")?.ok_or_else(|| format!("--dir needs a value\n\n{USAGE}"))?;
            none_left(&arguments)?;
            package_c::package(&root, &PathBuf::from(dir), release)
        }
        "test-c" => {
            let valgrind = flag(&mut arguments, "--valgrind");
            let asan = flag(&mut arguments, "--asan");
            none_left(&arguments)?;
            test_c::test(&root, test_c::Options { valgrind, asan })
        }
        "test-python" => {
            let release = flag(&mut arguments, "--release");
            none_left(&arguments)?;
            test_python::test(&root, "python3", release)
        }
        "test-node" => {
            let release = flag(&mut arguments, "--release");
            none_left(&arguments)?;
            test_node::test(&root, release)
        }
        "test-uniffi" => {
            none_left(&arguments)?;
            test_uniffi::test(&root, "python3")
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// Takes a flag out of the arguments.
fn flag(arguments: &mut Vec<String>, name: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != name);
    arguments.len() != before
}

/// Takes `name VALUE` out of the arguments.
fn value(arguments: &mut Vec<String>, name: &str) -> Result<Option<String>, String> {
    let Some(place) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
    if place + 1 >= arguments.len() {
        return Err(format!("{name} needs a value\n\n{USAGE}"));
    }
    let value = arguments.remove(place + 1);
    arguments.remove(place);
    Ok(Some(value))
}

fn none_left(arguments: &[String]) -> Result<(), String> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(format!("unknown argument: {argument}\n\n{USAGE}")),
    }
}
