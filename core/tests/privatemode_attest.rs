//! Every case of the Privatemode vector files that concern attestation, manifests and the key service's answer, by id
//! (tests/vectors/privatemode/README.md), and what they leave out.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proveil_core::Code;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::contrast::{
    Collateral, Expectations, GuestPolicy, Manifest, SecretServiceNames, id_block, id_key, id_key_digest,
    report_data, transition_digest, verify, verify_key_service,
};
use proveil_core::attest::snp::Report;
use proveil_core::crypto::sha256;
use proveil_core::evidence::{ContrastDocument, ContrastHardware, SecretAnswer};
use proveil_core::pki::{Authority, pem};
use proveil_core::wire::time::rfc3339;
use proveil_core::wire::{base64, hex};
use serde_json::{Value, json};
use support::{bytes, expect, run_cases, text, vector_file};

fn nonce(case: &Value) -> [u8; 32] {
    bytes(case, "nonce_hex").try_into().unwrap()
}

#[test]
fn report_data_of_both_forms() {
    run_cases("privatemode/report_data.json", |case| {
        let manifests: Vec<&str> =
            case["manifests"].as_array().unwrap().iter().map(|manifest| manifest.as_str().unwrap()).collect();
        let capabilities = case["capabilities_body"].as_str().map(str::as_bytes);
        let [root, mesh] = ["root_ca_pem", "mesh_ca_pem"].map(|name| text(case, name).as_bytes());
        let digest = transition_digest(&manifests);
        expect("transition", hex::encode(&digest).as_str(), text(case, "transition_digest_hex"))?;
        let data = report_data(&nonce(case), &manifests, root, mesh, capabilities);
        expect("report data", hex::encode(&data).as_str(), text(case, "report_data_hex"))?;
        // The other form is another value: neither stands for the other.
        let other = if capabilities.is_some() { None } else { Some(&b"{}"[..]) };
        expect("other form", report_data(&nonce(case), &manifests, root, mesh, other) == data, false)
    });
}

/// T10: a history is bound in its order and in its bytes.
#[test]
fn t10_histories_differ_in_order_and_length() {
    let digests: Vec<[u8; 32]> =
        [&["a", "b"][..], &["b", "a"], &["a"], &["b"], &["ab"], &["a", "b", ""], &[]]
            .into_iter()
            .map(transition_digest)
            .collect();
    for (i, digest) in digests.iter().enumerate() {
        assert!(digests.iter().skip(i + 1).all(|other| other != digest), "{i}");
    }
}

#[test]
fn id_keys() {
    run_cases("privatemode/snp_id_key.json", |case| {
        let flag = |name: &str| case["guest_policy"][name].as_bool().unwrap_or(false);
        let policy = GuestPolicy {
            smt: flag("SMT"),
            migrate_ma: flag("MigrateMA"),
            debug: flag("Debug"),
            cxl_allowed: flag("CXLAllowed"),
            ciphertext_hiding_dram: flag("CipherTextHidingDRAM"),
            page_swap_disable: flag("PageSwapDisable"),
            ..GuestPolicy::default()
        };
        expect("policy", format!("{:#018x}", policy.bits()).as_str(), text(case, "guest_policy_u64"))?;
        let measurement: [u8; 48] = bytes(case, "measurement_hex").try_into().unwrap();
        let block = id_block(&measurement, policy.bits());
        expect("block", hex::encode(&block).as_str(), text(case, "id_block_hex"))?;
        let key = id_key(&block).unwrap();
        let (x, y) = key[1..].split_at(48);
        expect("x", hex::encode(x).as_str(), text(case, "id_key_x_hex"))?;
        expect("y", hex::encode(y).as_str(), text(case, "id_key_y_hex"))?;
        let digest = id_key_digest(&measurement, policy.bits()).unwrap();
        expect("digest", hex::encode(&digest).as_str(), text(case, "id_key_digest_hex"))
    });
}

#[test]
fn guest_policy_bits() {
    let all = GuestPolicy {
        abi_minor: 0x1f,
        abi_major: 2,
        smt: true,
        migrate_ma: true,
        debug: true,
        single_socket: true,
        cxl_allowed: true,
        mem_aes_256_xts: true,
        rapl_dis: true,
        ciphertext_hiding_dram: true,
        page_swap_disable: true,
    };
    assert_eq!((all.bits(), GuestPolicy::default().bits()), (0x03ff_021f, 0x0002_0000));
}

