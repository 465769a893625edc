//! Every case of the Venice vector files that concern sealing, opening, requests, models, keys and signatures, by id
//! (tests/vectors/venice/README.md).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use proveil_core::crypto::sha256;
use proveil_core::endpoint::{Event, TextField};
use proveil_core::provider::venice::{
    AnswerOpener, AnswerOptions, Binding, KnownModels, Relaxations, ResponseSignature, Signer, address_of,
    check_signature, parse_address, parse_ed25519_key, parse_key, parse_models, plan,
};
use proveil_core::seal::ecies::{FieldOpener, seal_field};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};
use proveil_core::{Code, Error};
use serde_json::Value;
use support::{bytes, event_stream_head, expect, run_cases, secret, text, vector_file};
use zeroize::Zeroizing;

#[test]
fn fields_ecdsa() {
    run_cases("venice/fields_ecdsa.json", |case| {
        let recipient: [u8; 65] = bytes(case, "recipient_public_key").try_into().unwrap();
        let plaintext = text(case, "plaintext");
        let mut random =
            support::Listed([bytes(case, "ephemeral_private_key"), bytes(case, "nonce")].concat());
        let mut sealed = String::new();
        seal_field(&recipient, plaintext.as_bytes(), &mut random, &mut sealed).map_err(|e| e.to_string())?;
        expect("sealed", sealed.as_str(), &text(case, "field_hex").to_lowercase())?;
        expect("random bytes left", random.0.len(), 0)?;

        let mut opener = FieldOpener::new(secret(case, "recipient_private_key"));
        let mut scratch = Zeroizing::default();
        let field = text(case, "field_hex").as_bytes();
        for round in ["first", "with the remembered key"] {
            let opened = opener.open_hex(field, &mut scratch).map_err(|e| e.to_string())?;
            expect(round, opened, plaintext)?;
        }
        expect("plaintext length", Value::from(plaintext.len()), case["plaintext_len"].clone())?;
        expect(
            "plaintext hash",
            hex::encode(&sha256(&[plaintext.as_bytes()])).as_str(),
            text(case, "plaintext_sha256"),
        )
    });
}

#[test]
fn fields_ecdsa_bad() {
    run_cases("venice/fields_ecdsa_bad.json", |case| {
        let mut opener = FieldOpener::new(secret(case, "recipient_private_key"));
        let mut scratch = Zeroizing::default();
        let opened = opener.open_hex(text(case, "field").as_bytes(), &mut scratch);
        match text(case, "expect") {
            "error" => expect("error", opened.err().map(|e| e.slug()), Some(text(case, "error_class"))),
            // Something that must not be relied on to fail.
            _ => Ok(()),
        }
    });
}

#[test]
fn keys() {
    run_cases("venice/keys.json", |case| {
        let input = text(case, "key_input");
        if text(case, "algo") == "ed25519" {
            let key = parse_ed25519_key(input).map_err(|e| e.to_string())?;
            return expect("address", hex::encode(&key).as_str(), text(case, "address"));
        }
        let parsed = parse_key(input);
        if text(case, "expect") == "error" {
            return expect("error", parsed.err().map(|e| e.slug()), Some(text(case, "error_class")));
        }
        let key = parsed.map_err(|e| e.to_string())?;
        expect("key", hex::encode(&key).as_str(), text(case, "public_key_uncompressed"))?;
        for form in ["address", "address_eip55"] {
            expect(form, Some(address_of(&key)), parse_address(text(case, form)))?;
        }
        expect("address", format!("0x{}", hex::encode(&address_of(&key))).as_str(), text(case, "address"))
    });
}

#[test]
fn models() {
    run_cases("venice/models.json", |case| {
        let models = parse_models(case["response"].to_string().as_bytes()).map_err(|e| e.to_string())?;
        let found: BTreeMap<&str, &str> =
            models.iter().map(|model| (model.id.as_str(), model.class.name())).collect();
        let expected: BTreeMap<&str, &str> = case["expect"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, class)| (id.as_str(), class.as_str().unwrap()))
            .collect();
        expect("classes", found, expected)
    });
}

