//! Captured TDX quotes with changes that the evidence library does not list: every bit, every length, kept collateral.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{Random, captured, read_json, text};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::{
    CHECKS, Quote, VerifiedCollateral, position, verify, verify_with_raw_collateral,
};
use proveil_core::error::Class;
use proveil_core::evidence::{CaKind, TdxCollateral};
use proveil_core::wire::json::Json;

/// A version 5 quote and its collateral.
struct Sample {
    quote: Vec<u8>,
    collateral: TdxCollateral,
    at: u64,
}

fn sample(dir: &Path, id: &str) -> Sample {
    let index = read_json(&dir.join("index.json"));
    let samples = index.get("samples").and_then(Json::as_array).unwrap();
    let sample = samples.iter().find(|sample| text(sample, "id") == id).unwrap();
    let file = |role| std::fs::read(dir.join(text(sample.get("files").unwrap(), role))).unwrap();
    Sample {
        quote: file("quote"),
        collateral: TdxCollateral::from_json(&file("collateral")).unwrap(),
        at: sample.get("verify_time").and_then(Json::as_u64).unwrap(),
    }
}

/// T06 and the mutation rule of threats section 6: there is no don't-care bit in a quote without padding.
#[test]
fn every_flipped_bit_is_refused() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { quote, collateral, at } = sample(&dir, "v5-emr-90c06f");
    let roots = TrustRoots::default();
    let kept = VerifiedCollateral::verify(&collateral, &roots, at).unwrap();
    assert!(verify(&quote, &kept, &roots, at).is_ok());
    let chain = quote.windows(10).position(|window| window == b"-----BEGIN").unwrap();
    for place in 0..quote.len() {
        // Every bit of the binary part; one bit of each character of the certificates.
        for bit in if place < chain { 0..8 } else { 0..1 } {
            let mut changed = quote.clone();
            changed[place] ^= 1 << bit;
            assert!(verify(&changed, &kept, &roots, at).is_err(), "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn every_truncation_is_refused_and_padding_must_be_zero() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { quote, collateral, at } = sample(&dir, "v5-emr-90c06f");
    let roots = TrustRoots::default();
    let kept = VerifiedCollateral::verify(&collateral, &roots, at).unwrap();
    for length in 0..quote.len() {
        assert!(verify(&quote[..length], &kept, &roots, at).is_err(), "cut at {length}");
    }
    let padded = |padding: &[u8]| [quote.as_slice(), padding].concat();
    let claims = verify(&padded(&[0; 70]), &kept, &roots, at).unwrap();
    assert_eq!(claims.get(), verify(&quote, &kept, &roots, at).unwrap().get());
    let error = verify(&padded(&[0, 0, 1]), &kept, &roots, at).unwrap_err();
    assert_eq!((error.check(), error.slug()), (Some("tdx.padding"), "quote_malformed"));
    assert!(verify(&padded(&vec![0; 16 * 1024]), &kept, &roots, at).is_err());
}

/// T19, T22: collateral is judged again at each use.
#[test]
fn kept_collateral_ends_with_its_dates() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { quote, collateral, at } = sample(&dir, "v5-emr-90c06f");
    let roots = TrustRoots::default();
    let kept = VerifiedCollateral::verify(&collateral, &roots, at).unwrap();
    assert_eq!((kept.evaluation_number(), kept.ca_kind()), (19, CaKind::Platform));
    assert!(kept.issued_at() <= at && at < kept.expires_at());
    assert!(verify(&quote, &kept, &roots, kept.expires_at() - 1).is_ok());
    let late = verify(&quote, &kept, &roots, kept.expires_at()).unwrap_err();
    assert_eq!((late.check(), late.code().class()), (Some("tdx.collateral.expired"), Class::Indeterminate));
    let early = verify(&quote, &kept, &roots, kept.issued_at() - 1).unwrap_err();
    assert_eq!(early.code().class(), Class::Indeterminate, "{early}");
    for time in [kept.expires_at(), kept.issued_at() - 1] {
        let error = VerifiedCollateral::verify(&collateral, &roots, time).unwrap_err();
        assert_eq!(error.code().class(), Class::Indeterminate, "{error}");
    }
}

/// T68: collateral that was verified under one root is of no use under another.
#[test]
fn kept_collateral_is_bound_to_its_root() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { quote, collateral, at } = sample(&dir, "v5-emr-90c06f");
    let kept = VerifiedCollateral::verify(&collateral, &TrustRoots::default(), at).unwrap();
    let synthetic = read_json(&dir.join("synthetic.json"));
    let file = Json::Object(vec![
        ("schema".into(), Json::String("proveil.trust-roots/v1".into())),
        ("intel_sgx_root_pem".into(), Json::String(text(&synthetic, "root_pem").into())),
    ]);
    let custom = TrustRoots::from_json(file.to_compact().as_bytes()).unwrap();
    assert_eq!(verify(&quote, &kept, &custom, at).unwrap_err().check(), Some("tdx.pck_chain"));
    let none = TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap();
    assert_eq!(verify(&quote, &kept, &none, at).unwrap_err().check(), Some("tdx.pck_chain"));
    let error = VerifiedCollateral::verify(&collateral, &none, at).unwrap_err();
    assert_eq!(error.check(), Some("tdx.tcb_signing_chain"));

    let cases = synthetic.get("cases").and_then(Json::as_array).unwrap();
    let quote = proveil_core::wire::base64::decode(text(&cases[0], "quote_b64")).unwrap();
    let at = cases[0].get("verify_time").and_then(Json::as_u64).unwrap();
    let theirs = synthetic.get("collateral").unwrap().to_compact();
    let theirs = TdxCollateral::from_json(theirs.as_bytes()).unwrap();
    let claims = verify_with_raw_collateral(&quote, &theirs, &custom, at).unwrap();
    assert!(claims.custom_root);
    assert_eq!(verify(&quote, &kept, &custom, at).unwrap_err().check(), Some("tdx.tcb_signing_chain"));
}