#[test]
fn attestation_envelopes() {
    run_cases("privatemode/attestation_envelope.json", |case| {
        let request: Value = serde_json::from_str(text(case, "request_json")).unwrap();
        expect("request", text(&request, "Nonce"), base64::encode(&nonce(case)).as_str())?;
        let manifest = base64::decode(text(case, "expected_manifest_b64")).unwrap();
        let document = ContrastDocument::from_answer(text(case, "response_json").as_bytes());
        let document = match (document, text(case, "verdict")) {
            (Ok(document), "accept-shape") => document,
            (Err(error), "reject") => {
                expect("reason", case["reason"].is_string(), true)?;
                return expect("code", error.code(), Code::ContrastMalformed);
            }
            (document, verdict) => return Err(format!("{document:?} for {verdict}")),
        };
        let decoded = &case["decoded"];
        let ContrastHardware::Snp(snp) = &document.hardware else { return Err("not SNP".into()) };
        // The dummy report has version 3 with mitigations, which came with version 5: its form is refused, so it is read as 5.
        let mut raw = snp.report.clone();
        expect("form", Report::parse(&raw).err().map(|error| error.code()), Some(Code::SnpReportMalformed))?;
        raw[0] = 5;
        let report = Report::parse(&raw).map_err(|error| error.to_string())?;
        let fields = report.fields();
        let hexes = [
            ("report_data_hex", fields.report_data.as_slice()),
            ("measurement_hex", &fields.measurement),
            ("host_data_hex", &fields.host_data),
            ("id_key_digest_hex", &fields.id_key_digest),
            ("vcek_hex", snp.endorsements.vcek.as_deref().unwrap()),
            ("crl_hex", snp.endorsements.crl.as_deref().unwrap()),
        ];
        for (name, found) in hexes {
            expect(name, hex::encode(found).as_str(), text(decoded, name))?;
        }
        expect("policy", format!("{:#018x}", fields.policy).as_str(), text(decoded, "policy_u64"))?;
        expect("vmpl", u64::from(fields.vmpl), decoded["vmpl"].as_u64().unwrap())?;
        let tcb = u64::from_le_bytes(fields.reported_tcb);
        expect("reported TCB", format!("{tcb:#x}").as_str(), text(decoded, "reported_tcb_u64"))?;
        expect(
            "platform",
            format!("{:#x}", fields.platform_info).as_str(),
            text(decoded, "platform_info_u64"),
        )?;
        expect("product", snp.product.map(|product| product.name()), decoded["product"].as_str())?;
        // What the members bind is what the report holds.
        let data = report_data(&nonce(case), &document.manifests, &document.root_ca, &document.mesh_ca, None);
        expect("bound", data, fields.report_data)?;
        let read = Manifest::parse(&manifest).map_err(|error| error.to_string())?;
        expect("coordinator", read.coordinator().unwrap().hash, fields.host_data)?;
        let reference = &read.snp[0];
        let digest = id_key_digest(&reference.measurement, reference.guest_policy.bits());
        expect("ID key", digest, Some(fields.id_key_digest))?;
        // Its certificates are dummies: a document of the right shape is not a verified one.
        let expected = Expectations { manifest: &manifest, nonce: &nonce(case), capabilities: None };
        let roots = TrustRoots::vendors();
        let judge = |document: &ContrastDocument| {
            verify(document, &expected, &Collateral::default(), &roots, 1_780_000_000).unwrap_err().code()
        };
        expect("verdict", judge(&document), Code::SnpReportMalformed)?;
        let mut document = document.clone();
        let ContrastHardware::Snp(snp) = &mut document.hardware else { return Err("not SNP".into()) };
        snp.report = raw.clone();
        expect("verdict as 5", judge(&document), Code::SnpChain)
    });
}

