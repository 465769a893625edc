//! The whole library of captured evidence must be judged as its indexes expect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use xtask::evidence;

#[test]
fn captured_evidence_is_judged_as_expected() {
    let dir = evidence::default_dir();
    if !dir.is_dir() {
        println!("skipped: no captured evidence");
        return;
    }
    let report = evidence::judge(&dir, None).expect("a readable library");
    assert!(report.is_right(), "{}", report.text());
}
