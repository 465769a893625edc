//! Which TD reports a quote may carry (attestation.md 2.1): TD 1.0 and TD 1.5, each of its exact size. The extended form, which also speaks
//! of the virtual machines inside a partitioned TD and of its service TDs, is refused before anything in it is read (threats T06, T07).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use drive::NOW;
use drive::local::Scene;
use proveil_core::Code;
use proveil_core::attest::tdx::rules::{TdxPolicy, evaluate};
use proveil_core::attest::tdx::{BodyType, Quote, verify_with_raw_collateral};
use proveil_core::claims::TdxClaims;
use proveil_testkit::forge::Random;
use proveil_testkit::forge::quote::{QuoteSpec, TdBody};

/// Offset of body type and size in version 5.
const BODY: usize = 48;

fn verify(scene: &Scene, quote: &[u8]) -> Result<TdxClaims, proveil_core::Error> {
    let collateral = scene.collateral(&Default::default());
    verify_with_raw_collateral(quote, &collateral, &scene.roots(), NOW).map(|claims| claims.get().clone())
}

fn signed(scene: &Scene, version: u16, body_type: u16, edit: impl FnOnce(&mut TdBody)) -> Vec<u8> {
    let mut random = Random::from_seed([9; 32]);
    let mut body = scene.world.guest.body([7; 64]);
    edit(&mut body);
    let mut spec = QuoteSpec::new(version, body, &mut random);
    spec.body_type = body_type;
    scene.world.sign_quote(&spec)
}

/// Another type and size, and a body of that length, in a quote of version 5.
fn stated(quote: &[u8], kind: u16, size: u32, length: usize) -> Vec<u8> {
    let mut body = quote[BODY + 6..BODY + 6 + 648].to_vec();
    body.resize(length, 0);
    [&quote[..BODY], &kind.to_le_bytes(), &size.to_le_bytes(), &body, &quote[BODY + 6 + 648..]].concat()
}

#[test]
fn only_the_two_known_bodies_of_their_exact_sizes() {
    let scene = Scene::new(1);
    for (version, body_type, expected) in
        [(4, 2, BodyType::Td10), (5, 2, BodyType::Td10), (5, 3, BodyType::Td15)]
    {
        let quote = signed(&scene, version, body_type, |_| ());
        assert_eq!(Quote::parse(&quote).unwrap().body_type(), expected);
        verify(&scene, &quote).unwrap_or_else(|error| panic!("{version} {body_type}: {error}"));
    }
    let quote = signed(&scene, 5, 3, |_| ());
    for (kind, size, length) in [
        (0, 584, 584),
        (1, 384, 384),
        (1, 584, 584),
        (2, 585, 585),
        (2, 583, 583),
        (2, 648, 648),
        (3, 584, 584),
        (3, 647, 647),
        (3, 649, 649),
        (3, 885, 885),
        // The extended report: virtual machine id, TD id, device info, service TDs at launch and now.
        (4, 885, 885),
        (4, 648, 648),
        (4, 584, 584),
        (5, 648, 648),
        (0x0300, 648, 648),
        (u16::MAX, u32::MAX, 648),
    ] {
        let error = verify(&scene, &stated(&quote, kind, size, length)).unwrap_err();
        assert_eq!(
            (error.code(), error.check()),
            (Code::QuoteBodyType, Some("tdx.parse")),
            "{kind} {size}: {error}"
        );
    }
    // A stated size that is right and a body that is not: the signature's length is then read from the wrong place.
    for length in [647, 649, 885] {
        let error = verify(&scene, &stated(&quote, 3, 648, length)).unwrap_err();
        assert_eq!(error.code(), Code::QuoteMalformed, "{length}: {error}");
    }
    // Version 4 has no such header: a TD 1.5 body in it has trailing bytes.
    let mut old = signed(&scene, 4, 2, |_| ());
    old.splice(48 + 584..48 + 584, [0; 64]);
    assert_eq!(verify(&scene, &old).unwrap_err().code(), Code::QuoteMalformed);
}

/// T07: a service TD that is bound, or that may be bound later, is refused unless the policy names it.
#[test]
fn service_tds() {
    let scene = Scene::new(1);
    let servtd_ext = |body: &mut TdBody| body.td_attributes[2] |= 0x02;
    let bound = |body: &mut TdBody| body.mr_service_td = [1; 48];
    let last_byte = |body: &mut TdBody| body.mr_service_td[47] = 1;
    type Edit<'a> = &'a dyn Fn(&mut TdBody);
    let rows: [(&str, u16, u16, Edit<'_>, bool); 5] = [
        ("none", 5, 3, &|_| (), true),
        ("bound", 5, 3, &bound, false),
        ("bound, one byte", 5, 3, &last_byte, false),
        ("may be bound", 5, 3, &servtd_ext, false),
        ("may be bound, version 4", 4, 2, &servtd_ext, false),
    ];
    for (name, version, body_type, edit, accepted) in rows {
        let claims = verify(&scene, &signed(&scene, version, body_type, edit)).unwrap();
        for allow_service_td in [false, true] {
            let policy = TdxPolicy { allow_service_td, ..TdxPolicy::default() };
            let failed: Vec<&str> = evaluate(&claims, &policy)
                .into_iter()
                .filter(|found| !found.passed)
                .map(|found| found.check)
                .collect();
            let expected: &[&str] = if accepted || allow_service_td { &[] } else { &["tdx.service_td"] };
            assert_eq!(failed, expected, "{name}, allowed {allow_service_td}");
        }
    }
}
