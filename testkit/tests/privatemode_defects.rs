//! Every defect of the simulated Privatemode does what it says, seen by a small strict client of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod privatemode;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p384::ecdsa::signature::hazmat::PrehashVerifier;
use privatemode::{Call, Exchanged, NOW, Raw, SALT, exchange, get, judge, post, send, start, text};
use proveil_core::error::Code;
use proveil_core::wire::json::{Json, JsonError};
use proveil_testkit::sim::Outcome;
use proveil_testkit::sim::privatemode::fields::CHAT_REQUEST;
use proveil_testkit::sim::privatemode::models::VISION;
use proveil_testkit::sim::privatemode::{Defect, MANIFEST_PATH, Simulator, Stage};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

const NONCE: [u8; 32] = [0x31; 32];

/// One streamed chat.
async fn chat(sim: &Simulator, exchanged: &Exchanged) -> (Result<Raw, reqwest::Error>, Call) {
    let mut call = Call::new(exchanged, 7);
    let body = format!(
        "{{\"model\":\"{VISION}\",\"messages\":[{{\"role\":\"user\",\"content\":\"What is sealing?\"}}],\"cache_salt\":\"{SALT}\",\"stream\":true}}"
    );
    let sealed = call.seal_json(&body, CHAT_REQUEST);
    (send(post(sim, "/v1/chat/completions", sealed)).await, call)
}

async fn judged(sim: &Simulator) -> Result<String, Code> {
    let exchanged = exchange(sim, 5).await;
    match chat(sim, &exchanged).await {
        (Ok(raw), mut call) => judge(&raw, &mut call),
        (Err(_), _) => Err(Code::ConnectionFailed),
    }
}

#[tokio::test]
async fn defects_of_answers() {
    let sim = start(&[]);
    let honest = judged(&sim).await.unwrap();
    assert!(honest.contains("sealing"), "{honest}");
    let mut seen = 0;
    for defect in Defect::all() {
        if ![Stage::Answer, Stage::Stream, Stage::Http].contains(&defect.stage()) {
            continue;
        }
        seen += 1;
        sim.set_defects(&[*defect]);
        let mut got = judged(&sim).await;
        // What happens once is over at the second attempt.
        if [Defect::UnknownSecretOnce, Defect::ResetOnce].contains(defect) {
            assert!(got.is_err(), "{defect:?}");
            got = judged(&sim).await;
        }
        match defect.outcome() {
            Outcome::Works | Outcome::NotDetectable => assert_eq!(got.as_deref(), Ok(&*honest), "{defect:?}"),
            Outcome::Fails(code) => assert_eq!(got, Err(code), "{defect:?}"),
        }
    }
    assert!(seen > 50, "{seen}");
    sim.set_defects(&[]);
    assert_eq!(judged(&sim).await.unwrap(), honest);
}

/// Defects of whole answers: each changes the one document.
#[tokio::test]
async fn defects_of_whole_answers() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 5).await;
    let ask = async || {
        let mut call = Call::new(&exchanged, 7);
        let body = format!("{{\"model\":\"{VISION}\",\"messages\":[],\"cache_salt\":\"{SALT}\"}}");
        let sealed = call.seal_json(&body, CHAT_REQUEST);
        let raw = send(post(&sim, "/v1/chat/completions", sealed)).await.unwrap();
        let opened = call.open_json(&raw.text(), &["id", "usage"]);
        (raw, opened)
    };
    let members =
        |json: &Json| json.as_object().unwrap().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let honest = ask().await.1.unwrap();
    assert_eq!(members(&honest), ["id", "object", "created", "model", "choices", "usage"]);
    let failing = [
        (Defect::FieldDropped, "authentication"),
        (Defect::FieldsSwapped, "authentication"),
        (Defect::FieldReflected, "reflected"),
        (Defect::ForeignNonce, "foreign"),
        (Defect::ForeignSecret, "foreign"),
        (Defect::FlippedTag, "authentication"),
        (Defect::ShortIv, "not a message"),
        (Defect::ShortCiphertext, "not a message"),
        (Defect::ClearContent, "not a message"),
        (Defect::ClearAnswer, "not a message"),
        (Defect::EncryptedFalse, "not a message"),
        (Defect::DuplicateMember, "not a document"),
    ];
    for (defect, reason) in failing {
        sim.set_defects(&[defect]);
        let (raw, opened) = ask().await;
        assert!(opened.clone().unwrap_err().starts_with(reason), "{defect:?} {opened:?}");
        assert_eq!(raw.header("privatemode-encrypted") == "false", defect == Defect::EncryptedFalse);
    }
    sim.set_defects(&[Defect::TrailingFieldDropped]);
    assert_eq!(members(&ask().await.1.unwrap()), ["id", "created", "model", "choices", "usage"]);
    sim.set_defects(&[Defect::SealedError]);
    let (raw, opened) = ask().await;
    assert!(raw.status == 400 && text(opened.unwrap().get("error").unwrap(), "type") == "BadRequestError");
}

