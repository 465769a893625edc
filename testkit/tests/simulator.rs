//! The simulator over HTTP: an honest chat goes round, its rules answer as the real service's, and every defect does what it says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod common;

use common::{Chat, NONCE, NOW, PROMPT, Raw, attest, client, config, get, open_answer};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::EnclaveKey;
use proveil_testkit::sim::models::{self, E2EE, E2EE_REASONING};
use proveil_testkit::sim::{
    Defect, Outcome, Shape, SignatureHash, SignatureText, SimConfig, Simulator, Stage,
};
use sha2::{Digest, Sha256};
use sha3::Keccak256;

fn member<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("no text member {name}"))
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut parts = text.split('%');
    out.extend_from_slice(parts.next().unwrap().as_bytes());
    for part in parts {
        out.extend(const_hex::decode(&part[..2]).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).unwrap()
}

/// Fetches collateral as a client does and puts it into the nine-string form.
async fn fetch_collateral(sim: &Simulator) -> QuoteCollateralV3 {
    let base = sim.collateral_url();
    let fmspc = const_hex::encode(sim.world().platform.spec.fmspc);
    let tcb = get(&format!("{base}/tdx/certification/v4/tcb?fmspc={fmspc}")).await;
    let qe = get(&format!("{base}/tdx/certification/v4/qe/identity")).await;
    let pck = get(&format!("{base}/sgx/certification/v4/pckcrl?ca=platform&encoding=der")).await;
    let root = get(&format!("{base}/IntelSGXRootCA.der")).await;
    let split = |raw: &Raw, name: &str| {
        let text = String::from_utf8(raw.body.clone()).unwrap();
        let inner = text.strip_prefix(&format!("{{\"{name}\":")).unwrap();
        let (inner, signature) = inner.split_once(",\"signature\":\"").unwrap();
        (inner.to_owned(), const_hex::decode(signature.strip_suffix("\"}").unwrap()).unwrap())
    };
    let (tcb_info, tcb_info_signature) = split(&tcb, "tcbInfo");
    let (qe_identity, qe_identity_signature) = split(&qe, "enclaveIdentity");
    QuoteCollateralV3 {
        pck_crl_issuer_chain: percent_decode(pck.header("SGX-PCK-CRL-Issuer-Chain")),
        root_ca_crl: root.body,
        pck_crl: pck.body,
        tcb_info_issuer_chain: percent_decode(tcb.header("TCB-Info-Issuer-Chain")),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: percent_decode(qe.header("SGX-Enclave-Identity-Issuer-Chain")),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    }
}

#[tokio::test]
async fn honest_chat_from_catalogue_to_signature() {
    for (shape, version, model) in [(Shape::Near, 4, E2EE), (Shape::Aci, 5, E2EE_REASONING)] {
        let sim = Simulator::start(SimConfig {
            shape,
            quote_version: version,
            signature_hash: SignatureHash::Exact,
            ..config(&[])
        })
        .unwrap();
        let list = get(&format!("{}/models?type=text", sim.base_url())).await.json();
        assert_eq!(list.get("data").and_then(Json::as_array).unwrap().len(), models::MODELS.len() + 1);

        let answer = attest(&sim, model).await.json();
        let quote = const_hex::decode(member(&answer, "intel_quote")).unwrap();
        let collateral = fetch_collateral(&sim).await;
        let verifier = QuoteVerifier::new(sim.world().intel.root.der.clone());
        assert_eq!(verifier.verify(&quote, &collateral, NOW).unwrap().status.to_string(), "UpToDate");
        let point = const_hex::decode(member(&answer, "signing_public_key")).unwrap();
        assert_eq!(point, sim.enclave_key(model).unwrap());
        let address = &Keccak256::digest(&point[1..])[12..];
        let at = if version == 4 { 568 } else { 574 };
        assert_eq!(
            const_hex::encode(&quote[at..at + 64]),
            format!("{}{}{NONCE}", const_hex::encode(address), "00".repeat(12))
        );

        let chat = Chat::new(model, &point, 1);
        let raw = chat.send(&sim).await;
        let opened = open_answer(&raw, &chat.key).unwrap();
        let (reasoning, content) = &opened.choices[&0];
        assert!(content.contains("remote attestation"), "{content}");
        assert_eq!(reasoning.is_empty(), model == E2EE);
        assert!(opened.has_usage && opened.finish[&0] == "stop");

        let recorded = sim.recorded();
        assert_eq!(recorded.prompts(), [PROMPT]);
        assert!(!recorded.saw_in_clear("CANARY-7f3a") && !recorded.saw_in_clear("test-key"));
        assert_eq!(recorded.last_chat().unwrap().body, chat.body.as_bytes());

        let signature =
            get(&format!("{}/tee/signature?model={model}&request_id={}", sim.base_url(), opened.id))
                .await
                .json();
        let hash = |bytes: &[u8]| const_hex::encode(Sha256::digest(bytes));
        let expected = format!("{}:{}", hash(chat.body.as_bytes()), hash(&raw.body));
        assert!(member(&signature, "text").ends_with(&expected));
        assert_eq!(recover(&signature), address);
    }
}

