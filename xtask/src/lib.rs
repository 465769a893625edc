//! Proveil's development commands, as a library so that tests can use them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

pub mod bench;
pub mod check;
pub mod conformance;
pub mod demo;
pub mod evidence;
pub mod r#gen;
pub mod layers;
pub mod package_c;
pub mod process;
pub mod surface;
pub mod sweep;
pub mod test;
pub mod test_browser;
pub mod test_c;
pub mod test_clients;
pub mod test_deploy;
pub mod test_node;
pub mod test_python;
pub mod test_uniffi;
pub mod tinfoil;
pub mod tree;
pub mod vectors;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