#[tokio::test]
async fn defects_of_the_manifest() {
    let sim = start(&[]);
    let active = sim.manifest();
    let published = async |defect: Option<Defect>| {
        sim.set_defects(defect.as_slice());
        get(&sim, MANIFEST_PATH).await
    };
    assert_eq!(published(None).await.body, active);
    assert_eq!(published(Some(Defect::ManifestDown)).await.status, 503);
    for defect in [Defect::ManifestHtml, Defect::ManifestGarbage] {
        assert_eq!(Json::parse(&published(Some(defect)).await.body), Err(JsonError::Malformed));
    }
    assert_eq!(
        Json::parse(&published(Some(Defect::ManifestDuplicate)).await.body),
        Err(JsonError::DuplicateMember)
    );
    assert!(published(Some(Defect::ManifestHuge)).await.body.len() > 4 * 1024 * 1024);
    let same = published(Some(Defect::ManifestReserialized)).await;
    assert!(same.json() == Json::parse(&active).unwrap() && same.body != active && sim.manifest() == active);
    assert!(published(Some(Defect::ManifestOther)).await.body != active && sim.manifest() == active);
    let changed = published(Some(Defect::ManifestChanged)).await.body;
    assert!(changed != active && sim.manifest() == changed);
    assert_eq!(Document::fetch(&sim).await.manifests, [changed]);
}

