//! Builds the Node package and runs its tests: `npm ci`, addon, TypeScript, consumer types, `node:test`.

use std::path::{Path, PathBuf};

use crate::process::{SIMULATORS, cargo, output, run};

/// Where the addon goes: `node/` for tests and demo.
const PACKAGE: &str = "node";

/// Everything, in the `dev` profile with the test entry or in `release` with it too.
pub fn test(root: &Path, release: bool) -> Result<(), String> {
    prepare(root, Build { release, test_entry: true })?;
    let package = root.join(PACKAGE);
    run(&package, npm(), ["run", "--silent", "check"])?;
    run(root, &cargo(), SIMULATORS)?;
    let mut arguments = ["--expose-gc", "--test", "--test-reporter=spec"].map(str::to_owned).to_vec();
    arguments.extend(test_files(&package)?);
    run(&package, "node", arguments)?;
    smoke(root)
}

/// Makes the tarball that `npm install` takes, with the addon of this machine, in `target/node/<name>`.
pub fn pack(root: &Path, name: &str) -> Result<PathBuf, String> {
    let folder = root.join("target/node").join(name);
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let destination = folder.display().to_string();
    let file = output(&root.join(PACKAGE), npm(), ["pack", "--silent", "--pack-destination", &destination])?;
    Ok(folder.join(file))
}

/// The packed package works in a folder of its own, for both kinds of module.
fn smoke(root: &Path) -> Result<(), String> {
    const USE: &str =
        "if (!proveil.providers().includes('venice') || !proveil.version) throw new Error('incomplete');";
    let tarball = pack(root, "smoke")?;
    let app = root.join("target/node/smoke/app");
    let fail = |error: std::io::Error| format!("cannot prepare {}: {error}", app.display());
    if app.exists() {
        std::fs::remove_dir_all(&app).map_err(fail)?;
    }
    std::fs::create_dir_all(&app).map_err(fail)?;
    std::fs::write(app.join("package.json"), "{\"private\": true}\n").map_err(fail)?;
    let quiet = ["install", "--silent", "--offline", "--no-audit", "--no-fund", "--ignore-scripts"];
    let tarball = tarball.display().to_string();
    run(&app, npm(), quiet.into_iter().chain([tarball.as_str()]))?;
    for (kind, load) in [
        ("commonjs", "const proveil = require('proveil');"),
        ("module", "import * as proveil from 'proveil';"),
    ] {
        run(&app, "node", [format!("--input-type={kind}"), "--eval".to_owned(), format!("{load} {USE}")])?;
    }
    Ok(())
}

/// Node 20 takes no patterns, and a folder would run the tests' own helpers too.
fn test_files(package: &Path) -> Result<Vec<String>, String> {
    let fail = |error: std::io::Error| format!("cannot list node/test: {error}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(package.join("test")).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            files.push(format!("test/{name}"));
        }
    }
    files.sort();
    Ok(files)
}

/// How to build the addon.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The release profile instead of the development one.
    pub release: bool,
    /// With the entries that panic on purpose. Never in an addon that is handed out.
    pub test_entry: bool,
}

/// Builds what `import 'proveil'` needs, for tests, examples, benchmarks and the demo.
pub fn prepare(root: &Path, build: Build) -> Result<(), String> {
    let package = root.join(PACKAGE);
    if !is_installed(&package) {
        run(&package, npm(), ["ci"])?;
    }
    run(&package, npm(), ["run", "--silent", "build"])?;
    build_addon(root, &package, build)?;
    link_examples(root)
}

/// True when `node_modules` is what the lock file asks for: npm keeps a copy of the lock there.
pub(crate) fn is_installed(package: &Path) -> bool {
    let time = |path: &str| std::fs::metadata(package.join(path)).and_then(|data| data.modified()).ok();
    match (time("node_modules/.package-lock.json"), time("package-lock.json")) {
        (Some(installed), Some(locked)) => installed >= locked,
        _ => false,
    }
}

fn build_addon(root: &Path, package: &Path, build: Build) -> Result<(), String> {
    let mut arguments = vec!["build", "--quiet", "--package", "proveil-node"];
    if build.release {
        arguments.push("--release");
    }
    if build.test_entry {
        arguments.extend(["--features", "test-entry"]);
    }
    run(root, &cargo(), arguments)?;
    let built = root.join("target").join(if build.release { "release" } else { "debug" }).join(format!(
        "{}proveil_node{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let name = output(package, "node", ["-p", PLATFORM_NAME])?;
    let target = package.join(format!("proveil.{name}.node"));
    // Put in place by renaming: a process that has the old one loaded keeps it.
    let fresh = target.with_extension("new");
    std::fs::copy(&built, &fresh)
        .and_then(|_| std::fs::rename(&fresh, &target))
        .map_err(|error| format!("cannot copy {} to {}: {error}", built.display(), target.display()))
}

/// The package's own name for this machine.
const PLATFORM_NAME: &str = "const p = require('./dist/platform.js'); p.platformName(p.thisPlatform())";

/// Lets the examples import `proveil` as a user would.
fn link_examples(root: &Path) -> Result<(), String> {
    let modules = root.join("examples/node/node_modules");
    let link = modules.join("proveil");
    if link.exists() {
        return Ok(());
    }
    let fail = |error: std::io::Error| format!("cannot link {}: {error}", link.display());
    std::fs::create_dir_all(&modules).map_err(fail)?;
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(root.join(PACKAGE), &link);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_dir(root.join(PACKAGE), &link);
    linked.map_err(fail)
}

pub(crate) fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}