/// Address that an EIP-191 signature recovers to.
fn recover(answer: &Json) -> Vec<u8> {
    let text = member(answer, "text");
    let signature = const_hex::decode(member(answer, "signature")).unwrap();
    let mut digest = Keccak256::new();
    digest.update(format!("\x19Ethereum Signed Message:\n{}{text}", text.len()));
    let recovery = RecoveryId::from_byte(signature[64] - 27).unwrap();
    let key = VerifyingKey::recover_from_prehash(
        &digest.finalize(),
        &Signature::from_slice(&signature[..64]).unwrap(),
        recovery,
    )
    .unwrap();
    Keccak256::digest(&key.to_sec1_point(false).as_bytes()[1..])[12..].to_vec()
}

#[tokio::test]
async fn answer_defects_do_what_they_say() {
    let sim = Simulator::start(config(&[])).unwrap();
    let enclave = sim.enclave_key(E2EE).unwrap();
    let honest =
        open_answer(&Chat::new(E2EE, &enclave, 1).send(&sim).await, &Chat::new(E2EE, &enclave, 1).key)
            .unwrap();
    let other_text = [
        Defect::ForgedChunk,
        Defect::ChunkReorder,
        Defect::ChunkDuplicate,
        Defect::ChunkDrop,
        Defect::BigDeltas,
    ];
    for defect in Defect::all() {
        let rotates = [Defect::RotateKeyOnce, Defect::RotateKeyAlways].contains(defect);
        if ![Stage::Answer, Stage::Http].contains(&defect.stage()) || rotates {
            continue;
        }
        sim.set_defects(&[*defect]);
        let chat = Chat::new(E2EE, &enclave, 2);
        let raw = chat.send(&sim).await;
        let got = open_answer(&raw, &chat.key);
        let name = defect.name();
        match defect.outcome() {
            Outcome::Works | Outcome::NotDetectable => {
                let got = got.unwrap_or_else(|code| panic!("{name}: {code:?}"));
                assert_eq!(got.choices[&0] == honest.choices[&0], !other_text.contains(defect), "{name}");
            }
            Outcome::Fails(code) => assert_eq!(got, Err(code), "{name}"),
        }
        match defect {
            Defect::ConnectionDrop => assert!(raw.broke),
            Defect::ByteSplitWrites => {
                assert!(raw.reads > raw.body.len() / 2, "{} of {}", raw.reads, raw.body.len())
            }
            Defect::SeveralChoices => assert!(raw.body.windows(9).any(|window| window == b"\"index\":1")),
            _ => assert!(!raw.broke, "{name}"),
        }
    }
    sim.set_defects(&[]);
    assert!(
        open_answer(&Chat::new(E2EE, &enclave, 1).send(&sim).await, &Chat::new(E2EE, &enclave, 1).key)
            .is_ok()
    );
}

#[tokio::test]
async fn rotation() {
    let sim = Simulator::start(config(&[Defect::RotateKeyOnce])).unwrap();
    let first = sim.enclave_key(E2EE).unwrap();
    let raw = Chat::new(E2EE, &first, 1).send(&sim).await;
    assert_eq!((raw.status, member(&raw.json(), "error")), (400, "Failed to decrypt field"));
    let second = const_hex::decode(member(&attest(&sim, E2EE).await.json(), "signing_key")).unwrap();
    assert_ne!(second, first);
    let chat = Chat::new(E2EE, &second, 2);
    assert!(open_answer(&chat.send(&sim).await, &chat.key).is_ok());

    let sim =
        Simulator::start(SimConfig { shape: Shape::Aci, ..config(&[Defect::RotateKeyAlways]) }).unwrap();
    for seed in 1..4 {
        let key = sim.enclave_key(E2EE).unwrap();
        let answer = Chat::new(E2EE, &key, seed).send(&sim).await.json();
        assert_eq!(member(answer.get("error").unwrap(), "type"), "e2ee_model_key_mismatch");
    }
}