/// An attestation document, taken apart by hand.
struct Document {
    json: Json,
    manifests: Vec<Vec<u8>>,
    root_ca: Vec<u8>,
    mesh_ca: Vec<u8>,
    report: BTreeMap<u64, Vec<Value>>,
    chain: BTreeMap<u64, Vec<Value>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn message(mut bytes: &[u8]) -> BTreeMap<u64, Vec<Value>> {
    let mut fields: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let number = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(number),
            2 => {
                let (value, rest) = bytes.split_at(usize::try_from(number).unwrap());
                bytes = rest;
                Value::Bytes(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.entry(tag >> 3).or_default().push(value);
    }
    fields
}

impl Document {
    async fn fetch(sim: &Simulator) -> Document {
        let body = format!("{{\"Nonce\":\"{}\"}}", STANDARD.encode(NONCE));
        let raw = send(post(sim, "/privatemode/v1/attest", body)).await.unwrap();
        assert_eq!(raw.status, 200, "{}", raw.text());
        let json = Json::parse(&STANDARD.decode(text(&raw.json(), "AttestationDoc")).unwrap()).unwrap();
        let decoded = |name: &str| STANDARD.decode(text(&json, name)).unwrap();
        let list = json.get("manifests").unwrap().as_array().unwrap();
        let attestation = message(&decoded("raw_attestation_doc"));
        let inner = |field: u64| match &attestation[&field][0] {
            Value::Bytes(bytes) => message(bytes),
            Value::Number(_) => panic!("a number"),
        };
        Document {
            manifests: list.iter().map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap()).collect(),
            root_ca: decoded("root_ca"),
            mesh_ca: decoded("mesh_ca"),
            report: inner(1),
            chain: inner(2),
            json,
        }
    }

    fn number(&self, field: u64) -> u64 {
        match self.report.get(&field).map(|values| &values[0]) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    fn bytes(&self, field: u64) -> &[u8] {
        match &self.report[&field][0] {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => panic!("a number"),
        }
    }

    fn certificate(&self, field: u64) -> Option<&[u8]> {
        match &self.chain.get(&field)?[0] {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) => None,
        }
    }

    /// The report data that follows from the document (privatemode.md 3.2).
    fn bound(&self) -> Vec<u8> {
        let mut transition = vec![0; 32];
        for manifest in &self.manifests {
            transition = Sha256::digest([Sha256::digest(manifest).to_vec(), transition].concat()).to_vec();
        }
        let parts = [
            NONCE.to_vec(),
            transition,
            Sha256::digest(&self.root_ca).to_vec(),
            Sha256::digest(&self.mesh_ca).to_vec(),
        ];
        [Sha256::digest(parts.concat()).to_vec(), vec![0; 32]].concat()
    }
}

#[tokio::test]
async fn defects_of_the_document() {
    let sim = start(&[]);
    let fetch = async |defect: Defect| {
        sim.set_defects(&[defect]);
        Document::fetch(&sim).await
    };
    let honest = Document::fetch(&sim).await;
    assert_eq!(honest.bytes(11), honest.bound());
    assert_eq!(honest.manifests, [sim.manifest()]);
    let kind = |document: &Document| document.json.get("attestation_type").map(Json::to_compact);
    assert_eq!(kind(&honest).as_deref(), Some("[1,3,9901,2,1]"));
    let reference = Json::parse(&sim.manifest())
        .unwrap()
        .get("ReferenceValues")
        .unwrap()
        .get("snp")
        .unwrap()
        .as_array()
        .unwrap()[0]
        .clone();
    assert_eq!(const_hex::encode(honest.bytes(12)), text(&reference, "TrustedMeasurement"));
    assert!(honest.certificate(1).is_some() && honest.certificate(7).is_some());
    assert_eq!((honest.number(3) & 1 << 19, honest.number(6), honest.number(9) & 1), (0, 0, 0));

    assert_eq!(kind(&fetch(Defect::TypeMissing).await), None);
    assert_eq!(kind(&fetch(Defect::TypeOther).await).as_deref(), Some("[1,3,9901,2,2]"));
    assert!(kind(&fetch(Defect::TypeInsecure).await).is_some_and(|kind| kind != "[1,3,9901,2,1]"));
    assert_eq!(fetch(Defect::HistoryEmpty).await.manifests.len(), 0);
    let two = fetch(Defect::HistoryTwo).await;
    assert!(
        two.manifests.len() == 2 && two.bytes(11) == two.bound() && two.manifests[1] == honest.manifests[0]
    );
    for defect in [Defect::HistoryHidden, Defect::NonceOther, Defect::FivePartReportData, Defect::MeshCaOther]
    {
        let document = fetch(defect).await;
        assert_ne!(document.bytes(11), document.bound(), "{defect:?}");
        assert_eq!(document.manifests, honest.manifests);
        assert_eq!(document.mesh_ca == honest.mesh_ca, defect != Defect::MeshCaOther);
    }
    for defect in [Defect::MeshCaLeaf, Defect::MeshCaExpired] {
        let document = fetch(defect).await;
        assert!(document.bytes(11) == document.bound() && document.mesh_ca != honest.mesh_ca, "{defect:?}");
        let der = x509_parser::pem::parse_x509_pem(&document.mesh_ca).unwrap().1;
        let certificate = der.parse_x509().unwrap();
        assert_eq!(certificate.is_ca(), defect == Defect::MeshCaExpired);
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap();
        assert_eq!(end < NOW, defect == Defect::MeshCaExpired);
    }
    assert_eq!(fetch(Defect::DebugGuest).await.number(3) >> 19 & 1, 1);
    assert_eq!(fetch(Defect::LowPrivilege).await.number(6), 1);
    assert_eq!(fetch(Defect::SmtEnabled).await.number(9) & 1, 1);
    assert_eq!(fetch(Defect::MitigationMissing).await.number(31), 7);
    for (defect, field) in [
        (Defect::ReportTampered, 12),
        (Defect::WrongMeasurement, 12),
        (Defect::WrongHostData, 13),
        (Defect::WrongIdKey, 14),
        (Defect::OtherChip, 19),
    ] {
        let document = fetch(defect).await;
        assert_ne!(document.bytes(field), honest.bytes(field), "{defect:?}");
        // All but the tampered one are signed: the signature covers the change.
        assert_eq!(verifies(&document), defect != Defect::ReportTampered, "{defect:?}");
    }
    let old = fetch(Defect::WrongTcb).await;
    assert!(
        old.number(18) < honest.number(18) && old.certificate(1) != honest.certificate(1) && verifies(&old)
    );
    assert_eq!(fetch(Defect::PoliciesMissing).await.json.get("policies").unwrap().to_compact(), "[]");
    sim.set_defects(&[Defect::AttestFailsOnce]);
    let body = || format!("{{\"Nonce\":\"{}\"}}", STANDARD.encode(NONCE));
    for status in [502, 200] {
        assert_eq!(send(post(&sim, "/privatemode/v1/attest", body())).await.unwrap().status, status);
    }
    sim.set_defects(&[Defect::AttestDown]);
    let raw = send(post(&sim, "/privatemode/v1/attest", body())).await.unwrap();
    assert!(raw.status == 502 && raw.header("content-type").starts_with("text/html"));
    sim.set_defects(&[Defect::DocumentDuplicate]);
    let raw = send(post(&sim, "/privatemode/v1/attest", body())).await.unwrap();
    assert_eq!(Json::parse(&raw.body), Err(JsonError::DuplicateMember));
    sim.set_defects(&[Defect::DocumentGarbage]);
    let raw = send(post(&sim, "/privatemode/v1/attest", body())).await.unwrap();
    assert!(Json::parse(&STANDARD.decode(text(&raw.json(), "AttestationDoc")).unwrap()).is_err());
}

/// Whether the report is signed by the key in its certificate. The signed bytes are rebuilt from the message's fields.
fn verifies(document: &Document) -> bool {
    let mut report = vec![0; 1184];
    let mut put = |offset: usize, bytes: &[u8]| report[offset..offset + bytes.len()].copy_from_slice(bytes);
    for (field, offset, length) in [
        (1, 0, 4),
        (2, 4, 4),
        (3, 8, 8),
        (6, 0x30, 4),
        (7, 0x34, 4),
        (8, 0x38, 8),
        (9, 0x40, 8),
        (10, 0x48, 4),
    ] {
        put(offset, &document.number(field).to_le_bytes()[..length]);
    }
    for (field, offset, length) in [
        (18, 0x180, 8),
        (20, 0x1e0, 8),
        (21, 0x1e8, 1),
        (22, 0x1e9, 1),
        (23, 0x1ea, 1),
        (24, 0x1ec, 1),
        (25, 0x1ed, 1),
        (26, 0x1ee, 1),
        (27, 0x1f0, 8),
        (30, 0x1f8, 8),
        (31, 0x200, 8),
    ] {
        put(offset, &document.number(field).to_le_bytes()[..length]);
    }
    for (field, offset) in [
        (4, 0x10),
        (5, 0x20),
        (11, 0x50),
        (12, 0x90),
        (13, 0xc0),
        (14, 0xe0),
        (15, 0x110),
        (16, 0x140),
        (17, 0x160),
        (19, 0x1a0),
    ] {
        if document.report.contains_key(&field) {
            put(offset, document.bytes(field));
        }
    }
    // Genoa's 19-11-1 as the processor's own leaf has it.
    assert_eq!(document.number(29), 0x00a1_0f11);
    put(0x188, &[0x19, 0x11, 1]);
    let signature = document.bytes(28);
    let fixed: Vec<u8> =
        signature[..48].iter().rev().chain(signature[72..120].iter().rev()).copied().collect();
    let certificate = X509Certificate::from_der(document.certificate(1).unwrap()).unwrap().1;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data)
        .unwrap();
    let digest = sha2::Sha384::digest(&report[..0x2a0]);
    key.verify_prehash(&digest, &p384::ecdsa::Signature::from_slice(&fixed).unwrap()).is_ok()
}

