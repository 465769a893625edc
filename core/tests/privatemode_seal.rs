//! Every case of the Privatemode vector files that concern sealing, by id (tests/vectors/privatemode/README.md), and properties of the
//! field cipher: cuts, changes, order, reflection, counters.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proveil_core::crypto::{self, AesGcm, hmac_sha256};
use proveil_core::seal::MessageCipher;
use proveil_core::seal::gcm_stream::{FieldCipher, MessageKey};
use proveil_core::seal::hpke::{ExchangeKey, answer_exchange, secret_id};
use proveil_core::secret::Secret;
use proveil_core::wire::{base64, hex};
use proveil_core::{Code, Error};
use serde_json::Value;
use support::{Listed, TestRandom, bytes, expect, run_cases, secret, text, vector_file};

type Outcome = Result<(), String>;

fn said(error: Error) -> String {
    error.to_string()
}

fn nonce(case: &Value, name: &str) -> [u8; 12] {
    bytes(case, name).try_into().unwrap()
}

fn message_key(case: &Value, id: &str, nonce_name: &str) -> MessageKey {
    MessageKey::new(&bytes(case, "key_hex"), text(case, id), nonce(case, nonce_name)).unwrap()
}

fn counter(case: &Value) -> u32 {
    u32::try_from(case["seq"].as_u64().unwrap()).unwrap()
}

#[test]
fn message_cipher() {
    run_cases("privatemode/message_cipher.json", |case| {
        let key = message_key(case, "secret_id", "nonce_hex");
        let (plaintext, message) = (bytes(case, "plaintext_hex"), text(case, "message"));
        let mut random = Listed(bytes(case, "iv_hex"));
        let mut sealed = Vec::new();
        key.seal_at(counter(case), &plaintext, &mut random, &mut sealed).map_err(said)?;
        expect("sealed", String::from_utf8_lossy(&sealed).as_ref(), message)?;
        expect("random bytes left", random.0.len(), 0)?;
        expect("length", sealed.len(), key.sealed_len(plaintext.len()))?;

        let mut opened = b"before".to_vec();
        key.open_at(counter(case), message.as_bytes(), &mut opened).map_err(said)?;
        expect("opened", opened, [b"before", plaintext.as_slice()].concat())
    });
}

#[test]
fn message_cipher_negative() {
    run_cases("privatemode/message_cipher_negative.json", |case| {
        let key = message_key(case, "session_secret_id", "session_nonce_hex");
        let mut out = b"before".to_vec();
        let opened = key.open_at(counter(case), text(case, "message").as_bytes(), &mut out);
        let verdict = if opened.is_ok() { "accept" } else { "reject" };
        expect("strict", verdict, text(case, "strict"))?;
        match case["plaintext_hex"].as_str() {
            Some(plaintext) => expect("plaintext", hex::encode(&out[6..]).as_str(), plaintext),
            None => expect("output", out.as_slice(), b"before"),
        }?;
        // The strict verdict is never looser than the reference's.
        let reference = text(case, "reference");
        expect("reference", verdict == "reject" || reference == "accept", true)
    });
}

/// Which error each kind of refusal is: callers tell a downgrade, a foreign field and a changed one apart.
#[test]
fn refusals_have_their_codes() {
    let expected = [
        ("mn-01", Code::NotCiphertext),
        ("mn-03", Code::ForeignField),
        ("mn-05", Code::ForeignField),
        ("mn-06", Code::AuthFailed),
        ("mn-08", Code::NotCiphertext),
        ("mn-10", Code::NotCiphertext),
        ("mn-11", Code::NotCiphertext),
        ("mn-13", Code::NotCiphertext),
        ("mn-15", Code::NotCiphertext),
        ("mn-16", Code::NotCiphertext),
        ("mn-18", Code::AuthFailed),
    ];
    let file = vector_file("privatemode/message_cipher_negative.json");
    for (id, code) in expected {
        let case = file["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap();
        let key = message_key(case, "session_secret_id", "session_nonce_hex");
        let refused = key.open_at(counter(case), text(case, "message").as_bytes(), &mut Vec::new());
        assert_eq!(refused.unwrap_err().code(), code, "{id}");
    }
}

#[test]
fn session() {
    run_cases("privatemode/session.json", |case| {
        let mut random = Listed(bytes(case, "nonce_hex"));
        let mut cipher =
            FieldCipher::new(&secret(case, "key_hex"), text(case, "secret_id"), &mut random).map_err(said)?;
        expect("nonce", cipher.nonce().as_slice(), bytes(case, "nonce_hex").as_slice())?;
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            session_step(&mut cipher, step).map_err(|reason| format!("step {number}: {reason}"))?;
        }
        Ok(())
    });
}

