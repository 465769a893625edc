//! Defects of the attestation answer and of collateral, without a server: each changes what it is meant to change and leaves the
//! rest as an honest answer has it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use proveil_core::wire::json::{Json, JsonError};
use proveil_testkit::forge::{EnclaveKey, Random, World, WorldSpec};
use proveil_testkit::sim::{Attestation, Defect, QuoteEncoding, Shape, Stage, collateral, models};

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [0x5a; 32];

struct Scene {
    world: World,
    key: EnclaveKey,
    relay: EnclaveKey,
}

impl Scene {
    fn new() -> Scene {
        let mut random = Random::from_seed([11; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 2 });
        Scene { world, key: EnclaveKey::generate(&mut random), relay: EnclaveKey::generate(&mut random) }
    }

    fn answer(&self, shape: Shape, defects: &[Defect]) -> String {
        self.encoded(shape, QuoteEncoding::Hex, defects)
    }

    fn encoded(&self, shape: Shape, encoding: QuoteEncoding, defects: &[Defect]) -> String {
        Attestation {
            world: &self.world,
            model: models::find(models::E2EE).unwrap(),
            key: &self.key,
            other_key: &self.relay,
            nonce: NONCE,
            shape,
            encoding,
            quote_version: 4,
            defects: &defects.iter().copied().collect(),
        }
        .to_text(&mut Random::from_seed([12; 32]))
    }

    fn judge(&self, quote: &[u8], defects: &[Defect]) -> Result<String, String> {
        let defects: BTreeSet<Defect> = defects.iter().copied().collect();
        let text = collateral(&self.world, &defects).to_json();
        let collateral: QuoteCollateralV3 = serde_json::from_str(&text).unwrap();
        QuoteVerifier::new(self.world.intel.root.der.clone())
            .verify(quote, &collateral, NOW)
            .map(|verified| verified.status.to_string())
            .map_err(|error| format!("{error:#}"))
    }
}

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn at<'a>(json: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(json, |value, name| value.get(name))
}

fn text_at<'a>(json: &'a Json, path: &[&str]) -> &'a str {
    at(json, path).and_then(Json::as_str).unwrap_or_else(|| panic!("no text at {path:?}"))
}

fn quote(json: &Json) -> Vec<u8> {
    const_hex::decode(text_at(json, &["intel_quote"])).unwrap()
}

#[test]
fn every_attestation_defect_changes_the_answer_in_both_shapes() {
    let scene = Scene::new();
    // What only NEAR-shaped answers have, and what happens in the server, not in the answer.
    let near_only = [Defect::ComposeManager, Defect::OhttpKey];
    let elsewhere = [Defect::AttestationFailsTwice, Defect::AttestationDown];
    for shape in [Shape::Near, Shape::Aci] {
        let honest = scene.answer(shape, &[]);
        assert_eq!(honest, scene.answer(shape, &[]), "deterministic");
        for defect in Defect::all().iter().filter(|defect| defect.stage() == Stage::Attestation) {
            let same = elsewhere.contains(defect) || (shape == Shape::Aci && near_only.contains(defect));
            assert_eq!(scene.answer(shape, &[*defect]) == honest, same, "{} {shape:?}", defect.name());
        }
    }
}