#[tokio::test]
async fn defects_of_collateral() {
    let sim = start(&[]);
    let honest = Document::fetch(&sim).await;
    assert!(verifies(&honest));
    let chip = const_hex::encode(honest.bytes(19));
    let kds = async |what: &str| get(&sim, &format!("/vcek/v1/Genoa/{what}")).await;
    let vcek = format!("{chip}?blSPL=10&teeSPL=00&snpSPL=23&ucodeSPL=84");
    assert_eq!(kds(&vcek).await.body, honest.certificate(1).unwrap());
    let extra = |document: &Document| {
        let entry = document.certificate(7).map(message)?;
        match &entry[&2][0] {
            Value::Bytes(bytes) => Some(bytes.clone()),
            Value::Number(_) => None,
        }
    };
    assert_eq!(Some(kds("crl").await.body), extra(&honest));
    assert_eq!(kds("cert_chain").await.text().matches("BEGIN CERTIFICATE").count(), 2);
    for (defect, has_vcek, has_crl) in [
        (Defect::VcekMissing, false, true),
        (Defect::CrlMissing, true, false),
        (Defect::KdsDown, false, false),
    ] {
        sim.set_defects(&[defect]);
        let document = Document::fetch(&sim).await;
        assert_eq!(
            (document.certificate(1).is_some(), document.certificate(7).is_some()),
            (has_vcek, has_crl)
        );
        for what in [vcek.as_str(), "crl", "cert_chain"] {
            assert_eq!(
                kds(what).await.status,
                if defect == Defect::KdsDown { 503 } else { 200 },
                "{defect:?} {what}"
            );
        }
    }
    sim.set_defects(&[Defect::OtherVcek]);
    assert!(!verifies(&Document::fetch(&sim).await));
    for defect in [Defect::LookalikeRoot, Defect::RevokedAsk, Defect::CrlStale, Defect::CrlBadSignature] {
        sim.set_defects(&[defect]);
        let document = Document::fetch(&sim).await;
        assert!(verifies(&document), "{defect:?}");
        let list = extra(&document).unwrap();
        let list = CertificateRevocationList::from_der(&list).unwrap().1;
        // The service gives the same list; its signature is random and may be another.
        let fetched = kds("crl").await.body;
        let fetched = CertificateRevocationList::from_der(&fetched).unwrap().1;
        assert_eq!(fetched.tbs_cert_list.as_ref(), list.tbs_cert_list.as_ref());
        let ask = X509Certificate::from_der(document.certificate(2).unwrap()).unwrap().1;
        let is_revoked = list.iter_revoked_certificates().any(|entry| entry.raw_serial() == ask.raw_serial());
        assert_eq!(is_revoked, defect == Defect::RevokedAsk);
        let next = u64::try_from(list.next_update().unwrap().timestamp()).unwrap();
        assert_eq!(next < NOW, defect == Defect::CrlStale);
    }
}

