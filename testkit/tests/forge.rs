//! Forged evidence is accepted by an independent verifier (`dcap-qvl`) under the throw-away root and by nothing else, and every
//! knob leads to the refusal it is meant for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use base64::Engine;
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use p384::ecdsa::signature::Verifier;
use proveil_core::wire::json::Json;
use proveil_testkit::forge::dstack::{DigestVersion, Event};
use proveil_testkit::forge::gpu::GpuReportSpec;
use proveil_testkit::forge::intel::{Certified, IntelPki};
use proveil_testkit::forge::world::report_data;
use proveil_testkit::forge::{
    AppSpec, CollateralSpec, EcKey, EnclaveKey, QuoteSpec, Random, Signer, World, WorldSpec,
};
use sha2::{Digest, Sha384};

const NOW: u64 = 1_790_000_000;

fn world() -> (World, Random) {
    let mut random = Random::from_seed([7; 32]);
    let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 2 });
    (world, random)
}

fn judge(world: &World, quote: &[u8], collateral: &CollateralSpec, now: u64) -> Result<String, String> {
    let text = collateral.sign(&world.intel).to_json();
    let collateral: QuoteCollateralV3 = serde_json::from_str(&text).unwrap();
    QuoteVerifier::new(world.intel.root.der.clone())
        .verify(quote, &collateral, now)
        .map(|verified| verified.status.to_string())
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn honest_quotes_verify_under_their_own_root_only() {
    let (world, mut random) = world();
    for version in [4, 5] {
        let mut spec = world.quote_spec(version, [9; 64], &mut random);
        spec.padding = 70;
        let quote = world.sign_quote(&spec);
        assert_eq!(judge(&world, &quote, &world.collateral_spec(), NOW).unwrap(), "UpToDate");
        let collateral: QuoteCollateralV3 = serde_json::from_str(&world.collateral_json()).unwrap();
        assert!(
            dcap_qvl::verify::ring::verify(&quote, &collateral, NOW).is_err(),
            "Intel's own root must refuse"
        );
        let mut other = Random::from_seed([8; 32]);
        let lookalike = IntelPki::generate(&mut other, NOW);
        let verifier = QuoteVerifier::new(lookalike.root.der);
        assert!(verifier.verify(&quote, &collateral, NOW).is_err(), "a root of the same name must refuse");
    }
}

#[test]
fn quote_layout() {
    let (world, mut random) = world();
    let key = EnclaveKey::generate(&mut random);
    let data = report_data(&key.address(), &[3; 32]);
    let v4 = world.sign_quote(&world.quote_spec(4, data, &mut random));
    assert_eq!(
        (&v4[568..588], &v4[588..600], &v4[600..632]),
        (&key.address()[..], &[0; 12][..], &[3; 32][..])
    );
    assert_eq!(v4[232..280], world.guest.app.mr_config_id());
    assert_eq!(v4[48 + 472..48 + 520], world.guest.log.register(3));
    let v5 = world.sign_quote(&world.quote_spec(5, data, &mut random));
    assert_eq!(v5[48..54], [3, 0, 0x88, 2, 0, 0]);
    assert_eq!(v5[54 + 520..54 + 584], data);
}

type QuoteChange = fn(&mut QuoteSpec);
type CollateralChange = fn(&mut CollateralSpec, &World);

#[test]
fn quote_knobs() {
    let cases: &[(&str, QuoteChange, &str)] = &[
        ("debug bit", |q| q.body.td_attributes[0] |= 1, "Debug mode is enabled"),
        ("SGX type", |q| q.tee_type = 0, "Failed to decode quote"),
        ("version 6", |q| q.version = 6, "Unsupported quote version"),
        ("module signer", |q| q.body.mr_signer_seam[0] = 1, "MRSIGNER"),
        ("QE signer", |q| q.qe.mr_signer[0] ^= 1, "QE MRSIGNER"),
        ("attestation key not bound", |q| q.qe.report_data = Some([1; 64]), "QE report hash mismatch"),
        (
            "old components",
            |q| q.body.tee_tcb_svn = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "No matching TCB level",
        ),
        ("inner certification type", |q| q.inner_cert_type = 4, "cert format: 4"),
    ];
    let (world, mut random) = world();
    for (name, change, text) in cases {
        let mut spec = world.quote_spec(4, [9; 64], &mut random);
        change(&mut spec);
        let error = judge(&world, &world.sign_quote(&spec), &world.collateral_spec(), NOW).unwrap_err();
        assert!(error.contains(text), "{name}: {error}");
    }
}

#[test]
fn collateral_knobs() {
    let cases: &[(&str, CollateralChange, Result<&str, &str>)] = &[
        ("honest", |_, _| (), Ok("UpToDate")),
        ("status", |c, _| c.tcb_info.set_status("OutOfDate", &["INTEL-SA-09999"]), Ok("OutOfDate")),
        ("revoked", |c, _| c.tcb_info.set_status("Revoked", &[]), Err("Revoked")),
        ("another FMSPC", |c, _| c.tcb_info.fmspc[0] ^= 1, Err("Fmspc mismatch")),
        ("TCB info expired", |c, _| c.tcb_info.next_update = NOW - 1, Err("TCBInfo expired")),
        ("QE identity expired", |c, _| c.qe_identity.next_update = NOW - 1, Err("QE Identity expired")),
        (
            "TCB info by a stranger",
            |c, w| c.tcb_info_signer = Signer::Other(w.stranger.clone()),
            Err("Signature is invalid for tcb_info"),
        ),
        (
            "QE identity by a stranger",
            |c, w| c.qe_identity_signer = Signer::Other(w.stranger.clone()),
            Err("Signature is invalid for qe_identity"),
        ),
        (
            "PCK list by a stranger",
            |c, w| c.pck_crl_signer = Signer::Other(w.stranger.clone()),
            Err("InvalidCrlSignature"),
        ),
        (
            "root list by a stranger",
            |c, w| c.root_crl_signer = Signer::Other(w.stranger.clone()),
            Err("InvalidCrlSignature"),
        ),
        ("PCK list expired", |c, _| c.pck_crl.next_update = Some(NOW - 1), Err("CrlExpired")),
        ("leaf revoked", |c, w| c.pck_crl.revoked.push(w.platform.pck.spec.serial.clone()), Err("Revoked")),
        (
            "intermediate revoked",
            |c, w| c.root_crl.revoked.push(w.intel.pck_ca.spec.serial.clone()),
            Err("Revoked"),
        ),
    ];
    let (world, mut random) = world();
    let quote = world.sign_quote(&world.quote_spec(4, [9; 64], &mut random));
    for (name, change, expected) in cases {
        let mut spec = world.collateral_spec();
        change(&mut spec, &world);
        match (judge(&world, &quote, &spec, NOW), expected) {
            (Ok(status), Ok(want)) => assert_eq!(&status, want, "{name}"),
            (Err(error), Err(want)) => assert!(error.contains(want), "{name}: {error}"),
            (got, want) => panic!("{name}: got {got:?}, expected {want:?}"),
        }
    }
    assert!(judge(&world, &quote, &world.collateral_spec(), NOW + 40 * 86_400).is_err(), "a month later");
}

#[test]
fn certificates_can_be_made_wrong() {
    let (world, mut random) = world();
    let intel = &world.intel;
    let key = EcKey::p256(&mut random);
    let honest = intel.pck_certificate(&key, &[5; 20], &world.platform.spec);
    let mut no_extension = honest.clone();
    no_extension.extensions.pop();
    let mut expired = honest.clone();
    expired.not_after = NOW - 1;
    let cases = [
        ("reissued", honest, true, &intel.pck_ca.key),
        ("without the SGX extension", no_extension, false, &intel.pck_ca.key),
        ("expired", expired, false, &intel.pck_ca.key),
        (
            "by a stranger",
            intel.pck_certificate(&key, &[5; 20], &world.platform.spec),
            false,
            &world.stranger,
        ),
    ];
    for (name, certificate, accepted, issuer) in cases {
        let pck = Certified::issue(key.clone(), certificate, issuer);
        let platform = intel.platform_with(world.platform.spec.clone(), pck);
        let quote = world.quote_spec(4, [9; 64], &mut random).sign(&platform, &world.guest.attestation_key);
        assert_eq!(judge(&world, &quote, &world.collateral_spec(), NOW).is_ok(), accepted, "{name}");
    }
}

#[test]
fn same_seed_same_world() {
    let (first, mut a) = world();
    let (second, mut b) = world();
    assert_eq!(first.trust_roots_json(), second.trust_roots_json());
    assert_eq!(first.collateral_json(), second.collateral_json());
    assert_eq!(first.gpu_payload([1; 32], &mut a), second.gpu_payload([1; 32], &mut b));
    let mut other = Random::from_seed([1; 32]);
    let third = World::generate(&mut other, &WorldSpec { now: NOW, gpus: 0 });
    assert_ne!(first.trust_roots_json(), third.trust_roots_json());
}

#[test]
fn gpu_reports_have_the_layout_and_a_chain_to_the_root() {
    let (world, mut random) = world();
    let payload = Json::parse(world.gpu_payload([0xab; 32], &mut random).as_bytes()).unwrap();
    let list = payload.get("evidence_list").and_then(Json::as_array).unwrap();
    assert_eq!(list.len(), 2);
    let base64 = base64::engine::general_purpose::STANDARD;
    let decode = |entry: &Json, member| base64.decode(entry.get(member).unwrap().as_str().unwrap()).unwrap();
    for (entry, gpu) in list.iter().zip(&world.gpus) {
        let report = decode(entry, "evidence");
        assert_eq!(report[..4], [0x11, 0xe0, 1, 0xff]);
        assert_eq!(report[4..36], [0xab; 32]);
        assert_eq!(report[37..45], [0x11, 0x60, 0, 0, 64, 0xc0, 0x0d, 0]);
        assert_eq!(report[45..52], [1, 1, 0x33, 0, 1, 0x30, 0]);
        let opaque = usize::from(u16::from_le_bytes([report[3597], report[3598]]));
        assert_eq!(report.len(), 45 + 3520 + 32 + 2 + opaque + 96);
        let (signed, signature) = report.split_at(report.len() - 96);
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&gpu.leaf.key.public_point()).unwrap();
        let signature = p384::ecdsa::Signature::from_slice(signature).unwrap();
        assert!(key.verify(signed, &signature).is_ok());
        let chain = String::from_utf8(decode(entry, "certificate")).unwrap();
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 5);
    }
    let other = GpuReportSpec::new(&world.gpus[0], [0; 32], &mut random).sign(&world.gpus[1]);
    assert_ne!(other[4..36], [0xab; 32]);
}

