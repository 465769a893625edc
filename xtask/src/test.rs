//! `cargo xtask test`: every test in every language present, with all set-up.

use std::path::Path;

use crate::process::{cargo, output, run};
use crate::{
    check, conformance, evidence, r#gen, layers, surface, test_browser, test_c, test_clients, test_deploy,
    test_node, test_python, test_uniffi, tinfoil, tree, vectors,
};

/// Crates that are built and tested as their language's package or measured, not by `cargo test`.
const PACKAGED: [&str; 5] =
    ["proveil-python", "proveil-node", "proveil-uniffi", "proveil-uniffi-bindgen", "proveil-bench"];

/// One step of the run.
struct Step {
    name: &'static str,
    /// Why the step cannot run here, if so.
    missing: fn(&Path) -> Option<String>,
    run: fn(&Path) -> Result<(), String>,
}

const STEPS: &[Step] = &[
    Step { name: "format and lints", missing: |_| None, run: lint },
    Step { name: "documentation", missing: |_| None, run: check::documentation },
    Step { name: "generated files", missing: |_| None, run: |root| r#gen::run(root, true) },
    Step { name: "layers of the core", missing: |_| None, run: check_layers },
    Step { name: "surface", missing: |_| None, run: |root| surface::run(root, false) },
    Step { name: "tree", missing: |_| None, run: tree::check },
    Step { name: "vectors", missing: |_| None, run: |root| vectors::run(root, true) },
    Step { name: "rust", missing: |_| None, run: rust },
    Step { name: "rust, both crypto back ends", missing: |_| None, run: portable },
    Step { name: "captured evidence", missing: no_evidence, run: captured },
    Step { name: "tinfoil conformance", missing: tinfoil::missing, run: tinfoil::test },
    Step { name: "c library", missing: no_c_compiler, run: c_library },
    Step { name: "python", missing: no_python, run: |root| test_python::test(root, "python3", false) },
    Step { name: "node", missing: no_node, run: |root| test_node::test(root, false) },
    Step { name: "uniffi", missing: no_python, run: |root| test_uniffi::test(root, "python3") },
    Step { name: "conformance", missing: no_python, run: |root| conformance::test(root, None) },
    Step { name: "clients", missing: test_clients::missing, run: test_clients::test },
    Step { name: "deploy", missing: test_deploy::missing, run: test_deploy::test },
    Step { name: "browser", missing: |_| test_browser::missing(), run: test_browser::test },
];

/// Steps over captured evidence.
const CAPTURED: [&str; 2] = ["captured evidence", "tinfoil conformance"];

/// Runs every step, or those whose name contains one of `only`. With `require_all` a language that is not there is an error.
/// Prints `N passed, N failed, N skipped` at the end.
pub fn run_all(root: &Path, require_all: bool, only: &[String]) -> Result<(), String> {
    if let Some(name) = only.iter().find(|name| !STEPS.iter().any(|step| step.name.contains(name.as_str()))) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no step has `{name}` in its name; there are: {}", names.join("; ")));
    }
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for step in STEPS {
        if !only.is_empty() && !only.iter().any(|name| step.name.contains(name.as_str())) {
            continue;
        }
        println!("\n=== {}", step.name);
        let outcome = match (step.missing)(root) {
            // Captured evidence is not part of the repository, so its absence is never an error.
            Some(why) if !require_all || CAPTURED.contains(&step.name) => {
                println!("skipped: {why}");
                skipped += 1;
                continue;
            }
            Some(why) => Err(why),
            None => (step.run)(root),
        };
        match outcome {
            Ok(()) => passed += 1,
            Err(error) => {
                println!("FAILED {}: {error}", step.name);
                failed.push(step.name);
            }
        }
    }
    println!("\n{passed} passed, {} failed, {skipped} skipped", failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Format and lints.
pub fn lint(root: &Path) -> Result<(), String> {
    run(root, &cargo(), ["fmt", "--all", "--check"])?;
    // Not `--all-targets`: that would build addons as test programs, without the exports that use their functions.
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    let mut arguments = vec!["clippy", "--quiet", "--workspace"];
    arguments.extend(targets);
    arguments.extend(["--", "-D", "warnings"]);
    run(root, &cargo(), arguments)
}

/// Layers of the core and its dependency tree.
pub fn check_layers(root: &Path) -> Result<(), String> {
    let found = layers::violations(root)?;
    if found.is_empty() { Ok(()) } else { Err(format!("\n  {}", found.join("\n  "))) }
}

fn rust(root: &Path) -> Result<(), String> {
    let mut arguments = vec!["test", "--workspace", "--no-fail-fast"];
    for package in PACKAGED {
        arguments.extend(["--exclude", package]);
    }
    run(root, &cargo(), arguments)
}

fn portable(root: &Path) -> Result<(), String> {
    run(root, &cargo(), ["test", "--package", "proveil-core", "--features", "portable", "crypto"])?;
    run(
        root,
        &cargo(),
        [
            "test",
            "--package",
            "proveil-core",
            "--no-default-features",
            "--features",
            "portable",
            "--test",
            "venice_vectors",
            "--test",
            "privatemode_seal",
            "--test",
            "privatemode_oae",
            "--test",
            "wycheproof",
        ],
    )
}

fn no_evidence(_: &Path) -> Option<String> {
    let dir = evidence::default_dir();
    (!dir.is_dir()).then(|| format!("no captured evidence at {}", dir.display()))
}

fn captured(_: &Path) -> Result<(), String> {
    let report = evidence::judge(&evidence::default_dir(), None)?;
    print!("{}", report.text());
    if report.is_right() { Ok(()) } else { Err("verdicts differ from the expected ones".to_owned()) }
}

fn no_c_compiler(root: &Path) -> Option<String> {
    let both = output(root, "gcc", ["--version"]).and_then(|_| output(root, "g++", ["--version"]));
    both.err().map(|_| "no gcc with g++".to_owned())
}

fn c_library(root: &Path) -> Result<(), String> {
    test_c::test(root, test_c::Options { valgrind: true, asan: true })
}

fn no_python(root: &Path) -> Option<String> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    output(root, "python3", ["-c", check]).err().map(|_| "no python3 from 3.10 on with venv".to_owned())
}

fn no_node(root: &Path) -> Option<String> {
    let check = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    let both = output(root, "node", ["-e", check]).and_then(|_| output(root, "npm", ["--version"]));
    both.err().map(|_| "no node from 20 on with npm".to_owned())
}