fn session_step(cipher: &mut FieldCipher, step: &Value) -> Outcome {
    let message = text(step, "message");
    if text(step, "op") == "encrypt" {
        let before = cipher.sealed_fields();
        let sealed = cipher.seal(&bytes(step, "plaintext_hex"), &mut Listed(bytes(step, "iv_hex")));
        let found = sealed.unwrap_or_else(|_| "error".to_owned());
        expect("counted", cipher.sealed_fields() - before, u64::from(message != "error"))?;
        return expect("sealed", found.as_str(), message);
    }
    let before = cipher.opened_fields();
    let opened = cipher.open(message.as_bytes());
    let code = opened.as_ref().err().map(Error::code);
    let found = opened.map_or_else(|_| "error".to_owned(), |text| hex::encode(&text));
    expect("opened", found.as_str(), text(step, "result"))?;
    expect("counted", cipher.opened_fields() - before, u64::from(code.is_none()))?;
    // The only place where the reference is laxer: a response under an iv of the request.
    match step.get("reference_result") {
        Some(reference) => {
            expect("reference", reference.is_string() && reference != "error", true)?;
            expect("code", code, Some(Code::ReflectedField))
        }
        None => Ok(()),
    }
}

#[test]
fn secret_exchange_hpke() {
    run_cases("privatemode/secret_exchange_hpke.json", |case| {
        let ids = [text(case, "kem_id"), text(case, "kdf_id"), text(case, "aead_id")];
        expect("suite", ids, ["0x647a", "0x0001", "0xffff"])?;
        let key = ExchangeKey::generate(&mut Listed(bytes(case, "private_seed_hex"))).map_err(said)?;
        let public = bytes(case, "public_key_hex");
        expect("public key", key.public_key().as_slice(), public.as_slice())?;
        expect("secret id", key.secret_id().as_str(), text(case, "secret_id"))?;
        expect("secret id of the key", secret_id(&public).as_str(), text(case, "secret_id"))?;
        let encapsulated = bytes(case, "encapsulated_key_hex");
        let signed = crypto::sha256(&[&public, &encapsulated]);
        expect("signature input", hex::encode(&signed).as_str(), text(case, "signature_input_sha256_hex"))?;
        key_schedule(case)?;

        // As a client and as a server, with the parameters of the case.
        let (info, context) = (bytes(case, "info_hex"), bytes(case, "exporter_context_hex"));
        let exported = bytes(case, "exported_hex");
        let mut out = vec![0; exported.len()];
        let fixed = encapsulated.as_slice().try_into().unwrap();
        crypto::xwing_receive(&secret(case, "private_seed_hex"), fixed, &info, &context, &mut out)
            .map_err(said)?;
        expect("exported by the recipient", out.as_slice(), exported.as_slice())?;
        out.fill(0);
        let mut random = Listed(bytes(case, "encapsulation_seed_hex"));
        let made =
            crypto::xwing_send(public.as_slice().try_into().unwrap(), &info, &context, &mut out, &mut random)
                .map_err(said)?;
        expect("encapsulated", made.as_slice(), encapsulated.as_slice())?;
        expect("exported by the sender", out.as_slice(), exported.as_slice())?;

        // With those on the wire.
        if info.is_empty() && context.is_empty() && exported.len() == 32 {
            let mut random = Listed(bytes(case, "encapsulation_seed_hex"));
            let (made, shared) = answer_exchange(&public, &mut random).map_err(said)?;
            expect("answer", made.as_slice(), encapsulated.as_slice())?;
            expect("secret of the server", shared.expose().as_slice(), exported.as_slice())?;
            let opened = key.open(&encapsulated).map_err(said)?;
            expect("secret of the client", opened.expose().as_slice(), exported.as_slice())?;
        }
        match case["request_json"].as_str() {
            Some(request) => {
                let member = serde_json::json!({ "PublicKey": base64::encode(&public) }).to_string();
                expect("request", request, member.as_str())
            }
            None => expect("request", case["request_json"].is_null(), true),
        }
    });
}

