//! Forged TDX chains: every certificate and every signed document of a quote and its collateral ended, not yet valid, re-signed by a stranger,
//! put in another order, left out, repeated, or taken from a lookalike vendor. None is verified, and each refusal names its cause
//! (threats T15, T16, T19, T20, T22).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use std::sync::Arc;

use proveil_core::Code;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::{VerifiedCollateral, verify_with_raw_collateral};
use proveil_core::evidence::TdxCollateral;
use proveil_testkit::forge::{
    Certified, Collateral, CollateralSpec, DAY_S, EcKey, IntelPki, Platform, Random, Signer, World, WorldSpec,
};

const NOW: u64 = 1_790_000_000;

struct Scene {
    world: World,
    /// Another vendor with the same names.
    lookalike: IntelPki,
}

impl Scene {
    fn new() -> Scene {
        let mut random = Random::from_seed([71; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 0 });
        Scene { world, lookalike: IntelPki::generate(&mut random, NOW) }
    }

    fn quote(&self, platform: &Platform) -> Vec<u8> {
        let spec = self.world.quote_spec(4, [7; 64], &mut Random::from_seed([72; 32]));
        spec.sign(platform, &self.world.guest.attestation_key)
    }

    /// What becomes of a quote of this platform under this collateral and the honest world's root.
    fn judge(&self, platform: &Platform, collateral: &Collateral) -> Option<Code> {
        let roots = TrustRoots::from_json(self.world.trust_roots_json().as_bytes()).unwrap();
        let collateral = match TdxCollateral::from_json(collateral.to_json().as_bytes()) {
            Ok(collateral) => collateral,
            Err(error) => return Some(error.code()),
        };
        verify_with_raw_collateral(&self.quote(platform), &collateral, &roots, NOW)
            .err()
            .map(|error| error.code())
    }
}

/// Splits a PEM chain into its certificates.
fn blocks(pem: &str) -> Vec<String> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

/// Orders of the certificates of a chain, by number, each with a name; the first is the honest one.
fn orders(length: usize) -> Vec<(&'static str, Vec<usize>)> {
    let honest: Vec<usize> = (0..length).collect();
    let mut swapped = honest.clone();
    swapped.swap(0, 1);
    vec![
        ("honest", honest.clone()),
        ("reversed", honest.iter().rev().copied().collect()),
        ("first two swapped", swapped),
        ("without the first", honest[1..].to_vec()),
        ("without the last", honest[..length - 1].to_vec()),
        ("the first twice", [&[0], &honest[..]].concat()),
        ("the last twice", [&honest[..], &[length - 1]].concat()),
        ("empty", Vec::new()),
    ]
}