/// The `body` of a case with its members in the order of the file, which decides what is sealed.
fn ordered_body(path: &str, id: &str) -> String {
    let file = Json::parse(&support::vector_bytes(path)).unwrap();
    let cases = file.get("cases").unwrap().as_array().unwrap();
    let case = cases.iter().find(|case| case.get("id").unwrap().as_str() == Some(id)).unwrap();
    case.get("body").unwrap().to_compact()
}

#[test]
fn requests() {
    let file = vector_file("venice/requests.json");
    let known: Vec<&str> =
        file["known_e2ee_models"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    run_cases("venice/requests.json", |case| {
        let body = ordered_body("venice/requests.json", text(case, "id"));
        let planned = plan(body.as_bytes(), Some(KnownModels::E2eeIds(&known)), Relaxations::default());
        if text(case, "expect") == "refuse" {
            return expect("reason", planned.err().map(|e| e.slug()), Some(text(case, "reason")));
        }
        let planned = planned.map_err(|e| e.to_string())?;
        let found: BTreeMap<String, &str> = planned.sealed_fields().collect();
        let expected: BTreeMap<String, &str> = case["encrypt"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(pointer, plaintext)| (pointer.clone(), plaintext.as_str().unwrap()))
            .collect();
        expect("sealed fields", found, expected)?;
        expect("stream", Value::from(planned.wire_stream()), case["wire_stream"].clone())?;
        expect("asked", planned.asked_stream(), case["body"]["stream"].as_bool())
    });
}

/// What a stream delivered.
#[derive(Debug, Default, PartialEq)]
struct Delivered {
    content: BTreeMap<u32, String>,
    reasoning: BTreeMap<u32, String>,
    finish: BTreeMap<u32, String>,
    usage: Option<Value>,
    id: Option<String>,
}

fn open(case: &Value, pieces: &[&[u8]], workers: usize) -> (Delivered, Option<Error>) {
    let options = AnswerOptions {
        allow_whitespace_plaintext: text(case, "policy") == "allow_whitespace_plaintext",
        ..AnswerOptions::default()
    };
    let mut opener = AnswerOpener::for_key(secret(case, "client_private_key"), options);
    let status = u16::try_from(case["http_status"].as_u64().unwrap()).unwrap();
    let mut events = Vec::new();
    let mut delivered = Delivered::default();
    let mut run = || {
        opener.head(&event_stream_head(status, text(case, "content_type")))?;
        for piece in pieces {
            opener.push(piece, workers, &mut events)?;
        }
        opener.finish(&mut events)
    };
    let error = match run() {
        Ok(receipt) => {
            delivered.id = receipt.id;
            None
        }
        Err(error) => Some(error),
    };
    for event in events {
        match event {
            Event::Text { choice, field: TextField::Content, text } => {
                delivered.content.entry(choice).or_default().push_str(&text);
            }
            Event::Text { choice, field: TextField::Reasoning, text } => {
                delivered.reasoning.entry(choice).or_default().push_str(&text);
            }
            Event::Finish { choice, reason } => assert!(delivered.finish.insert(choice, reason).is_none()),
            Event::Usage { json } => delivered.usage = Some(serde_json::from_str(&json).unwrap()),
            Event::Document { .. } => panic!("documents were not asked for"),
        }
    }
    (delivered, error)
}

fn per_choice(value: &Value) -> BTreeMap<u32, String> {
    let members = value.as_object().unwrap().iter();
    members.map(|(choice, text)| (choice.parse().unwrap(), text.as_str().unwrap().to_owned())).collect()
}

#[test]
fn sse() {
    run_cases("venice/sse.json", |case| {
        let pieces: Vec<Vec<u8>> = case["chunks_b64"]
            .as_array()
            .unwrap()
            .iter()
            .map(|piece| base64::decode(piece.as_str().unwrap()).unwrap())
            .collect();
        let whole = pieces.concat();
        let chunkings: [(&str, Vec<&[u8]>); 3] = [
            ("as recorded", pieces.iter().map(Vec::as_slice).collect()),
            ("in one piece", vec![whole.as_slice()]),
            ("byte by byte", whole.chunks(1).collect()),
        ];
        let wanted = &case["expect"];
        for (name, pieces) in chunkings {
            for workers in [1, 4] {
                let (found, error) = open(case, &pieces, workers);
                check_sse(wanted, &found, error.as_ref()).map_err(|reason| format!("{name}: {reason}"))?;
            }
        }
        Ok(())
    });
}

fn check_sse(wanted: &Value, found: &Delivered, error: Option<&Error>) -> Result<(), String> {
    if wanted["outcome"] == "ok" {
        if let Some(error) = error {
            return Err(error.to_string());
        }
        let expected = Delivered {
            content: per_choice(&wanted["content"]),
            reasoning: per_choice(&wanted["reasoning"]),
            finish: per_choice(&wanted["finish_reason"]),
            usage: Some(wanted["usage"].clone()).filter(|usage| !usage.is_null()),
            id: wanted["id"].as_str().map(str::to_owned),
        };
        return expect("delivered", found, &expected);
    }
    let error = error.ok_or("no error")?;
    let class = match error.code() {
        // The vectors know one class for everything that a server reports.
        Code::StaleKey | Code::UpstreamUnauthorized | Code::UpstreamPayment => "upstream_error",
        Code::UpstreamRateLimited | Code::UpstreamUnavailable => "upstream_error",
        code => code.slug(),
    };
    expect("error", class, wanted["error_class"].as_str().unwrap())?;
    let delivered = found.content.get(&0).map_or("", String::as_str);
    expect("delivered before", delivered, wanted["delivered_before_error"].as_str().unwrap_or_default())?;
    if let Some(message) = wanted["error_message"].as_str() {
        expect("message", error.found_value(), Some(message))?;
    }
    if let Some(kind) = wanted["error_type"].as_str() {
        expect("type", error.check().map(|check| check.ends_with(kind)), Some(true))?;
    }
    Ok(())
}

#[test]
fn signatures() {
    run_cases("venice/signatures.json", |case| {
        let answer = ResponseSignature {
            text: text(case, "text").to_owned(),
            signature: text(case, "signature").to_owned(),
            signing_address: text(case, "signing_address").to_owned(),
            signing_algo: Some(text(case, "signing_algo").to_owned()),
        };
        let attested = match text(case, "signing_algo") {
            "ed25519" => Signer::Ed25519(parse_ed25519_key(&answer.signing_address).unwrap()),
            _ => Signer::Ecdsa(parse_address(&answer.signing_address).unwrap()),
        };
        let hash = |name: &str| case[name].as_str().map(|body| sha256(&[&base64::decode(body).unwrap()]));
        let bodies = hash("request_body_b64").zip(hash("response_body_b64"));
        let bodies = bodies.as_ref().map(|(request, response)| (request, response));
        let found = check_signature(&answer, &attested, bodies, Binding::Direct);
        let class = |code: Code| match code {
            Code::SignerMismatch => vec!["address_mismatch"],
            Code::SignatureInvalid => vec!["bad_recovery_id", "bad_length", "sig_invalid"],
            Code::TextMismatch => vec!["text_mismatch", "text_malformed"],
            _ => vec![],
        };
        if text(case, "expect") == "valid" {
            return found.map(|_| ()).map_err(|error| error.to_string());
        }
        let error = found.err().ok_or("accepted")?;
        expect("class", class(error.code()).contains(&text(case, "error_class")), true)
            .map_err(|_| format!("{error} for {}", text(case, "error_class")))
    });
}