#[tokio::test]
async fn what_is_sealed_to_another_enclave_is_not_opened() {
    let sim = Simulator::start(config(&[Defect::DivertedEnclave])).unwrap();
    let key = const_hex::decode(member(&attest(&sim, E2EE).await.json(), "signing_key")).unwrap();
    assert_eq!(key, sim.enclave_key(E2EE_REASONING).unwrap());
    assert_eq!(Chat::new(E2EE, &key, 1).send(&sim).await.status, 400);
    assert!(sim.recorded().prompts().is_empty() && !sim.recorded().saw_in_clear("CANARY-7f3a"));
}

#[tokio::test]
async fn collateral_and_attestation_outages() {
    let sim = Simulator::start(config(&[Defect::AttestationFailsTwice])).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(attest(&sim, E2EE).await.status);
    }
    assert_eq!(statuses, [502, 502, 200]);
    sim.set_defects(&[Defect::AttestationDown]);
    assert_eq!(attest(&sim, E2EE).await.status, 502);
    let root = format!("{}/IntelSGXRootCA.der", sim.collateral_url());
    sim.set_defects(&[Defect::CollateralDown]);
    assert_eq!(get(&root).await.status, 503);
    sim.set_defects(&[Defect::CollateralHtml]);
    assert!(get(&root).await.body.starts_with(b"<html>"));
    let other = get(&format!("{}/tdx/certification/v4/tcb?fmspc=000000000000", sim.collateral_url())).await;
    assert!(other.body.starts_with(b"<html>"));
    sim.set_defects(&[]);
    let other = get(&format!("{}/tdx/certification/v4/tcb?fmspc=000000000000", sim.collateral_url())).await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn signature_defects() {
    let cases = [
        (None, SignatureText::TwoPart, true, true),
        (Some(Defect::SignatureAltered), SignatureText::ThreePart, false, false),
        (Some(Defect::SignatureOtherKey), SignatureText::ThreePart, true, false),
    ];
    for (defect, signature_text, consistent, enclave_signed) in cases {
        let sim = Simulator::start(SimConfig { signature_text, ..config(&[]) }).unwrap();
        let enclave = sim.enclave_key(E2EE).unwrap();
        let chat = Chat::new(E2EE, &enclave, 1);
        let raw = chat.send(&sim).await;
        let id = open_answer(&raw, &chat.key).unwrap().id;
        sim.set_defects(defect.as_slice());
        let url = format!("{}/tee/signature?model={E2EE}&request_id={id}", sim.base_url());
        let answer = get(&url).await.json();
        let recovered = const_hex::encode_prefixed(recover(&answer));
        assert_eq!(recovered == member(&answer, "signing_address"), consistent, "{defect:?}");
        let address = const_hex::encode_prefixed(&Keccak256::digest(&enclave[1..])[12..]);
        assert_eq!(recovered == address, enclave_signed, "{defect:?}");
        let parts = member(&answer, "text").split(':').count();
        assert_eq!(parts, if signature_text == SignatureText::TwoPart { 2 } else { 3 });
        assert!(
            !member(&answer, "text").contains(&const_hex::encode(Sha256::digest(&raw.body))),
            "as through Venice"
        );
        sim.set_defects(&[Defect::SignatureMissing]);
        assert_eq!(get(&url).await.status, 404);
    }
}