#[test]
fn honest_answer_is_consistent() {
    let scene = Scene::new();
    let near = parse(&scene.answer(Shape::Near, &[]));
    let members: Vec<&str> = near.as_object().unwrap().iter().map(|(name, _)| name.as_str()).collect();
    // The order of the captured answer of a NEAR-backed model.
    assert_eq!(
        members,
        [
            "model_name",
            "signing_address",
            "signing_algo",
            "signing_public_key",
            "request_nonce",
            "intel_quote",
            "nvidia_payload",
            "event_log",
            "info",
            "ohttp_attestation",
            "compose_manager_attestation",
            "ohttp_key_config",
            "signing_key",
            "verified",
            "model",
            "nonce",
            "nonce_source",
            "tee_provider",
            "tee_hardware",
            "upstream_model",
            "server_verification",
            "candidates_evaluated",
            "candidates_available",
        ]
    );
    let main = quote(&near);
    assert_eq!(scene.judge(&main, &[]).unwrap(), "UpToDate");
    let manager = const_hex::decode(text_at(&near, &["compose_manager_attestation", "quote"])).unwrap();
    assert_eq!(scene.judge(&manager, &[]).unwrap(), "UpToDate");
    assert_eq!(
        const_hex::encode(&manager[568..632]),
        text_at(&near, &["compose_manager_attestation", "report_data"])
    );
    assert_eq!(main[48..568], manager[48..568], "same TD");
    for (i, name) in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"].iter().enumerate() {
        let from = 48 + 328 + 48 * i;
        assert_eq!(
            const_hex::encode(&main[from..from + 48]),
            text_at(&near, &["info", "tcb_info", name]),
            "{name}"
        );
    }
    let aci = parse(&scene.answer(Shape::Aci, &[]));
    assert_eq!(text_at(&aci, &["attestation", "evidence", "quote"]), text_at(&aci, &["intel_quote"]));
    assert_eq!(at(&aci, &["all_attestations"]).and_then(Json::as_array).unwrap().len(), 1);
}

#[test]
fn quote_encodings() {
    let scene = Scene::new();
    let expected = quote(&parse(&scene.answer(Shape::Near, &[])));
    type Decode = fn(&str) -> Vec<u8>;
    let cases: [(QuoteEncoding, Decode); 3] = [
        (QuoteEncoding::HexPrefixed, |text| const_hex::decode(text.strip_prefix("0x").unwrap()).unwrap()),
        (QuoteEncoding::Base64, |text| STANDARD.decode(text).unwrap()),
        (QuoteEncoding::Base64Url, |text| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
        }),
    ];
    for (encoding, decode) in cases {
        let answer = parse(&scene.encoded(Shape::Near, encoding, &[]));
        assert_eq!(decode(text_at(&answer, &["intel_quote"])), expected, "{encoding:?}");
    }
}

#[test]
fn quotes_are_signed_where_the_defect_is_in_the_content() {
    let scene = Scene::new();
    let cases = [
        (Defect::NonceReplay, Ok(())),
        (Defect::NonceEchoOnly, Ok(())),
        (Defect::ReportDataPadding, Ok(())),
        (Defect::ForbiddenXfam, Ok(())),
        (Defect::OtherConfigId, Ok(())),
        (Defect::EventLogDuplicate, Ok(())),
        (Defect::QuoteConfusion, Ok(())),
        (Defect::DebugTd, Err("Debug mode")),
        (Defect::MigratableTd, Err("migration is enabled")),
        (Defect::ServiceTd, Err("Invalid MR service TD")),
        (Defect::WrongTeeType, Err("Failed to decode quote")),
        (Defect::OtherTdxModule, Err("MRSIGNER")),
        (Defect::OtherQuotingEnclave, Err("QE MRSIGNER")),
        (Defect::AkNotBound, Err("QE report hash mismatch")),
        (Defect::TamperedQuote, Err("signature is invalid")),
        (Defect::TruncatedQuote, Err("Failed to decode quote")),
        (Defect::LookalikeRoot, Err("InvalidSignatureForPublicKey")),
    ];
    for (defect, expected) in cases {
        let answer = parse(&scene.answer(Shape::Near, &[defect]));
        match (scene.judge(&quote(&answer), &[]), expected) {
            (Ok(status), Ok(())) => assert_eq!(status, "UpToDate", "{}", defect.name()),
            (Err(error), Err(text)) => assert!(error.contains(text), "{}: {error}", defect.name()),
            (got, _) => panic!("{}: {got:?}", defect.name()),
        }
    }
}

