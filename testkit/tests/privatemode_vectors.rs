//! The enclave's side of the simulated Privatemode against the vectors: messages, documents, streams, forms, exchange, policies.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod privatemode;

use privatemode::{bytes, plain, text, vectors};
use proveil_core::wire::json::Json;
use proveil_testkit::sim::privatemode::cipher::{Message, OpenError, Session};
use proveil_testkit::sim::privatemode::fields::Document;
use proveil_testkit::sim::privatemode::ocsp::{OcspPolicy, Status, header_mac};
use proveil_testkit::sim::privatemode::{exchange as hpke, forms, validate, version};
use sha2::{Digest, Sha256};

fn array<const N: usize>(case: &Json, name: &str) -> [u8; N] {
    bytes(case, name).try_into().unwrap()
}

/// The session of an answer under the vector's key and nonce.
fn session(case: &Json) -> Session {
    let (id, nonce) = (text(case, "secret_id").to_owned(), array(case, "nonce_hex"));
    Session::new(&Message { id, nonce, iv: [0; 12], sealed: Vec::new() }, &bytes(case, "key_hex"))
}

#[test]
fn vectors_of_messages() {
    for case in vectors("message_cipher") {
        let id = text(&case, "id");
        let (key, nonce, iv) = (bytes(&case, "key_hex"), array(&case, "nonce_hex"), array(&case, "iv_hex"));
        let sequence = u32::try_from(case.get("seq").unwrap().as_u64().unwrap()).unwrap();
        let plain = bytes(&case, "plaintext_hex");
        let sealed = Message::seal(&key, text(&case, "secret_id"), nonce, iv, sequence, &plain).unwrap();
        assert_eq!(sealed.to_text(), text(&case, "message"), "{id}");
        let opened = Message::parse(text(&case, "message")).unwrap().open(&key, nonce, sequence);
        assert_eq!(opened.unwrap(), plain, "{id}");
    }
    for case in vectors("message_cipher_negative") {
        let sequence = u32::try_from(case.get("seq").unwrap().as_u64().unwrap()).unwrap();
        let opened = Message::parse(text(&case, "message")).and_then(|message| {
            let opened = message.open(&bytes(&case, "key_hex"), array(&case, "session_nonce_hex"), sequence);
            // What the message says of its session plays no part in the enclave: the strict client's own rule.
            let same = message.id == text(&case, "session_secret_id")
                && message.nonce == array(&case, "session_nonce_hex");
            if same { opened } else { opened.and(Err(OpenError::Foreign)) }
        });
        let id = text(&case, "id");
        match text(&case, "strict") {
            "accept" => assert_eq!(const_hex::encode(opened.unwrap()), text(&case, "plaintext_hex"), "{id}"),
            _ => assert!(opened.is_err(), "{id}"),
        }
    }
}

/// Requests of the vectors open to what was sealed, in their order; answers seal to the bytes of the vectors.
#[test]
fn vectors_of_documents() {
    for case in vectors("json_mutation") {
        let (id, plain) = (text(&case, "id"), plain(text(&case, "kind")));
        let order: Vec<&str> = case
            .get("encrypted_order")
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let (clear, wire) = match text(&case, "direction") {
            "encrypt" => (text(&case, "input"), text(&case, "output")),
            _ => (text(&case, "output"), text(&case, "input")),
        };
        if text(&case, "direction") == "encrypt" {
            let mut document = Document::parse(wire).unwrap();
            let Some(first) = document.first_message(plain) else {
                assert!(order.is_empty() && wire == clear, "{id}");
                continue;
            };
            let mut session = Session::new(&first.unwrap(), &bytes(&case, "key_hex"));
            let opened = document.open(plain, &mut session).unwrap();
            assert_eq!(opened.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), order, "{id}");
            assert_eq!(document.to_text(), Document::parse(clear).unwrap().to_text(), "{id}");
        } else {
            assert_eq!(seal_like(&case, clear, wire, &mut session(&case), plain), order, "{id}");
        }
    }
}

/// Seals `clear` with the ivs found in `wire`, demands the same bytes, and returns the order of the counters.
fn seal_like(case: &Json, clear: &str, wire: &str, session: &mut Session, plain: &[&str]) -> Vec<String> {
    let mut sealed = Document::parse(wire).unwrap();
    let in_order: Vec<String> = {
        let mut names = Document::parse(clear).unwrap();
        let mut probe = session.clone();
        names.seal(plain, &mut probe, || [0; 12]).unwrap();
        names.sealed().into_iter().map(|member| member.name.clone()).collect()
    };
    let value =
        |name: &String| sealed.members.iter().find(|member| &member.name == name).unwrap().value.clone();
    let mut ivs =
        in_order.iter().map(|name| Message::parse(&value(name)).unwrap().iv).collect::<Vec<_>>().into_iter();
    let mut document = Document::parse(clear).unwrap();
    document.seal(plain, session, || ivs.next().unwrap()).unwrap();
    sealed.members.iter_mut().for_each(|member| member.sealed = false);
    assert_eq!(document.to_text(), sealed.to_text(), "{}", text(case, "id"));
    in_order
}

/// Streams of the vectors that a strict client takes are what the server makes of their contents.
#[test]
fn vectors_of_streams() {
    let mut sealed = 0;
    for case in vectors("sse") {
        let Some(clear) = case.get("strict_output").and_then(Json::as_str) else { continue };
        let plain = plain(text(&case, "kind"));
        let lines = |text: &str| -> Vec<String> {
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            data.filter(|data| !data.eq_ignore_ascii_case("[done]")).map(str::to_owned).collect()
        };
        let mut session = session(&case);
        let (clear, wire) = (lines(clear), lines(text(&case, "wire")));
        assert_eq!(clear.len(), wire.len(), "{}", text(&case, "id"));
        for (clear, wire) in clear.iter().zip(&wire) {
            sealed += seal_like(&case, clear, wire, &mut session, plain).len();
        }
    }
    assert!(sealed > 20, "{sealed}");
}

