//! What several test files share.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::path::{Path, PathBuf};

use proveil_core::wire::json::Json;

/// Cases of a committed vector file, such as `venice/quotes.json`.
pub fn vectors(name: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    let file = Json::parse(&std::fs::read(&path).expect("a committed file")).expect("strict JSON");
    file.get("cases").and_then(Json::as_array).expect("cases").to_vec()
}

/// A directory of captured evidence, which is never committed; without it one line is printed and the test is skipped.
pub fn captured(kind: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("PROVEIL_EVIDENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/evidence"), PathBuf::from);
    let dir = dir.join(kind);
    if dir.join("index.json").is_file() {
        return Some(dir);
    }
    println!("skipped: no captured evidence of kind {kind}");
    None
}

/// Parses a file of captured evidence.
pub fn read_json(path: &Path) -> Json {
    Json::parse(&std::fs::read(path).expect("readable")).expect("strict JSON")
}

/// A text member.
pub fn text<'a>(object: &'a Json, name: &str) -> &'a str {
    object.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("no text member {name}"))
}

/// Repeatable random bytes (xorshift64*): the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Some bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