#[test]
fn report_data_of_each_defect() {
    let scene = Scene::new();
    let (own, relay) = (scene.key.address(), scene.relay.address());
    let cases = [
        (Defect::KeySwap, own, true, true, relay),
        (Defect::NonceEchoOnly, own, true, false, own),
        (Defect::ReportDataPadding, own, false, true, own),
        (Defect::DivertedEnclave, relay, true, true, relay),
        (Defect::AddressMismatch, own, true, true, relay),
    ];
    for (defect, bound, padded, nonce, claimed) in cases {
        let answer = parse(&scene.answer(Shape::Near, &[defect]));
        let data = quote(&answer)[568..632].to_vec();
        assert_eq!(data[..20], bound, "{}", defect.name());
        assert_eq!(data[20..32] == [0; 12], padded, "{}", defect.name());
        assert_eq!(data[32..] == NONCE, nonce, "{}", defect.name());
        assert_eq!(
            text_at(&answer, &["signing_address"]),
            const_hex::encode_prefixed(claimed),
            "{}",
            defect.name()
        );
        assert_eq!(text_at(&answer, &["nonce"]), const_hex::encode(NONCE), "{}", defect.name());
    }
    let replayed = parse(&scene.answer(Shape::Near, &[Defect::NonceReplay]));
    let nonce = text_at(&replayed, &["nonce"]);
    assert_ne!(nonce, const_hex::encode(NONCE));
    assert_eq!(
        const_hex::encode(&quote(&replayed)[600..632]),
        nonce,
        "an honest answer to another challenge"
    );
}

#[test]
fn members_of_each_defect() {
    let scene = Scene::new();
    let honest = parse(&scene.answer(Shape::Near, &[]));
    let honest_log = at(&honest, &["event_log"]).and_then(Json::as_array).unwrap().len();
    let check = |defect, test: fn(&Json, &Json, usize) -> bool| {
        let answer = parse(&scene.answer(Shape::Near, &[defect]));
        assert!(test(&answer, &honest, honest_log), "{}", defect.name());
    };
    check(Defect::KeyMissing, |a, _, _| {
        a.get("signing_key").is_none() && a.get("signing_public_key").is_none()
    });
    check(Defect::ConflictingKeys, |a, _, _| a.get("signing_key") != a.get("signing_public_key"));
    check(Defect::QuoteMissing, |a, _, _| {
        a.get("intel_quote").is_none() && a.get("verified") == Some(&Json::Bool(true))
    });
    check(Defect::VerifiedFalse, |a, _, _| a.get("verified") == Some(&Json::Bool(false)));
    check(Defect::VerifiedMissing, |a, _, _| a.get("verified").is_none());
    check(Defect::ModelMismatch, |a, h, _| a.get("model") != h.get("model"));
    check(Defect::ConflictingQuotes, |a, _, _| {
        text_at(a, &["attestation", "evidence", "quote"]) != text_at(a, &["intel_quote"])
    });
    check(Defect::EventLogMissing, |a, _, _| a.get("event_log").is_none() && a.get("info").is_none());
    check(Defect::EventLogDuplicate, |a, h, n| {
        at(a, &["event_log"]).and_then(Json::as_array).unwrap().len() == n + 1
            && text_at(a, &["info", "tcb_info", "rtmr3"]) != text_at(h, &["info", "tcb_info", "rtmr3"])
    });
    check(Defect::EventLogPayload, |a, h, _| {
        let digests = |json: &Json| {
            let log = at(json, &["event_log"]).and_then(Json::as_array).unwrap();
            log.iter().map(|event| text_at(event, &["digest"]).to_owned()).collect::<Vec<_>>()
        };
        digests(a) == digests(h) && a.get("event_log") != h.get("event_log")
    });
    check(Defect::ComposeEdited, |a, h, _| {
        let compose = ["info", "tcb_info", "app_compose"];
        text_at(a, &compose) != text_at(h, &compose) && quote(a)[..632] == quote(h)[..632]
    });
    check(Defect::GpuMissing, |a, _, _| text_at(a, &["nvidia_payload"]).contains("\"evidence_list\":[]"));
    check(Defect::GpuDuplicate, |a, _, _| {
        let payload = parse(text_at(a, &["nvidia_payload"]));
        let list = payload.get("evidence_list").and_then(Json::as_array).unwrap();
        list.len() == 2 && list[0] == list[1]
    });
    check(Defect::GpuOtherNonce, |a, _, _| {
        let payload = parse(text_at(a, &["nvidia_payload"]));
        let first = &payload.get("evidence_list").and_then(Json::as_array).unwrap()[0];
        let report = STANDARD.decode(text_at(first, &["evidence"])).unwrap();
        report[4..36] != NONCE && text_at(first, &["nonce"]) == const_hex::encode(NONCE)
    });
    let duplicate = scene.answer(Shape::Near, &[Defect::DuplicateMember]);
    assert_eq!(Json::parse(duplicate.as_bytes()), Err(JsonError::DuplicateMember));
}