#[tokio::test]
async fn rules_of_the_service() {
    let sim = Simulator::start(SimConfig { api_key: Some("right".to_owned()), ..config(&[]) }).unwrap();
    let base = sim.base_url();
    let enclave = sim.enclave_key(E2EE).unwrap();
    let key = EnclaveKey::generate(&mut proveil_testkit::forge::Random::from_seed([9; 32]));
    let client_key = const_hex::encode(key.public_point());
    let off_curve = format!("04{}", "11".repeat(64));
    let good = Chat::new(E2EE, &enclave, 1).body;
    let plain = format!(
        "{{\"model\":\"{E2EE}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}],\"stream\":true}}"
    );
    let not_streamed = good.replace("\"stream\":true", "\"stream\":false");
    let unknown_key = good.replacen('{', "{\"provider\":1,", 1);
    let unknown_model = good.replace(E2EE, "e2ee-nothing");
    let not_e2ee = good.replace(E2EE, models::TEE);
    let model_key = const_hex::encode(enclave);
    let all = |algo, client, model| vec![("algo", algo), ("client", client), ("model", model)];
    let full = || all("ecdsa", client_key.as_str(), model_key.as_str());
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (&good, full(), 200, ""),
        (&good, all("ed25519", &client_key, &model_key), 400, "Unsupported signing algorithm"),
        (&good, all("ecdsa", &client_key[2..], &model_key), 400, "Invalid public key"),
        (&good, all("ecdsa", &off_curve, &model_key), 400, "Invalid public key"),
        (&good, all("ecdsa", &client_key, &client_key), 400, "Failed to decrypt field"),
        (&good, vec![("algo", "ecdsa")], 400, "Invalid public key"),
        (&plain, full(), 400, "Encrypted field is not valid hex"),
        (&not_streamed, full(), 400, "E2EE requires streaming"),
        (&unknown_key, full(), 400, "Unrecognized key(s) in object: 'provider'"),
        (&unknown_model, full(), 404, "not found"),
        (&not_e2ee, full(), 400, "does not support E2EE"),
        ("[1]", full(), 400, "Invalid request body"),
        // Without the headers the prompt is served in clear, as Venice does: tests can show that a client never gets here.
        (&plain, vec![], 200, ""),
    ];
    for (body, headers, status, text) in cases {
        let mut request =
            client().post(format!("{base}/chat/completions")).header("authorization", "Bearer right");
        for (name, value) in headers {
            let name = match name {
                "algo" => "x-venice-tee-signing-algo",
                "client" => "x-venice-tee-client-pub-key",
                _ => "x-venice-tee-model-pub-key",
            };
            request = request.header(name, value);
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{text}");
        assert!(response.text().await.unwrap().contains(text), "{text}");
    }
    let authorized = |url: String| client().get(url).header("authorization", "Bearer right").send();
    for (target, status) in [
        (format!("tee/attestation?model={E2EE}&nonce={NONCE}"), 200),
        (format!("tee/attestation?model={E2EE}&nonce=00"), 400),
        (format!("tee/attestation?model={E2EE}"), 400),
        (format!("tee/attestation?model={}&nonce={NONCE}", models::PRIVATE), 400),
        (format!("tee/attestation?model=none&nonce={NONCE}"), 404),
        ("tee/signature?request_id=none".to_owned(), 404),
        ("responses".to_owned(), 404),
    ] {
        assert_eq!(
            authorized(format!("{base}/{target}")).await.unwrap().status().as_u16(),
            status,
            "{target}"
        );
    }
    for target in ["models", "tee/attestation", "tee/signature"] {
        assert_eq!(get(&format!("{base}/{target}")).await.status, 401, "{target} with the wrong key");
        assert_eq!(client().get(format!("{base}/{target}")).send().await.unwrap().status().as_u16(), 401);
    }
    let buffered = plain.replace(",\"stream\":true", "");
    let response = client().post(format!("{base}/chat/completions")).header("authorization", "Bearer right");
    let text = response.body(buffered).send().await.unwrap().text().await.unwrap();
    assert_eq!(member(&Json::parse(text.as_bytes()).unwrap(), "object"), "chat.completion");
    assert!(sim.recorded().to_path("/api/v1/models").all(|request| request.status == 401));
}

#[tokio::test]
async fn a_held_answer_waits_until_it_may_go_on_or_is_given_up() {
    let sim = Simulator::start(config(&[])).unwrap();
    let chat = Chat::new(E2EE, &sim.enclave_key(E2EE).unwrap(), 9);
    let events = |text: &[u8]| text.windows(2).filter(|end| *end == b"\n\n").count();

    let held = sim.hold_next(3);
    let mut answer = chat.request(&sim).send().await.unwrap();
    let mut text = Vec::new();
    while events(&text) < 3 {
        text.extend(answer.chunk().await.unwrap().unwrap());
    }
    assert_eq!(events(&text), 3);
    drop(held);
    while let Some(piece) = answer.chunk().await.unwrap() {
        text.extend(piece);
    }
    assert!(text.ends_with(b"data: [DONE]\n\n"));

    let held = sim.hold_next(0);
    drop(chat.request(&sim).send().await.unwrap());
    tokio::task::spawn_blocking(move || held.wait_until_abandoned()).await.unwrap();
    assert_eq!(chat.send(&sim).await.status, 200, "the one after it is not held");
}

#[test]
fn starts_outside_a_runtime_and_stops_when_dropped() {
    let sim = Simulator::start(config(&[])).unwrap();
    let port = sim.port();
    assert!(Simulator::start(SimConfig { port, ..config(&[]) }).is_err());
    assert!(sim.trust_roots_json().contains("proveil.trust-roots/v1"));
    drop(sim);
}