/// From the KEM's shared secret to the exported one, by RFC 9180 5.1 and RFC 5869 on HMAC alone: a second way through the case.
fn key_schedule(case: &Value) -> Outcome {
    const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\xff\xff";
    let extract = |salt: &[u8], label: &[u8], ikm: &[u8]| hmac_sha256(salt, &[b"HPKE-v1", SUITE, label, ikm]);
    let expand = |key: &[u8], label: &[u8], info: &[u8], length: usize| {
        let mut out = Vec::new();
        let mut block = Vec::new();
        for number in 1.. {
            if out.len() >= length {
                break;
            }
            let long = u16::try_from(length).unwrap().to_be_bytes();
            block = hmac_sha256(key, &[&block, &long, b"HPKE-v1", SUITE, label, info, &[number]]).to_vec();
            out.extend_from_slice(&block);
        }
        out.truncate(length);
        out
    };
    let psk = extract(b"", b"psk_id_hash", b"");
    let info = extract(b"", b"info_hash", &bytes(case, "info_hex"));
    let context = [&[0], psk.as_slice(), &info].concat();
    let shared = extract(&bytes(case, "kem_shared_secret_hex"), b"secret", b"");
    let exporter = expand(&shared, b"exp", &context, 32);
    expect("exporter secret", hex::encode(&exporter).as_str(), text(case, "exporter_secret_hex"))?;
    let exported = bytes(case, "exported_hex");
    let found = expand(&exporter, b"sec", &bytes(case, "exporter_context_hex"), exported.len());
    expect("exported", found, exported)
}