#[test]
fn event_log_leads_to_the_registers() {
    let mut random = Random::from_seed([7; 32]);
    for version in [DigestVersion::V1, DigestVersion::V2] {
        let mut app = AppSpec::simulated(&mut random);
        app.digest_version = version;
        let log = app.boot(&mut random);
        let mut value = [0; 48];
        for event in log.0.iter().filter(|event| event.imr == 3) {
            let preimage = match version {
                DigestVersion::V1 => [b"\x01\0\0\x08:", event.name.as_bytes(), b":", &event.payload].concat(),
                DigestVersion::V2 => {
                    let payload = const_hex::encode(&event.payload);
                    format!("{{\"name\":\"{}\",\"payload\":\"{payload}\",\"type\":134217729}}", event.name)
                        .into_bytes()
                }
            };
            assert_eq!(event.digest, Sha384::digest(&preimage).to_vec(), "{}", event.name);
            value = Sha384::new().chain_update(value).chain_update(&event.digest).finalize().into();
        }
        assert_eq!(value, log.register(3));
        assert_eq!(log.0.last().unwrap().name, "system-ready");
        let mut longer = log.clone();
        longer.insert_after("compose-hash", Event::runtime("compose-hash", &[0; 32], version));
        assert_ne!(longer.register(3), log.register(3));
        assert_eq!(
            Json::parse(app.app_compose.as_bytes()).unwrap().get("manifest_version").and_then(Json::as_u64),
            Some(2)
        );
    }
}

#[test]
fn digest_of_a_published_event() {
    // Known value: the v1 digest of an empty `system-preparing` event is the same in every dstack log.
    let event = Event::runtime("system-preparing", &[], DigestVersion::V1);
    assert_eq!(const_hex::encode(&event.digest)[..16], *"f9974020ef507068");
}
