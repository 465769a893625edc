//! `cargo xtask demo`: builds what is needed and runs `proveil demo` with the same chat from every language present.

use std::path::Path;

use crate::process::{cargo, output, run};
use crate::{package_c, test_node, test_python};

/// Builds and runs.
pub fn run_demo(root: &Path) -> Result<(), String> {
    let step = |what: &str| eprintln!("building {what} ...");
    step("the command line and the Rust example");
    run(
        root,
        &cargo(),
        ["build", "--quiet", "--package", "proveil-cli", "--package", "proveil-example-chat"],
    )?;
    let built = root.join("target/debug");
    let mut programs = vec![entry(&["Rust", &shown(&built.join("chat"))])];
    let mut left_out = Vec::new();
    let mut add = |label: &str, program: Result<String, String>| match program {
        Ok(program) => programs.push(program),
        Err(why) => left_out.push(format!("{label}: {why}")),
    };
    step("the C library and its example");
    add("C", c_program(root));
    step("the Python wheel");
    add("Python", python_program(root));
    step("the Node addon");
    add("Node", node_program(root));
    let mut arguments = vec!["demo".to_owned()];
    for program in programs {
        arguments.extend(["--also".to_owned(), program]);
    }
    eprintln!();
    run(root, &shown(&built.join("proveil")), &arguments)?;
    for line in left_out {
        eprintln!("left out - {line}");
    }
    Ok(())
}

fn c_program(root: &Path) -> Result<String, String> {
    output(root, "cc", ["--version"]).map_err(|_| "no C compiler".to_owned())?;
    let built = package_c::build(root, false)?;
    let package = package_c::target_dir(root).join("demo/c");
    package_c::stage(root, &built, &package)?;
    let program = package_c::target_dir(root).join("demo/chat");
    let library = package.join("lib");
    let arguments = [
        "-std=c99".to_owned(),
        format!("-I{}", shown(&package.join("include"))),
        shown(&root.join("examples/c/chat.c")),
        "-o".to_owned(),
        shown(&program),
        format!("-L{}", shown(&library)),
        "-lproveil".to_owned(),
        format!("-Wl,-rpath,{}", shown(&library)),
    ];
    run(root, "cc", arguments)?;
    Ok(entry(&["C", &shown(&program)]))
}

fn python_program(root: &Path) -> Result<String, String> {
    output(root, "python3", ["-c", "import venv, ensurepip"])
        .map_err(|_| "no python3 with venv".to_owned())?;
    let python = test_python::environment(root, "python3", false)?;
    Ok(entry(&["Python", &shown(&python), &shown(&root.join("examples/python/chat.py"))]))
}

fn node_program(root: &Path) -> Result<String, String> {
    output(root, "npm", ["--version"]).map_err(|_| "no node with npm".to_owned())?;
    test_node::prepare(root, test_node::Build { release: false, test_entry: false })?;
    Ok(entry(&["Node", "node", &shown(&root.join("examples/node/chat.mjs"))]))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A JSON array of texts.
fn entry(parts: &[&str]) -> String {
    serde_json::to_string(parts).unwrap_or_default()
}