#[test]
fn exchange_keys_of_wrong_form() {
    let mut random = TestRandom(1, 0);
    let key = ExchangeKey::generate(&mut random).unwrap();
    let (encapsulated, shared) = answer_exchange(key.public_key(), &mut random).unwrap();
    let fresh = || ExchangeKey::generate(&mut TestRandom(1, 0)).unwrap();
    for length in [0, 1, 32, 1119, 1121, 1216] {
        let mut bad = encapsulated.to_vec();
        bad.resize(length, 0);
        assert_eq!(fresh().open(&bad).unwrap_err().code(), Code::MalformedResponse, "{length}");
        assert_eq!(
            answer_exchange(&vec![0; length.min(1215)], &mut random).unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    // Every changed byte gives another secret: implicit rejection in ML-KEM, the ciphertext inside X-Wing's hash for X25519.
    for at in (0..1120).step_by(97).chain([1087, 1088, 1119]) {
        let mut changed = encapsulated;
        changed[at] ^= 1;
        assert!(fresh().open(&changed).unwrap() != shared, "{at}");
    }
    assert!(fresh().open(&encapsulated).unwrap() == shared);
}

#[test]
fn ocsp_policy_mac() {
    run_cases("privatemode/ocsp_policy.json", |case| {
        // The server signs the canonical form of what it parsed; all but one header are canonical.
        let header = text(case, "header").trim_end_matches("xyz");
        let mac = hex::encode(&hmac_sha256(&bytes(case, "secret_hex"), &[header.as_bytes()]));
        let other_secret = text(case, "id") == "oc-08";
        expect("mac", mac == text(case, "mac"), !other_secret)?;
        if case["valid"] == true && case["rules"].is_array() {
            // The parts in the order in which a client has them.
            let rules: Vec<&str> =
                case["rules"].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
            let time = case["revocation_time_not_before"].as_i64().unwrap().to_string();
            let rules = rules.join(",");
            let parts = ["rules=", &rules, "; revocation-time-not-before=", &time].map(str::as_bytes);
            let mac = hex::encode(&hmac_sha256(&bytes(case, "secret_hex"), &parts));
            expect("mac of the parts", mac.as_str(), text(case, "mac"))?;
        }
        Ok(())
    });
}

/// Every cut and every changed bit.
fn damaged(message: &[u8]) -> Vec<Vec<u8>> {
    let cuts = (0..message.len()).map(|length| message[..length].to_vec());
    let bits = (0..message.len() * 8).map(|bit| {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    cuts.chain(bits).collect()
}

const ID: &str = "AxCwU6+xIRSh7toFoLz9KfoJMMM85YMSqcRQej4d8uw=";

/// A client's exchange and the key with which a server answers it.
fn exchange(seed: u64) -> (FieldCipher, MessageKey, TestRandom) {
    let mut random = TestRandom(seed, 0);
    let shared = Secret::take(&mut [3; 32]);
    let client = FieldCipher::new(&shared, ID, &mut random).unwrap();
    let server = MessageKey::new(shared.expose(), ID, *client.nonce()).unwrap();
    (client, server, random)
}

fn answer(server: &MessageKey, counter: u32, plaintext: &[u8], random: &mut TestRandom) -> Vec<u8> {
    let mut out = Vec::new();
    server.seal_at(counter, plaintext, random, &mut out).unwrap();
    out
}

/// Nothing but the field itself opens: not a cut, not a changed bit; nothing panics, nothing is left behind, nothing is counted. Hex in
/// upper case is the same field.
#[test]
fn every_damage_is_refused() {
    let (mut client, server, mut random) = exchange(1);
    let field = answer(&server, 0, b"{\"content\":\"text\"}", &mut random);
    let same = |bad: &[u8]| {
        // The id is case-sensitive.
        bad[..ID.len() + 1] == field[..ID.len() + 1] && bad.eq_ignore_ascii_case(&field)
    };
    let mut out = b"before".to_vec();
    for bad in damaged(&field) {
        if bad.len() == field.len() && same(&bad) {
            continue;
        }
        let error = client.open_into(&bad, &mut out).unwrap_err();
        assert!(
            matches!(error.code(), Code::NotCiphertext | Code::ForeignField | Code::AuthFailed),
            "{error}: {}",
            String::from_utf8_lossy(&bad)
        );
        assert_eq!((out.as_slice(), client.opened_fields()), (&b"before"[..], 0));
    }
    let parts = ID.len() + 2;
    let upper = [&field[..parts], &field[parts..].to_ascii_uppercase()].concat();
    client.open_into(&upper, &mut out).unwrap();
    assert_eq!(out, b"before{\"content\":\"text\"}");
}

/// Parts of any length, more parts, other spellings: an error each time (threats T36). An iv of another length crashes the reference.
#[test]
fn parts_of_other_lengths() {
    let (mut client, server, mut random) = exchange(2);
    let field = String::from_utf8(answer(&server, 0, b"1", &mut random)).unwrap();
    let inner = field.trim_matches('"');
    let parts: Vec<&str> = inner.split(':').collect();
    for at in 0..4 {
        for length in 0..70 {
            let part: String = parts[at].chars().cycle().take(length).collect();
            if part == parts[at] {
                continue;
            }
            let mut parts = parts.clone();
            parts[at] = &part;
            let bad = format!("\"{}\"", parts.join(":"));
            assert!(client.open(bad.as_bytes()).is_err(), "{bad}");
        }
    }
    let others = [
        String::new(),
        "\"".to_owned(),
        "\"\"".to_owned(),
        "\":::\"".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        inner.to_owned(),
        format!("\"{inner}"),
        format!("{inner}\""),
        format!("\"\"{inner}\"\""),
        format!(" \"{inner}\""),
        format!("\"{inner}\" "),
        format!("\"{inner}:\""),
        format!("\"{inner}:00\""),
        format!("\":{inner}\""),
        format!("\"{}\"", inner.replace(':', "::")),
        format!("\"{}\"", inner.replacen(':', "\\u003a", 1)),
        format!("\"{}\"", inner.replacen(':', ":0x", 3)),
        format!("[\"{inner}\"]"),
    ];
    for bad in others {
        assert_eq!(client.open(bad.as_bytes()).unwrap_err().code(), Code::NotCiphertext, "{bad}");
    }
    assert_eq!(client.open(field.as_bytes()).unwrap().as_slice(), b"1");
}

/// A field of the request in the place of the answer's field of the same index, which key, nonce and counter would open.
#[test]
fn reflection() {
    let (mut client, server, mut random) = exchange(3);
    let own: Vec<String> = (0..20).map(|_| client.seal(b"\"secret\"", &mut random).unwrap()).collect();
    for field in &own {
        assert_eq!(client.open(field.as_bytes()).unwrap_err().code(), Code::ReflectedField);
        let parts: Vec<&str> = field.split(':').collect();
        let spelled = [parts[0], parts[1], &parts[2].to_uppercase(), parts[3]].join(":");
        assert_eq!(client.open(spelled.as_bytes()).unwrap_err().code(), Code::ReflectedField);
    }
    // They are what a server would take: the refusal is not for want of a valid tag.
    let mut out = Vec::new();
    server.open_at(0, own[0].as_bytes(), &mut out).unwrap();
    assert_eq!(out, b"\"secret\"");
    assert_eq!(client.open(&answer(&server, 0, b"1", &mut random)).unwrap().as_slice(), b"1");
}

#[test]
fn exchanges_do_not_mix() {
    let (mut one, _, mut random) = exchange(4);
    let (two, server, _) = exchange(5);
    assert_ne!(one.nonce(), two.nonce());
    let field = answer(&server, 0, b"1", &mut random);
    assert_eq!(one.open(&field).unwrap_err().code(), Code::ForeignField, "T32");
    // The nonce written over: the associated data tells.
    let text = String::from_utf8(field).unwrap();
    let text = text.replace(&hex::encode(two.nonce()), &hex::encode(one.nonce()));
    assert_eq!(one.open(text.as_bytes()).unwrap_err().code(), Code::AuthFailed);
    let other = MessageKey::new(&[3; 32], "another", *one.nonce()).unwrap();
    let field = answer(&other, 0, b"1", &mut random);
    assert_eq!(one.open(&field).unwrap_err().code(), Code::ForeignField);
}

#[test]
fn keys_and_ids() {
    for length in 0..70 {
        let made = MessageKey::new(&vec![1; length], ID, [0; 12]);
        assert_eq!(made.is_ok(), matches!(length, 16 | 24 | 32), "{length}");
        assert_eq!(AesGcm::new(&vec![1; length]).is_ok(), matches!(length, 16 | 24 | 32), "{length}");
    }
    let long = "a".repeat(129);
    for (id, valid) in [
        (ID, true),
        (&long[1..], true),
        ("", false),
        (&long, false),
        ("a:b", false),
        ("a\"b", false),
        ("a\\b", false),
        ("a\r\nb", false),
        ("\u{e4}", false),
    ] {
        let made = MessageKey::new(&[1; 32], id, [0; 12]);
        assert_eq!(made.err().map(|e| e.code()), (!valid).then_some(Code::InvalidArgument), "{id:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any plaintexts, in order, both ways; and no other order (threats T38).
    #[test]
    fn any_fields_in_order_only(
        request in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..5),
        reply in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 1..5),
        seed in any::<u64>(),
    ) {
        let (mut client, server, mut random) = exchange(seed);
        let mut body = Vec::new();
        for (number, plaintext) in request.iter().enumerate() {
            let start = body.len();
            client.seal_into(plaintext, &mut random, &mut body).unwrap();
            let mut opened = Vec::new();
            server.open_at(u32::try_from(number).unwrap(), &body[start..], &mut opened).unwrap();
            prop_assert_eq!(&opened, plaintext);
            let wrong = server.open_at(u32::try_from(number).unwrap() + 1, &body[start..], &mut opened);
            prop_assert_eq!(wrong.unwrap_err().code(), Code::AuthFailed);
        }
        let fields: Vec<Vec<u8>> = reply
            .iter()
            .enumerate()
            .map(|(number, plaintext)| answer(&server, u32::try_from(number).unwrap(), plaintext, &mut random))
            .collect();
        let mut text = Vec::new();
        for (number, field) in fields.iter().enumerate() {
            for (other, wrong) in fields.iter().enumerate() {
                if other != number {
                    // Later ones (dropped or swapped), and earlier ones again (replayed).
                    prop_assert_eq!(client.open(wrong).unwrap_err().code(), Code::AuthFailed);
                }
            }
            client.open_into(field, &mut text).unwrap();
        }
        prop_assert_eq!(text, reply.concat());
        prop_assert_eq!(client.seal(b"late", &mut random).unwrap_err().code(), Code::OutOfOrder);
    }

    /// Any bytes at all: an error, never a panic.
    #[test]
    fn any_bytes(message in prop::collection::vec(any::<u8>(), 0..300), text in "\"?[a-z0-9:=+/\"]{0,200}\"?") {
        let (mut client, _, _) = exchange(6);
        prop_assert!(client.open(&message).is_err());
        prop_assert!(client.open(text.as_bytes()).is_err());
    }
}