/// T06: a document that is cut off anywhere is refused and not read in part.
#[test]
fn t06_cut_documents() {
    let file = vector_file("privatemode/attestation_envelope.json");
    let answer = file["cases"][0]["response_json"].as_str().unwrap();
    let document: Value = serde_json::from_str(answer).unwrap();
    let document = base64::decode(document["AttestationDoc"].as_str().unwrap()).unwrap();
    assert!(ContrastDocument::from_json(&document).is_ok());
    for end in 0..document.len() {
        assert_eq!(
            ContrastDocument::from_json(&document[..end]).unwrap_err().code(),
            Code::ContrastMalformed
        );
    }
    let mut members: Value = serde_json::from_slice(&document).unwrap();
    let raw = base64::decode(members["raw_attestation_doc"].as_str().unwrap()).unwrap();
    let whole = ContrastDocument::from_json(&document).unwrap();
    for end in 0..raw.len() {
        members["raw_attestation_doc"] = json!(base64::encode(&raw[..end]));
        // A cut between two fields of the outer message leaves fewer fields, never another report.
        if let Ok(cut) = ContrastDocument::from_json(members.to_string().as_bytes()) {
            let [ContrastHardware::Snp(cut), ContrastHardware::Snp(whole)] = [&cut.hardware, &whole.hardware]
            else {
                panic!("another kind of hardware");
            };
            assert_eq!(cut.report, whole.report, "{end}");
        }
    }
    members["raw_attestation_doc"] = json!(base64::encode(&raw));
    // The version is named when the rest cannot be read.
    members["root_ca"] = json!(7);
    let error = ContrastDocument::from_json(members.to_string().as_bytes()).unwrap_err();
    assert!(error.message().contains("v1.20.0") && error.expected_value().is_some(), "{error}");
}

#[test]
fn bounds_of_documents() {
    let file = vector_file("privatemode/attestation_envelope.json");
    let answer: Value = serde_json::from_str(file["cases"][0]["response_json"].as_str().unwrap()).unwrap();
    let document = base64::decode(answer["AttestationDoc"].as_str().unwrap()).unwrap();
    let members: Value = serde_json::from_slice(&document).unwrap();
    let cases: &[(&str, Value, bool)] = &[
        ("manifests", json!(vec![""; 64]), true),
        ("manifests", json!(vec![""; 65]), false),
        ("policies", json!(vec![""; 4096]), true),
        ("policies", json!(vec![""; 4097]), false),
        ("manifests", json!([base64::encode(&vec![b' '; 4 * 1024 * 1024])]), true),
        ("manifests", json!([base64::encode(&vec![b' '; 4 * 1024 * 1024 + 1])]), false),
        ("other", json!("x".repeat(8 * 1024 * 1024)), false),
    ];
    for (name, value, accepted) in cases {
        let mut members = members.clone();
        members[name] = value.clone();
        let read = ContrastDocument::from_json(members.to_string().as_bytes());
        match accepted {
            true => assert!(read.is_ok(), "{name}"),
            false => assert_eq!(read.unwrap_err().code(), Code::LimitExceeded, "{name}"),
        }
    }
}

/// Public keys of the vectors by private seed.
fn public_key(case: &Value) -> Vec<u8> {
    let file = vector_file("privatemode/secret_exchange_hpke.json");
    let same = |other: &&Value| other["private_seed_hex"] == case["private_seed_hex"];
    bytes(file["cases"].as_array().unwrap().iter().find(same).unwrap(), "public_key_hex")
}

fn mesh_ca(case: &Value) -> Authority {
    Authority::root(&pem::certificates(text(case, "mesh_ca_pem").as_bytes()).unwrap()[0]).unwrap()
}

const NOW: u64 = 1_780_272_000;

