//! Vector files and a fixed random source for the tests of this folder.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout
)]

pub mod fields;

use std::path::Path;

use proveil_core::crypto::{SecureRandom, sha256};
use proveil_core::http::ResponseHead;
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use serde_json::Value;

/// SHA-256 in counter mode: fixed for a seed, never repeating.
pub struct TestRandom(pub u64, pub u64);

impl SecureRandom for TestRandom {
    fn fill(&mut self, out: &mut [u8]) -> proveil_core::Result<()> {
        for chunk in out.chunks_mut(32) {
            self.1 += 1;
            let block = sha256(&[&self.0.to_be_bytes(), &self.1.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

/// Gives out the listed bytes in order and nothing else.
pub struct Listed(pub Vec<u8>);

impl SecureRandom for Listed {
    fn fill(&mut self, out: &mut [u8]) -> proveil_core::Result<()> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

/// The file `tests/vectors/<path>` at the root of the repository.
pub fn vector_bytes(path: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The same as JSON.
pub fn vector_file(path: &str) -> Value {
    serde_json::from_slice(&vector_bytes(path)).unwrap()
}

/// Runs every case of a vector file and reports each by id; fails at the end if one did.
pub fn run_cases(path: &str, run: impl Fn(&Value) -> Result<(), String>) {
    let file = vector_file(path);
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for case in cases {
        let id = text(case, "id");
        match run(case) {
            Ok(()) => println!("{path} {id}: ok"),
            Err(reason) => {
                println!("{path} {id}: FAILED: {reason}");
                failures.push(id);
            }
        }
    }
    println!("{path}: {} of {} cases pass", cases.len() - failures.len(), cases.len());
    assert!(failures.is_empty(), "{path}: {failures:?}");
}

pub fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("{}: no text {name}", case["id"]))
}

pub fn bytes(case: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(case, name)).unwrap_or_else(|| panic!("{}: no hex {name}", case["id"]))
}

pub fn secret(case: &Value, name: &str) -> Secret<32> {
    Secret::take(&mut bytes(case, name).try_into().unwrap())
}

pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

pub fn event_stream_head(status: u16, content_type: &str) -> ResponseHead {
    ResponseHead::new(status, [("Content-Type".to_owned(), content_type.to_owned())])
}