#[tokio::test]
async fn defects_of_the_exchange() {
    let sim = start(&[]);
    let mesh = Document::fetch(&sim).await.mesh_ca;
    let pem = x509_parser::pem::parse_x509_pem(&mesh).unwrap().1;
    let authority = pem.parse_x509().unwrap();
    let authority_key =
        p384::ecdsa::VerifyingKey::from_sec1_bytes(&authority.public_key().subject_public_key.data).unwrap();
    let cases = [
        // Defect, whether the signature is right, whether the mesh authority signed the certificate.
        (None, true, true),
        (Some(Defect::SecretSwapped), false, true),
        (Some(Defect::SecretOtherKey), false, true),
        (Some(Defect::SecretBadSignature), false, true),
        (Some(Defect::CertificateOtherCa), true, false),
        (Some(Defect::CertificateWorkload), true, true),
        (Some(Defect::CertificateNames), true, true),
        (Some(Defect::CertificateExpired), true, true),
        (Some(Defect::CertificateClientOnly), true, true),
        (Some(Defect::CertificateP256), true, true),
    ];
    for (defect, signed, issued) in cases {
        sim.set_defects(defect.as_slice());
        let exchanged = exchange(&sim, 5).await;
        let [encapsulated, signature, der] = &exchanged.answer;
        let certificate = X509Certificate::from_der(der).unwrap().1;
        let digest = Sha256::digest([exchanged.public.as_slice(), encapsulated].concat());
        let point = &certificate.public_key().subject_public_key.data;
        let verified = if point.len() == 65 {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).unwrap();
            key.verify_prehash(&digest, &p256::ecdsa::Signature::from_der(signature).unwrap()).is_ok()
        } else {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).unwrap();
            key.verify_prehash(&digest, &p384::ecdsa::Signature::from_der(signature).unwrap()).is_ok()
        };
        assert_eq!(verified, signed, "{defect:?}");
        let to_sign = sha2::Sha384::digest(certificate.tbs_certificate.as_ref());
        let by_authority = p384::ecdsa::Signature::from_der(&certificate.signature_value.data).unwrap();
        assert_eq!(authority_key.verify_prehash(&to_sign, &by_authority).is_ok(), issued, "{defect:?}");
        assert_eq!(certificate.issuer(), authority.subject());
        let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len();
        let is_wrong = [Some(Defect::CertificateNames), Some(Defect::CertificateWorkload)].contains(&defect);
        assert_eq!(names == 7, !is_wrong, "{defect:?}: {names}");
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap();
        assert_eq!(end < NOW, defect == Some(Defect::CertificateExpired));
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert_eq!(usage.server_auth, defect != Some(Defect::CertificateClientOnly));
        // Whoever keeps to the encapsulated key can talk to the workers, the swapped one too: only the signature shows it.
        let (raw, mut call) = chat(&sim, &exchanged).await;
        assert!(judge(&raw.unwrap(), &mut call).is_ok(), "{defect:?}");
    }
    for (defect, status) in
        [(Defect::SecretDown, 502), (Defect::SecretGarbage, 200), (Defect::SecretShort, 200)]
    {
        sim.set_defects(&[]);
        let public = exchange(&sim, 5).await.public;
        sim.set_defects(&[defect]);
        let body = format!("{{\"PublicKey\":\"{}\"}}", STANDARD.encode(&public));
        let raw = send(post(&sim, "/privatemode/v1/secret", body)).await.unwrap();
        assert_eq!(raw.status, status);
        if status == 200 {
            let answer = raw.json();
            let key = answer.get("EncapsulatedKey").and_then(Json::as_str);
            assert_eq!(
                key.map(|key| STANDARD.decode(key).unwrap().len()),
                (defect == Defect::SecretShort).then_some(1119)
            );
        }
    }
}
