//! TDX quotes as text and bytes: the committed vectors, truncation, noise (threats T06).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Random, text, vectors};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::{Quote, decode_quote_text, verify_with_raw_collateral};
use proveil_core::evidence::TdxCollateral;
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;

#[test]
fn vectors_parse_as_listed() {
    let cases = vectors("venice/quotes.json");
    assert!(!cases.is_empty());
    for case in &cases {
        let id = text(case, "id");
        let bytes =
            decode_quote_text(text(case, "intel_quote")).unwrap_or_else(|error| panic!("{id}: {error}"));
        let parsed = Quote::parse(&bytes);
        if text(case, "expect") == "error" {
            assert_eq!(parsed.unwrap_err().slug(), text(case, "error_class"), "{id}");
            continue;
        }
        let quote = parsed.unwrap_or_else(|error| panic!("{id}: {error}"));
        let fields = case.get("fields").expect("fields");
        let body = quote.body();
        assert_eq!(u64::from(quote.version()), fields.get("version").and_then(Json::as_u64).unwrap(), "{id}");
        assert_eq!(hex::encode(&body.report_data), text(fields, "report_data"), "{id}");
        assert_eq!(hex::encode(&body.rtmr[3]), text(fields, "rtmr3"), "{id}");
        assert_eq!(hex::encode(&body.mr_config_id), text(fields, "mr_config_id"), "{id}");
        assert_eq!(hex::encode(&body.mr_td), text(fields, "mrtd"), "{id}");
        let debug = fields.get("debug").and_then(Json::as_bool).unwrap();
        assert_eq!(body.td_attribute_bits() & 1 == 1, debug, "{id}");
    }
}

#[test]
fn texts_that_are_not_quotes() {
    for bad in ["", "0x", "0x0", "zz", "04 00", "BAAC=A", "\u{e4}"] {
        let bytes = decode_quote_text(bad).unwrap_or_default();
        assert!(Quote::parse(&bytes).is_err(), "{bad}");
    }
    let long = "00".repeat(16 * 1024 + 2);
    assert_eq!(decode_quote_text(&long).unwrap_err().slug(), "limit_exceeded");
    assert_eq!(Quote::parse(&[0; 16 * 1024 + 1]).unwrap_err().slug(), "limit_exceeded");
}

/// Collateral that is good for nothing, for quotes that never get that far.
fn no_collateral() -> TdxCollateral {
    TdxCollateral {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: Vec::new(),
        pck_crl: Vec::new(),
        tcb_info_issuer_chain: String::new(),
        tcb_info: String::new(),
        tcb_info_signature: Vec::new(),
        qe_identity_issuer_chain: String::new(),
        qe_identity: String::new(),
        qe_identity_signature: Vec::new(),
    }
}

#[test]
fn truncation_and_noise_never_panic() {
    let roots = TrustRoots::default();
    let collateral = no_collateral();
    let mut random = Random(0x7d17);
    for case in vectors("venice/quotes.json") {
        let Ok(bytes) = decode_quote_text(text(&case, "intel_quote")) else { continue };
        for length in 0..bytes.len() {
            let shorter = &bytes[..length];
            assert!(Quote::parse(shorter).is_err(), "{} cut at {length}", text(&case, "id"));
        }
        for _ in 0..2_000 {
            let mut noisy = bytes.clone();
            for _ in 0..1 + random.next() % 8 {
                let place = usize::try_from(random.next()).unwrap() % noisy.len();
                noisy[place] = random.next().to_be_bytes()[0];
            }
            assert!(verify_with_raw_collateral(&noisy, &collateral, &roots, 1_781_076_253).is_err());
        }
    }
    for length in 0..2_000 {
        let noise = random.bytes(length);
        assert!(Quote::parse(&noise).is_err());
        let _ = decode_quote_text(&String::from_utf8_lossy(&noise));
    }
}
