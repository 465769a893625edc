//! Proveil's development commands, as a library so that tests can use them.

pub mod evidence;