#[test]
fn answers_of_the_key_service() {
    let file = vector_file("privatemode/attestation_envelope.json");
    let manifest = base64::decode(text(&file["cases"][0], "expected_manifest_b64")).unwrap();
    let manifest = Manifest::parse(&manifest).unwrap();
    let names = [SecretServiceNames::Manifest, SecretServiceNames::Dns("secret.privatemode.ai".into())];
    run_cases("privatemode/secret_exchange_response.json", |case| {
        expect("time", rfc3339(NOW).as_str(), text(case, "now"))?;
        let (public_key, mesh_ca) = (public_key(case), mesh_ca(case));
        let answer =
            SecretAnswer::from_json(text(case, "response_json").as_bytes()).map_err(|e| e.to_string())?;
        let accepted = text(case, "strict") == "accept";
        expect("never looser", accepted && text(case, "reference") != "accept", false)?;
        for names in &names {
            let found = verify_key_service(&public_key, &answer, &mesh_ca, Some(&manifest), names, NOW);
            expect("verdict", found.is_ok(), accepted)?;
            if let Err(error) = &found {
                let codes = [Code::MeshCertificate, Code::SecretSignature, Code::MalformedResponse];
                expect("code", codes.contains(&error.code()), true)?;
            }
        }
        if accepted {
            let id = base64::encode(&sha256(&[&public_key]));
            expect("secret id", id.as_str(), text(case, "secret_id"))?;
            expect("secret", case["secret_hex"].is_string(), true)?;
            // Another name, or another time, is no.
            for name in ["", "*", "other.privatemode.ai", "x.secret.privatemode.ai"] {
                let listed = name == "*";
                let other = SecretServiceNames::Dns(name.into());
                let found = verify_key_service(&public_key, &answer, &mesh_ca, None, &other, NOW);
                expect(name, found.is_ok(), listed)?;
            }
            for at in [NOW - 31 * 86_400, NOW + 400 * 86_400] {
                let found = verify_key_service(&public_key, &answer, &mesh_ca, None, &names[1], at);
                expect("time", found.unwrap_err().code(), Code::MeshCertificate)?;
            }
            let without = verify_key_service(&public_key, &answer, &mesh_ca, None, &names[0], NOW);
            expect("no manifest", without.unwrap_err().code(), Code::MeshCertificate)?;
        }
        Ok(())
    });
}

/// T04: no single bit of key, encapsulated key, signature or certificate can be changed.
#[test]
fn t04_changed_answers_of_the_key_service() {
    let file = vector_file("privatemode/secret_exchange_response.json");
    let names = SecretServiceNames::Dns("secret.privatemode.ai".into());
    for case in &file["cases"].as_array().unwrap()[..2] {
        let (public_key, mesh_ca) = (public_key(case), mesh_ca(case));
        let answer = SecretAnswer::from_json(text(case, "response_json").as_bytes()).unwrap();
        let judge = |public_key: &[u8], answer: &SecretAnswer| {
            verify_key_service(public_key, answer, &mesh_ca, None, &names, NOW).is_ok()
        };
        assert!(judge(&public_key, &answer));
        // What is hashed as a whole is changed at every seventh byte, the structures at every one.
        for i in (0..public_key.len()).step_by(7) {
            let mut changed = public_key.clone();
            changed[i] ^= 1 << (i % 8);
            assert!(!judge(&changed, &answer), "public key {i}");
        }
        let parts: [fn(&mut SecretAnswer) -> &mut Vec<u8>; 3] =
            [|a| &mut a.encapsulated_key, |a| &mut a.signature, |a| &mut a.certificate];
        for (place, part) in parts.iter().enumerate() {
            let step = if place == 0 { 7 } else { 1 };
            for i in (0..part(&mut answer.clone()).len()).step_by(step) {
                let mut changed = answer.clone();
                part(&mut changed)[i] ^= 1 << (i % 8);
                assert!(!judge(&public_key, &changed), "part {place}, byte {i}");
            }
            let mut longer = answer.clone();
            part(&mut longer).push(0);
            assert!(!judge(&public_key, &longer), "part {place}, one byte more");
        }
    }
}

#[test]
fn forms_of_answers_of_the_key_service() {
    let cases = [
        ("{\"EncapsulatedKey\":\"\",\"Signature\":\"\",\"MeshCert\":\"\",\"more\":1}", None),
        ("{\"EncapsulatedKey\":\"\",\"Signature\":\"\"}", Some(Code::MalformedResponse)),
        ("{\"EncapsulatedKey\":\"!\",\"Signature\":\"\",\"MeshCert\":\"\"}", Some(Code::MalformedResponse)),
        (
            "{\"Signature\":\"\",\"EncapsulatedKey\":\"\",\"Signature\":\"\",\"MeshCert\":\"\"}",
            Some(Code::MalformedResponse),
        ),
        ("<html>", Some(Code::MalformedResponse)),
        ("[]", Some(Code::MalformedResponse)),
    ];
    for (text, code) in cases {
        assert_eq!(SecretAnswer::from_json(text.as_bytes()).err().map(|error| error.code()), code, "{text}");
    }
    let long = " ".repeat(64 * 1024 + 1);
    assert_eq!(SecretAnswer::from_json(long.as_bytes()).unwrap_err().code(), Code::LimitExceeded);
}