/// Changes of one certificate, with the key that then signs it: its issuer's when the given one is returned.
/// Name, change of a certificate.
type CertificateChange = (&'static str, fn(&mut Certified));

const CHANGES: &[CertificateChange] = &[
    ("ended", |certificate| certificate.spec.not_after = NOW - 1),
    ("not yet valid", |certificate| certificate.spec.not_before = NOW + DAY_S),
    ("another issuer", |certificate| certificate.spec.issuer = certificate.spec.subject.clone()),
    ("another name", |certificate| certificate.spec.subject = certificate.spec.issuer.clone()),
    ("no constraints", |certificate| drop(certificate.spec.extensions.pop())),
];

fn issued(certificate: &Certified, change: fn(&mut Certified), issuer: &EcKey) -> Certified {
    let mut changed = certificate.clone();
    change(&mut changed);
    Certified::issue(changed.key, changed.spec, issuer)
}

#[test]
fn certificates_of_the_quote() {
    let scene = Scene::new();
    let (intel, platform) = (&scene.world.intel, &scene.world.platform);
    let collateral = scene.world.collateral();
    assert_eq!(scene.judge(platform, &collateral), None);
    let judge = |pki: &IntelPki, pck: Certified| {
        scene.judge(&pki.platform_with(platform.spec.clone(), pck), &collateral)
    };
    let with_ca = |pck_ca: Certified| IntelPki { pck_ca, ..intel.clone() };
    for (name, change) in CHANGES {
        let leaf = issued(&platform.pck, *change, &intel.pck_ca.key);
        // The leaf's last extension is the platform's own; without it there is no platform.
        let wanted = if *name == "no constraints" { None } else { Some(Code::PckChain) };
        let found = judge(intel, leaf);
        assert!(
            found.is_some() && wanted.is_none_or(|wanted| found == Some(wanted)),
            "leaf {name}: {found:?}"
        );
        let ca = issued(&intel.pck_ca, *change, &intel.root.key);
        assert_eq!(judge(&with_ca(ca), platform.pck.clone()), Some(Code::PckChain), "authority {name}");
    }
    let strange = [
        ("leaf", issued(&platform.pck, |_| (), &scene.world.stranger), intel.pck_ca.clone()),
        ("leaf by the root", issued(&platform.pck, |_| (), &intel.root.key), intel.pck_ca.clone()),
        ("authority", platform.pck.clone(), issued(&intel.pck_ca, |_| (), &scene.world.stranger)),
        ("authority by itself", platform.pck.clone(), issued(&intel.pck_ca, |_| (), &intel.pck_ca.key)),
        ("authority of the lookalike", platform.pck.clone(), scene.lookalike.pck_ca.clone()),
        ("TCB signer as authority", platform.pck.clone(), intel.tcb_signing.clone()),
    ];
    for (name, leaf, ca) in strange {
        assert_eq!(judge(&with_ca(ca), leaf), Some(Code::PckChain), "{name}");
    }
    // A root of the same name, and a whole chain below it.
    let root = IntelPki { root: scene.lookalike.root.clone(), ..intel.clone() };
    assert_eq!(judge(&root, platform.pck.clone()), Some(Code::PckChain));
    let leaf = issued(&platform.pck, |_| (), &scene.lookalike.pck_ca.key);
    assert_eq!(judge(&scene.lookalike, leaf), Some(Code::PckChain));
}

#[test]
fn order_of_the_quotes_chain() {
    let scene = Scene::new();
    let collateral = scene.world.collateral();
    let honest = blocks(&scene.world.platform.chain_pem);
    for (name, order) in orders(honest.len()) {
        let mut platform = scene.world.platform.clone();
        platform.chain_pem = order.iter().map(|place| honest[*place].as_str()).collect();
        let found = scene.judge(&platform, &collateral);
        assert_eq!(found.is_none(), name == "honest", "{name}: {found:?}");
        assert!(
            found.is_none_or(|code| matches!(code, Code::PckChain | Code::QuoteMalformed)),
            "{name}: {found:?}"
        );
    }
}

type Slot = fn(&mut Collateral) -> &mut String;

const CHAINS: [(&str, Slot); 3] = [
    ("revocation list's chain", |collateral| &mut collateral.pck_crl_issuer_chain),
    ("TCB info's chain", |collateral| &mut collateral.tcb_info_issuer_chain),
    ("identity's chain", |collateral| &mut collateral.qe_identity_issuer_chain),
];

#[test]
fn chains_of_the_collateral() {
    let scene = Scene::new();
    let (intel, platform) = (&scene.world.intel, &scene.world.platform);
    let honest = scene.world.collateral();
    for (name, slot) in CHAINS {
        let mut changed = honest.clone();
        let chain = blocks(slot(&mut changed));
        for (order_name, order) in orders(chain.len()) {
            *slot(&mut changed) = order.iter().map(|place| chain[*place].as_str()).collect();
            let found = scene.judge(platform, &changed);
            assert_eq!(found.is_none(), order_name == "honest", "{name} {order_name}: {found:?}");
        }
    }
    let spec = scene.world.collateral_spec();
    let judge = |pki: &IntelPki| scene.judge(platform, &spec.sign(pki));
    for (name, change) in CHANGES {
        let tcb_signing = issued(&intel.tcb_signing, *change, &intel.root.key);
        // A leaf without basicConstraints is no authority either way.
        let found = judge(&IntelPki { tcb_signing, ..intel.clone() });
        assert!(found.is_some() || *name == "no constraints", "{name}");
    }
    for (name, tcb_signing) in [
        ("by a stranger", issued(&intel.tcb_signing, |_| (), &scene.world.stranger)),
        ("by the PCK authority", issued(&intel.tcb_signing, |_| (), &intel.pck_ca.key)),
        ("of the lookalike", scene.lookalike.tcb_signing.clone()),
        ("the platform's own certificate", platform.pck.clone()),
    ] {
        let found = judge(&IntelPki { tcb_signing, ..intel.clone() });
        assert_eq!(found, Some(Code::CollateralSignature), "{name}");
    }
}

/// Change of the collateral and what must come of it.
type Document = (&'static str, fn(&mut CollateralSpec, &EcKey), Code);

#[test]
fn signed_documents() {
    let scene = Scene::new();
    let cases: &[Document] = &[
        (
            "TCB info by a stranger",
            |s, k| s.tcb_info_signer = Signer::Other(k.clone()),
            Code::CollateralSignature,
        ),
        (
            "identity by a stranger",
            |s, k| s.qe_identity_signer = Signer::Other(k.clone()),
            Code::CollateralSignature,
        ),
        (
            "root's list by a stranger",
            |s, k| s.root_crl_signer = Signer::Other(k.clone()),
            Code::CollateralSignature,
        ),
        (
            "PCK list by a stranger",
            |s, k| s.pck_crl_signer = Signer::Other(k.clone()),
            Code::CollateralSignature,
        ),
        ("TCB info ended", |s, _| s.tcb_info.next_update = NOW, Code::CollateralExpired),
        ("TCB info not yet valid", |s, _| s.tcb_info.issue_date = NOW + 1, Code::CollateralNotYetValid),
        ("identity ended", |s, _| s.qe_identity.next_update = NOW, Code::CollateralExpired),
        ("identity not yet valid", |s, _| s.qe_identity.issue_date = NOW + 1, Code::CollateralNotYetValid),
        ("root's list ended", |s, _| s.root_crl.next_update = Some(NOW), Code::CrlExpired),
        ("root's list not yet valid", |s, _| s.root_crl.this_update = NOW + 1, Code::CrlExpired),
        ("PCK list ended", |s, _| s.pck_crl.next_update = Some(NOW), Code::CrlExpired),
        ("PCK list not yet valid", |s, _| s.pck_crl.this_update = NOW + 1, Code::CrlExpired),
        ("PCK list without an end", |s, _| s.pck_crl.next_update = None, Code::CollateralMalformed),
        ("lists swapped", |s, _| std::mem::swap(&mut s.root_crl, &mut s.pck_crl), Code::CollateralMismatch),
    ];
    for (name, change, code) in cases {
        let mut spec = scene.world.collateral_spec();
        change(&mut spec, &scene.world.stranger);
        let found = scene.judge(&scene.world.platform, &spec.sign(&scene.world.intel));
        assert_eq!(found, Some(*code), "{name}");
    }
    // Each genuine document in another's place, and each of the lookalike's.
    let honest = scene.world.collateral();
    let other = scene.world.collateral_spec().sign(&scene.lookalike);
    /// Name, what takes the place of what.
    type Replacement = (&'static str, fn(&mut Collateral, &Collateral));
    let replaced: [Replacement; 6] = [
        ("root's list of the lookalike", |c, o| c.root_ca_crl.clone_from(&o.root_ca_crl)),
        ("PCK list of the lookalike", |c, o| c.pck_crl.clone_from(&o.pck_crl)),
        ("signature of the lookalike on TCB info", |c, o| {
            c.tcb_info_signature.clone_from(&o.tcb_info_signature)
        }),
        ("signature of the lookalike on the identity", |c, o| {
            c.qe_identity_signature.clone_from(&o.qe_identity_signature);
        }),
        ("signatures swapped", |c, _| {
            std::mem::swap(&mut c.tcb_info_signature, &mut c.qe_identity_signature)
        }),
        ("documents swapped", |c, _| {
            std::mem::swap(&mut c.tcb_info, &mut c.qe_identity);
            std::mem::swap(&mut c.tcb_info_signature, &mut c.qe_identity_signature);
        }),
    ];
    for (name, change) in replaced {
        let mut changed = honest.clone();
        change(&mut changed, &other);
        let found = scene.judge(&scene.world.platform, &changed);
        assert!(
            matches!(
                found,
                Some(Code::CollateralSignature | Code::CollateralMismatch | Code::CollateralMalformed)
            ),
            "{name}: {found:?}"
        );
    }
}

/// Remembering what was verified changes how long it takes, never what is decided: only the very same set, under the same roots and
/// while it may be used, is not verified again.
#[test]
fn remembered_collateral() {
    let scene = Scene::new();
    let roots = || TrustRoots::from_json(scene.world.trust_roots_json().as_bytes()).unwrap();
    let good = TdxCollateral::from_json(scene.world.collateral_json().as_bytes()).unwrap();
    let here = roots();
    let recall = |set: &TdxCollateral, roots: &TrustRoots, at| {
        VerifiedCollateral::verify_or_recall(set, roots, at).map_err(|error| error.code())
    };
    let first = recall(&good, &here, NOW).unwrap();
    let is_first = |other: &Arc<VerifiedCollateral>| Arc::ptr_eq(&first, other);
    assert!(is_first(&recall(&good, &here, NOW).unwrap()));
    assert!(is_first(&recall(&good, &here.clone(), NOW + 1).unwrap()), "clones of the roots share it");
    assert!(!is_first(&recall(&good, &roots(), NOW).unwrap()), "other roots do not");

    // One bit of any signed part, and of any signature.
    let altered: [fn(&mut TdxCollateral); 6] = [
        |set| set.tcb_info = set.tcb_info.replacen("TDX", "TDY", 1),
        |set| set.tcb_info_signature[10] ^= 1,
        |set| set.qe_identity = set.qe_identity.replacen("TD_QE", "TD_QF", 1),
        |set| set.qe_identity_signature[10] ^= 1,
        |set| *set.pck_crl.last_mut().unwrap() ^= 1,
        |set| *set.root_ca_crl.last_mut().unwrap() ^= 1,
    ];
    for (place, alter) in altered.iter().enumerate() {
        let mut other = good.clone();
        alter(&mut other);
        assert_ne!(other, good, "{place}");
        let fresh = VerifiedCollateral::verify(&other, &here, NOW).unwrap_err().code();
        assert_eq!(recall(&other, &here, NOW).unwrap_err(), fresh, "{place}");
    }

    // Before it begins and after it ends it is judged anew, and refused as if it had never been seen.
    for at in [0, NOW - 400 * DAY_S, first.expires_at() - 1, first.expires_at(), NOW + 4000 * DAY_S] {
        let fresh = VerifiedCollateral::verify(&good, &here, at).map(|_| ()).map_err(|error| error.code());
        assert_eq!(recall(&good, &here, at).map(|_| ()), fresh, "{at}");
    }
    assert!(is_first(&recall(&good, &here, NOW).unwrap()));
}