#[test]
fn collateral_defects() {
    let scene = Scene::new();
    let honest = quote(&parse(&scene.answer(Shape::Near, &[])));
    let cases = [
        (Defect::TcbOutOfDate, Ok("OutOfDate")),
        // dcap-qvl leaves both to its caller.
        (Defect::EvalNumberRollback, Ok("UpToDate")),
        (Defect::TcbRevoked, Err("Revoked")),
        (Defect::TcbNoLevel, Err("No matching TCB level")),
        (Defect::CollateralExpired, Err("TCBInfo expired")),
        (Defect::CollateralFuture, Err("issue date is in the future")),
        (Defect::CollateralBadSignature, Err("tcb_info")),
        (Defect::CollateralPckSigned, Err("issued directly by the root CA")),
        (Defect::QeIdentityBadSignature, Err("qe_identity")),
        (Defect::CrlBadSignature, Err("InvalidCrlSignature")),
        (Defect::CollateralOtherPlatform, Err("Fmspc mismatch")),
        (Defect::CrlExpired, Err("CrlExpired")),
        (Defect::PckRevoked, Err("CertRevoked")),
        (Defect::IntermediateRevoked, Err("CertRevoked")),
    ];
    let covered: Vec<Defect> = cases.iter().map(|(defect, _)| *defect).collect();
    let in_server = [Defect::CollateralDown, Defect::CollateralHtml];
    for defect in Defect::all().iter().filter(|defect| defect.stage() == Stage::Collateral) {
        assert!(covered.contains(defect) || in_server.contains(defect), "{} has no case", defect.name());
    }
    for (defect, expected) in cases {
        match (scene.judge(&honest, &[defect]), expected) {
            (Ok(status), Ok(wanted)) => assert_eq!(status, wanted, "{}", defect.name()),
            (Err(error), Err(text)) => assert!(error.contains(text), "{}: {error}", defect.name()),
            (got, _) => panic!("{}: {got:?}", defect.name()),
        }
    }
}

/// Every path of member names in a value; elements of an array share one.
fn paths(value: &Json, prefix: &str, out: &mut BTreeSet<String>) {
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                let path = format!("{prefix}/{name}");
                out.insert(path.clone());
                paths(value, &path, out);
            }
        }
        Json::Array(elements) => {
            elements.iter().for_each(|element| paths(element, &format!("{prefix}[]"), out))
        }
        _ => (),
    }
}

#[test]
fn same_members_as_a_captured_answer() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/evidence").to_owned();
    let directory = std::env::var("PROVEIL_EVIDENCE").unwrap_or(default);
    let Ok(captured) = std::fs::read(format!("{directory}/composite/venice-20260610.response.json")) else {
        println!("skipped 1: no captured evidence");
        return;
    };
    let scene = Scene::new();
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    let simulated = parse(&scene.answer(Shape::Near, &[]));
    for (json, found) in [Json::parse(&captured).unwrap(), simulated].iter().zip(&mut found) {
        paths(json, "", found);
        for text in [
            ["nvidia_payload"].as_slice(),
            &["info", "vm_config"],
            &["compose_manager_attestation", "event_log"],
        ] {
            paths(&parse(text_at(json, text)), &text.join("/"), found);
        }
    }
    let [captured, simulated] = &found;
    let only_captured: Vec<&str> = captured.difference(simulated).map(String::as_str).collect();
    let only_simulated: Vec<&str> = simulated.difference(captured).map(String::as_str).collect();
    assert_eq!(
        only_captured,
        [
            "/compose_manager_attestation/actions[]/commit",
            "/compose_manager_attestation/actions[]/container",
            "/compose_manager_attestation/actions[]/file",
            "/compose_manager_attestation/actions[]/file_sha256",
            "/compose_manager_attestation/actions[]/image",
            "/compose_manager_attestation/actions[]/services",
            "/server_verification/nvidia/certificateChainStatus/leafCertExpiry",
            "info/vm_config/pci_hole64_size",
        ]
    );
    assert_eq!(only_simulated, [""; 0]);
}
