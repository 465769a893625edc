//! Proveil's development commands, as a library so that tests can use them.

#![allow(clippy::print_stdout, reason = "a command line tool talks to its user")]

pub mod bench;
pub mod evidence;
pub mod r#gen;
pub mod test_python;