#[test]
fn vectors_of_forms_and_bodies() {
    for case in vectors("form_mutation") {
        let parts = case.get("output_parts").unwrap().as_array().unwrap();
        let mut body = Vec::new();
        for part in parts {
            let filename = part.get("filename").and_then(Json::as_str);
            let filename = filename.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
            body.extend(
                format!(
                    "--B\r\nContent-Disposition: form-data; name=\"{}\"{filename}\r\n\r\n",
                    text(part, "name")
                )
                .bytes(),
            );
            body.extend(bytes(part, "data_hex"));
            body.extend(b"\r\n");
        }
        body.extend(b"--B--\r\n");
        let read = forms::in_order(forms::parse(&body, "B").unwrap());
        let mut session = session(&case);
        let inputs = case.get("parts").unwrap().as_array().unwrap();
        for (part, read) in parts.iter().zip(&read) {
            assert_eq!(text(part, "name"), read.name, "{}", text(&case, "id"));
            let input = inputs.iter().find(|input| {
                text(input, "name") == read.name && input.get("filename").is_some() == read.filename.is_some()
            });
            let clear = bytes(input.unwrap(), "data_hex");
            let is_sealed = part.get("sealed").unwrap().as_bool().unwrap();
            let value = if is_sealed {
                session.open(std::str::from_utf8(&read.data).unwrap()).unwrap()
            } else {
                read.data.clone()
            };
            assert_eq!(value, clear, "{}", text(&case, "id"));
        }
        assert_eq!(read.len(), parts.len());
    }
    for case in vectors("raw_body") {
        let opened = session(&case).open(text(&case, "wire_body")).unwrap();
        assert_eq!(opened, bytes(&case, "body_hex"), "{}", text(&case, "id"));
    }
}

#[test]
fn vectors_of_the_exchange() {
    for case in vectors("secret_exchange_hpke") {
        let id = text(&case, "id");
        let public = bytes(&case, "public_key_hex");
        let sent = hpke::encapsulate(&public, array(&case, "encapsulation_seed_hex")).unwrap();
        assert_eq!(const_hex::encode(&sent.encapsulated), text(&case, "encapsulated_key_hex"), "{id}");
        let mut exported = vec![0; bytes(&case, "exported_hex").len()];
        let shared = bytes(&case, "kem_shared_secret_hex");
        hpke::export(
            &shared,
            &bytes(&case, "info_hex"),
            &bytes(&case, "exporter_context_hex"),
            &mut exported,
        )
        .unwrap();
        assert_eq!(const_hex::encode(&exported), text(&case, "exported_hex"), "{id}");
        if bytes(&case, "info_hex").is_empty() && exported.len() == 32 {
            assert_eq!(sent.secret.as_slice(), exported, "{id}");
        }
        assert_eq!(hpke::secret_id(&public), text(&case, "secret_id"), "{id}");
        let input = Sha256::new().chain_update(&public).chain_update(&sent.encapsulated).finalize();
        assert_eq!(const_hex::encode(input), text(&case, "signature_input_sha256_hex"), "{id}");
    }
}

#[test]
fn vectors_of_policies_versions_and_media() {
    for case in vectors("ocsp_policy") {
        let (header, secret) = (text(&case, "header"), bytes(&case, "secret_hex"));
        let verified = OcspPolicy::verify(header, text(&case, "mac"), &secret);
        assert_eq!(verified.is_ok(), case.get("valid").unwrap().as_bool().unwrap(), "{}", text(&case, "id"));
        if case.get("rules").is_some() {
            assert_eq!(verified.unwrap().to_header(), header);
            assert_eq!(header_mac(&secret, header), text(&case, "mac"));
        }
    }
    for case in vectors("ocsp_accept") {
        let rules: Vec<&str> = case
            .get("rules")
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule.as_str().unwrap())
            .collect();
        let not_before = case.get("revocation_time_not_before").unwrap().as_u64().unwrap();
        let policy =
            OcspPolicy::parse(&format!("rules={}; revocation-time-not-before={not_before}", rules.join(",")))
                .unwrap();
        let status = case.get("status").unwrap();
        let status = match (text(status, "Value"), status.get("RevokedAt").and_then(Json::as_str)) {
            ("GOOD", _) => Status::Good,
            ("UNKNOWN", _) => Status::Unknown,
            (_, Some("2026-03-01T00:00:00Z")) => Status::Revoked(1_772_323_200),
            (_, Some("2026-03-02T00:00:00Z")) => Status::Revoked(1_772_409_600),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            policy.accepts(status),
            case.get("accepted").unwrap().as_bool().unwrap(),
            "{}",
            text(&case, "id")
        );
    }
    for case in vectors("version_compat") {
        let wanted = case.get("at_least").unwrap().as_array().unwrap();
        let [major, minor] = [0, 1].map(|place: usize| wanted[place].as_u64().unwrap());
        let result = case.get("result").unwrap().as_bool().unwrap();
        assert_eq!(version::at_least(text(&case, "version"), major, minor), result, "{}", text(&case, "id"));
    }
    for case in vectors("media_policy") {
        let body = case.get("body").unwrap();
        let judged = match text(&case, "api") {
            "openai" => validate::openai_media(body),
            _ => validate::anthropic_media(body),
        };
        assert_eq!(judged.is_ok(), case.get("accepted").unwrap().as_bool().unwrap(), "{}", text(&case, "id"));
    }
}
