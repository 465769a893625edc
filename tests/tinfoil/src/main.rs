//! Adapter for Tinfoil's conformance suite: one case in as JSON on standard input, the verdict out as JSON and as exit code.
//!
//! `proveil-tinfoil-adapter <stage>` with stage `verify-attestation-sev`, `verify-attestation-tdx` or `capabilities`. Exit codes: 0 accepted,
//! 10 rejected, 20 stage not supported, 30 input not understood, 1 anything else. It uses the public core alone; roots in the input are
//! handed over as a trust roots file, as any user does it. `cargo xtask test` runs all cases through it ("tinfoil conformance").

#![allow(clippy::print_stdout, reason = "the contract is spoken on standard output")]

mod sev;
mod tdx;

use std::io::Read;
use std::process::ExitCode;

use proveil_core::attest::TrustRoots;
use proveil_core::wire::{base64, hex};
use serde_json::{Value, json};

/// Largest case: the suite's are below 64 KiB.
const INPUT_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What became of a case.
pub enum Outcome {
    /// Accepted, with what was found.
    Accepted(Value),
    /// Rejected: the suite's code, and our own words.
    Rejected(&'static str, String),
}

/// The input is not what its stage describes.
pub struct Malformed(pub String);

fn main() -> ExitCode {
    let stage = std::env::args().nth(1).unwrap_or_default();
    let judge = match stage.as_str() {
        "verify-attestation-sev" => sev::judge,
        "verify-attestation-tdx" => tdx::judge,
        "capabilities" => {
            println!("{}", capabilities());
            return ExitCode::SUCCESS;
        }
        _ => return ExitCode::from(20),
    };
    match read().and_then(|input| judge(&input)) {
        Ok(Outcome::Accepted(outputs)) => {
            println!("{}", json!({ "stage": stage, "accepted": true, "outputs": outputs }));
            ExitCode::SUCCESS
        }
        Ok(Outcome::Rejected(code, detail)) => {
            let rejection = json!({ "code": code, "detail": detail });
            println!("{}", json!({ "stage": stage, "accepted": false, "rejection": rejection }));
            ExitCode::from(10)
        }
        Err(Malformed(why)) => {
            let rejection = json!({ "code": "MALFORMED_INPUT", "detail": why });
            println!("{}", json!({ "stage": stage, "accepted": false, "rejection": rejection }));
            ExitCode::from(30)
        }
    }
}

fn capabilities() -> Value {
    json!({
        "attestation_sev": {
            "supported": true,
            "injected_collateral_supported": true,
            "amd_root_ca_injection_supported": true,
            "extended_checks_supported": true,
            "verification_time_override": "supported",
        },
        "attestation_tdx": {
            "supported": true,
            "injected_collateral_supported": true,
            "tcb_evaluation_supported": true,
            "accepts_non_terminal_tcb_statuses": true,
            "extended_td_checks_supported": true,
            "public_api_hooks_supported": true,
            "verification_time_override": "supported",
        },
    })
}

fn read() -> Result<Value, Malformed> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|error| Malformed(error.to_string()))?;
    let input: Value = serde_json::from_str(&text).map_err(|error| Malformed(error.to_string()))?;
    match input.get("schema_version").and_then(Value::as_str) {
        Some("1") => Ok(input),
        _ => Err(Malformed("schema_version".to_owned())),
    }
}

/// A text member; absent and `null` are the same.
pub fn text<'a>(object: &'a Value, name: &str) -> Result<Option<&'a str>, Malformed> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed(name.to_owned())),
    }
}

/// A required member in base64.
pub fn base64_member(object: &Value, name: &str) -> Result<Vec<u8>, Malformed> {
    text(object, name)?.and_then(base64::decode).ok_or_else(|| Malformed(name.to_owned()))
}

/// A pin in hex of exactly `N` bytes.
pub fn pin<const N: usize>(policy: &Value, name: &str) -> Result<Option<[u8; N]>, Malformed> {
    let decode = |text| hex::decode_array(text).ok_or_else(|| Malformed(name.to_owned()));
    text(policy, name)?.map(decode).transpose()
}

/// The time to verify at.
pub fn time(input: &Value) -> Result<u64, Malformed> {
    let name = "expiration_check_date_unix";
    input.get(name).and_then(Value::as_u64).ok_or_else(|| Malformed(name.to_owned()))
}

/// Roots that the input gives, as the file form of trust roots; the vendors' without any.
pub fn roots(member: &str, certificates: &[Option<&str>]) -> Result<TrustRoots, Malformed> {
    let given: Vec<&str> = certificates.iter().copied().flatten().collect();
    if given.is_empty() {
        return Ok(TrustRoots::vendors());
    }
    if given.len() != certificates.len() {
        return Err(Malformed("roots come all or not at all".to_owned()));
    }
    let pem: Vec<&str> = given.iter().map(|pem| pem.trim()).collect();
    let file = json!({ "schema": "proveil.trust-roots/v1", member: pem.join("\n") + "\n" });
    TrustRoots::from_json(file.to_string().as_bytes()).map_err(|error| Malformed(error.to_string()))
}