/// T15, T45: no change of a byte of the collateral is accepted, and none makes a panic.
#[test]
fn changed_collateral_is_refused() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { collateral, at, .. } = sample(&dir, "v5-emr-90c06f");
    let roots = TrustRoots::default();
    let refused = |changed: &TdxCollateral| VerifiedCollateral::verify(changed, &roots, at).is_err();
    let mut random = Random(0xc011);
    for _ in 0..300 {
        let place = usize::try_from(random.next()).unwrap();
        let bit = 1 << (random.next() % 8);
        for part in 0..4 {
            let mut changed = collateral.clone();
            let bytes = binary_part(&mut changed, part);
            let place = place % bytes.len();
            bytes[place] ^= bit;
            assert!(refused(&changed), "part {part}, byte {place}, mask {bit:#x}");
            binary_part(&mut changed, part).truncate(place);
            assert!(refused(&changed), "part {part}, cut at {place}");
        }
        let mut changed = collateral.clone();
        changed.tcb_info.remove(place % collateral.tcb_info.len());
        assert!(refused(&changed), "TCB info without a character at {place}");
        let mut changed = collateral.clone();
        changed.qe_identity.insert(place % collateral.qe_identity.len(), ' ');
        assert!(refused(&changed), "QE identity with a blank at {place}");
    }
}

fn binary_part(collateral: &mut TdxCollateral, part: u8) -> &mut Vec<u8> {
    match part {
        0 => &mut collateral.root_ca_crl,
        1 => &mut collateral.pck_crl,
        2 => &mut collateral.tcb_info_signature,
        _ => &mut collateral.qe_identity_signature,
    }
}

#[test]
fn requests_name_the_platform_of_the_quote() {
    let Some(dir) = captured("tdx") else { return };
    let Sample { quote, .. } = sample(&dir, "v5-emr-90c06f");
    let requests = Quote::parse(&quote).unwrap().collateral_requests().unwrap();
    assert_eq!(requests.tcb_info, "/tdx/certification/v4/tcb?fmspc=90C06F000000");
    assert_eq!(requests.pck_crl, "/sgx/certification/v4/pckcrl?ca=platform&encoding=der");
    let last = CHECKS.last().unwrap();
    assert_eq!(position(last.id, proveil_core::Code::TcbEvaluationNumber), Some(CHECKS.len() - 1));
}
