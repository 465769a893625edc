//! Every case of the Privatemode vector files that say what is sealed, in which order and with which headers
//! (tests/vectors/privatemode/README.md), then bodies that nobody should send.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;

use proveil_core::crypto::AesGcm256;
use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::openai::media::check_media;
use proveil_core::openai::select::{BodyError, Document};
use proveil_core::provider::privatemode::{
    AnswerForm, AnswerPart, ClientVersion, Content, Direction, FileNames, HeaderFacts, MessageSize,
    OcspPolicy, OcspRule, OcspStatus, PlanOptions, RequestPlan, ShardKey, SharedSalt, answer_form,
    caller_salt, inject_salt, open_document, plain_members, plan, request_headers, request_id, shard_key_of,
};
use proveil_core::secret::{Secret, SecretText};
use proveil_core::wire::hex;
use proveil_core::{Class, Code, Error};
use serde_json::Value;
use support::{TestRandom, bytes, expect, run_cases, text};

/// The message cipher of protocols/privatemode.md 5.1 with ivs that are given, made for these tests.
struct Cipher {
    aead: AesGcm256,
    id: String,
    nonce: Vec<u8>,
    ivs: VecDeque<Vec<u8>>,
    counter: u32,
}

impl Cipher {
    fn of(case: &Value) -> Cipher {
        let mut key: [u8; 32] = bytes(case, "key_hex").try_into().unwrap();
        let mut ivs: VecDeque<Vec<u8>> = VecDeque::new();
        if let Some(listed) = case["ivs_hex"].as_array() {
            ivs.extend(listed.iter().map(|iv| hex::decode(iv.as_str().unwrap()).unwrap()));
        } else if case["iv_hex"].is_string() {
            ivs.push_back(bytes(case, "iv_hex"));
        }
        Cipher {
            aead: AesGcm256::new(&Secret::take(&mut key)).unwrap(),
            id: text(case, "secret_id").to_owned(),
            nonce: bytes(case, "nonce_hex"),
            ivs,
            counter: 0,
        }
    }

    fn fixed() -> Cipher {
        let ivs = (0..20_000_u32).map(|i| [[0; 8].as_slice(), &i.to_be_bytes()].concat()).collect();
        Cipher {
            aead: AesGcm256::new(&Secret::take(&mut [7; 32])).unwrap(),
            id: "i".repeat(44),
            nonce: vec![9; 12],
            ivs,
            counter: 0,
        }
    }

    fn size(&self) -> MessageSize {
        MessageSize { id_bytes: self.id.len() }
    }

    fn aad(&mut self) -> Vec<u8> {
        let aad = [self.nonce.as_slice(), &self.counter.to_le_bytes()].concat();
        self.counter += 1;
        aad
    }

    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let iv: [u8; 12] = self.ivs.pop_front().unwrap().try_into().unwrap();
        let (aad, mut buffer) = (self.aad(), plaintext.to_vec());
        self.aead.seal(&iv, &aad, &mut buffer)?;
        let parts = [self.id.clone(), hex::encode(&self.nonce), hex::encode(&iv), hex::encode(&buffer)];
        out.extend_from_slice(format!("\"{}\"", parts.join(":")).as_bytes());
        Ok(())
    }

    fn open(&mut self, raw: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).ok_or(Code::NotCiphertext)?;
        let parts: Vec<&str> = inner.split(':').collect();
        let [id, nonce, iv, message] = parts.as_slice() else { return Err(Code::NotCiphertext.into()) };
        if *id != self.id || hex::decode(nonce) != Some(self.nonce.clone()) {
            return Err(Code::ForeignField.into());
        }
        let iv = hex::decode_array(iv).ok_or(Code::NotCiphertext)?;
        let mut message = hex::decode(message).ok_or(Code::NotCiphertext)?;
        let aad = self.aad();
        let opened = self.aead.open(&iv, &aad, &mut message)?;
        out.extend_from_slice(&message[..opened]);
        Ok(())
    }
}

fn string<T: ToString>(error: T) -> String {
    error.to_string()
}

fn endpoint_of(kind: &str) -> (ApiEndpoint, Direction) {
    let endpoint = match kind.split('_').next().unwrap() {
        "chat" => ApiEndpoint::ChatCompletions,
        "embeddings" => ApiEndpoint::Embeddings,
        "messages" => ApiEndpoint::Messages,
        "transcription" => ApiEndpoint::Transcriptions,
        "unstructured" => ApiEndpoint::Unstructured("/unstructured/general/v0/general".to_owned()),
        other => panic!("{other}"),
    };
    (endpoint, if kind.ends_with("_request") { Direction::Request } else { Direction::Response })
}

fn sealed_text(plan: &RequestPlan<'_>, cipher: &mut Cipher) -> Result<String, Error> {
    let sealed = plan.write(cipher.size(), |plaintext, out| cipher.seal(plaintext, out))?;
    Ok(String::from_utf8(sealed).unwrap())
}

fn plan_json<'a>(endpoint: &ApiEndpoint, body: &'a str) -> Result<RequestPlan<'a>, Error> {
    plan(endpoint.clone(), Content::Json(body.as_bytes()), &PlanOptions::default(), &mut TestRandom(1, 0))
}

#[test]
fn json_mutation() {
    run_cases("privatemode/json_mutation.json", |case| {
        let (endpoint, direction) = endpoint_of(text(case, "kind"));
        let (input, output) = (text(case, "input"), text(case, "output"));
        let plain = plain_members(&endpoint, direction).unwrap();
        let mut cipher = Cipher::of(case);
        let document = Document::parse(input).map_err(|e| string(e.in_request()))?;
        let order: Vec<Value> = document.selected_names(plain).into_iter().map(Value::from).collect();
        expect("order", Value::from(order), case["encrypted_order"].clone())?;
        let size = cipher.size();
        if text(case, "direction") == "encrypt" {
            let mut sealed = Vec::new();
            let replace = |_: &str, raw: &str, out: &mut Vec<u8>| cipher.seal(raw.as_bytes(), out);
            document.rewrite(plain, |n| size.sealed(n), replace, &mut sealed).map_err(string)?;
            expect("ivs left", cipher.ivs.len(), 0)?;
            return expect("output", std::str::from_utf8(&sealed).unwrap(), output);
        }
        // Answers to errors lack what a successful one must have.
        let part = if document.get("error").is_some() { AnswerPart::Failure } else { AnswerPart::Whole };
        for part in [part, AnswerPart::Event] {
            let mut cipher = Cipher::of(case);
            let opened = open_document(input, &endpoint, part, size, |raw, out| cipher.open(raw, out))
                .map_err(string)?;
            expect("output", opened.text(), output)?;
            expect(
                "sealed members",
                opened.sealed_members(),
                case["encrypted_order"].as_array().unwrap().len(),
            )?;
            for name in opened.clear_members() {
                expect("a clear member", plain.contains(&name), true)?;
            }
        }
        Ok(())
    });
}

#[test]
fn json_mutation_negative() {
    run_cases("privatemode/json_mutation_negative.json", |case| {
        let (endpoint, direction) = endpoint_of(text(case, "kind"));
        expect("strict", text(case, "strict"), "reject")?;
        expect(
            "reference",
            ["reject", "accept", "leaks", "undefined"].contains(&text(case, "reference")),
            true,
        )?;
        let (expected, at) = match (direction, text(case, "reason")) {
            (Direction::Request, "duplicate member") => (Code::DuplicateMember, Some("messages")),
            (Direction::Request, "invalid JSON" | "top level is not an object") => {
                (Code::MalformedRequest, None)
            }
            (Direction::Request, "unknown member in a plain object") => {
                (Code::UnknownField, Some("stream_options.note"))
            }
            (Direction::Request, "plain member of the wrong type") => (Code::InvalidArgument, Some("n")),
            (_, "member is not a sealed string") => (Code::NotCiphertext, Some("choices")),
            (_, "counter") => (Code::AuthFailed, Some("created")),
            (_, "no choices in a successful chat response") => (Code::Truncated, Some("choices")),
            (_, "id outside [A-Za-z0-9._:-]{1,128}") => (Code::PlaintextDowngrade, Some("id")),
            (_, "type outside the known list") => (Code::PlaintextDowngrade, Some("type")),
            (_, "opened value is not valid JSON") => (Code::MalformedResponse, Some("choices")),
            (_, "duplicate member") => (Code::MalformedResponse, Some("choices")),
            (_, other) => return Err(format!("a new reason: {other}")),
        };
        let mut cipher = Cipher::of(case);
        let input = text(case, "input");
        let error = match text(case, "direction") {
            "encrypt" => plan_json(&endpoint, input).and_then(|plan| sealed_text(&plan, &mut cipher)).err(),
            _ => {
                let size = cipher.size();
                open_document(input, &endpoint, AnswerPart::Whole, size, |raw, out| cipher.open(raw, out))
                    .err()
            }
        };
        let error = error.ok_or("accepted")?;
        expect("error", error.slug(), expected.slug())?;
        expect("place", error.check(), at)?;
        // The caller's mistakes have the caller's class; a failed opening names the member and nothing of what was in it.
        expect("class", error.code().class() == Class::Input, direction == Direction::Request)?;
        for secret in ["secret text", "forged", "script", "hello"] {
            expect("content in an error", error.to_string().contains(secret), false)?;
        }
        Ok(())
    });
}

/// The parts of a case as the body of a form.
fn form_body(case: &Value, boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for part in case["parts"].as_array().unwrap() {
        let file = part["filename"].as_str().map_or(String::new(), |file| format!("; filename=\"{file}\""));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n\r\n",
            text(part, "name")
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&bytes(part, "data_hex"));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

#[test]
fn form_mutation() {
    run_cases("privatemode/form_mutation.json", |case| {
        let body = form_body(case, "b o-1");
        let content_type = "Multipart/Form-Data; charset=utf-8; boundary=\"b o-1\"";
        let datas: Vec<Vec<u8>> =
            case["parts"].as_array().unwrap().iter().map(|part| bytes(part, "data_hex")).collect();
        let mut form = Form::new();
        for (part, data) in case["parts"].as_array().unwrap().iter().zip(&datas) {
            let name = text(part, "name");
            match part["filename"].as_str() {
                Some(file) => form.file(name, file, data),
                None => form.value(name, data),
            }
            .map_err(string)?;
        }
        for content in [Content::Multipart { content_type, body: &body }, Content::Form(form)] {
            let options = PlanOptions { file_names: FileNames::Part, ..PlanOptions::default() };
            let plan = plan(ApiEndpoint::Transcriptions, content, &options, &mut TestRandom(2, 0))
                .map_err(string)?;
            let mut cipher = Cipher::of(case);
            let sealed =
                plan.write(cipher.size(), |plaintext, out| cipher.seal(plaintext, out)).map_err(string)?;
            expect("ivs left", cipher.ivs.len(), 0)?;
            let written = Form::parse(plan.content_type().unwrap(), &sealed).map_err(string)?;
            let expected = case["output_parts"].as_array().unwrap();
            expect("parts", written.parts().len(), expected.len())?;
            for (part, expected) in written.parts().iter().zip(expected) {
                expect("name", part.name.as_ref(), text(expected, "name"))?;
                expect("file", part.file.as_deref(), expected["filename"].as_str())?;
                expect("data", part.data, &bytes(expected, "data_hex"))?;
                expect("sealed", part.data.starts_with(b"\""), expected["sealed"].as_bool().unwrap())?;
                if let Some(kind) = expected["content_type"].as_str() {
                    let header = format!("filename=\"{}\"\r\nContent-Type: {kind}\r\n\r\n", part.name);
                    expect("content type", String::from_utf8_lossy(&sealed).contains(&header), true)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn raw_body() {
    run_cases("privatemode/raw_body.json", |case| {
        let body = bytes(case, "body_hex");
        let (endpoint, _) = endpoint_of("unstructured_request");
        let content = Content::Raw { content_type: "multipart/form-data; boundary=B", body: &body };
        let plan = plan(endpoint, content, &PlanOptions::default(), &mut TestRandom(3, 0)).map_err(string)?;
        let mut cipher = Cipher::of(case);
        expect("body", sealed_text(&plan, &mut cipher).map_err(string)?.as_str(), text(case, "wire_body"))?;
        expect("size", cipher.size().sealed(body.len()), text(case, "wire_body").len())?;
        expect("content type", plan.content_type(), Some("multipart/form-data; boundary=B"))
    });
}

#[test]
fn media_policy() {
    run_cases("privatemode/media_policy.json", |case| {
        let accepted = case["accepted"].as_bool().unwrap();
        let (endpoint, sources) = match text(case, "api") {
            "openai" => (ApiEndpoint::ChatCompletions, false),
            "anthropic" => (ApiEndpoint::Messages, true),
            other => return Err(other.to_owned()),
        };
        let messages = case["body"]["messages"].to_string();
        let result = check_media(&messages, sources);
        expect("accepted", result.is_ok(), accepted)?;
        if let Ok(found) = result {
            expect("remote images", found.remote_images, messages.matches("https:").count())?;
        }
        let mut body = case["body"].clone();
        body["model"] = Value::from("m");
        // Names with escapes are the same names.
        for body in [
            body.to_string(),
            body.to_string().replace("_url\"", "\\u005furl\"").replace("source", "s\\u006furce"),
        ] {
            let planned = plan_json(&endpoint, &body);
            expect("planned", planned.as_ref().err().map(Error::slug), (!accepted).then_some("media_url"))?;
            if let Err(error) = planned {
                expect("place", error.check().unwrap().starts_with("messages[0].content["), true)?;
                expect("address in an error", error.to_string().contains("example"), false)?;
            }
        }
        Ok(())
    });
}

#[test]
fn shard_key() {
    run_cases("privatemode/shard_key.json", |case| {
        let content = match &case["content"] {
            Value::Object(content) if content.contains_key("text") => {
                content["text"].as_str().unwrap().to_owned()
            }
            content => {
                let times = usize::try_from(content["times"].as_u64().unwrap()).unwrap();
                text(content, "repeat").repeat(times) + content["tail"].as_str().unwrap_or_default()
            }
        };
        let mut key = ShardKey::new(text(case, "cache_salt").as_bytes());
        key.push(content.as_bytes());
        let key = key.finish();
        expect("shard key", key.as_deref(), case["shard_key"].as_str())?;
        expect("error", key.is_none(), case["error"].is_string())?;
        // The same through a body, as a text with escapes.
        let body = format!("{{\"prompt\":{}}}", Value::from(content).to_string().replace('b', "\\u0062"));
        let document = Document::parse(&body).map_err(|e| string(e.in_request()))?;
        expect(
            "from a body",
            shard_key_of(&document, text(case, "cache_salt")).as_deref(),
            case["shard_key"].as_str(),
        )
    });
}

#[test]
fn cache_salt() {
    const FRESH: &str = "<fresh random salt>";
    run_cases("privatemode/cache_salt.json", |case| {
        let body = text(case, "body");
        let shared = match text(case, "default_salt") {
            "" => None,
            salt => Some(SharedSalt::new(SecretText::new(salt.to_owned())).map_err(string)?),
        };
        let mut document = Document::parse(body).map_err(|e| string(e.in_request()))?;
        let own = caller_salt(&document).map_err(string)?;
        let known = own.as_deref().map(String::as_str).or(shared.as_ref().map(SharedSalt::expose));
        let key = if body.is_empty() { None } else { known.and_then(|salt| shard_key_of(&document, salt)) };
        expect("shard key", key.as_deref(), case["shard_key_header"].as_str())?;

        let injected = inject_salt(&mut document, shared.as_ref(), &mut TestRandom(4, 0));
        expect(
            "error",
            injected.as_ref().err().map(Error::slug),
            case["error"].as_str().map(|_| "cache_salt"),
        )?;
        let after = |document: &Document<'_>| {
            let text = document.to_text().unwrap();
            let salt = caller_salt(document).unwrap();
            match salt {
                Some(salt) if known.is_none() => text.replace(salt.as_str(), FRESH),
                _ => text.to_string(),
            }
        };
        if injected.is_ok() {
            expect("body", after(&document).as_str(), text(case, "body_after"))?;
        }
        if body.is_empty() {
            return Ok(());
        }
        // The same in the order of work of a request, for each endpoint that has a salt.
        for endpoint in [ApiEndpoint::ChatCompletions, ApiEndpoint::Completions, ApiEndpoint::Messages] {
            let options = PlanOptions { shared_salt: shared.as_ref(), ..PlanOptions::default() };
            let planned = plan(endpoint, Content::Json(body.as_bytes()), &options, &mut TestRandom(4, 0));
            expect(
                "planned",
                planned.as_ref().err().map(Error::slug),
                case["error"].as_str().map(|_| "cache_salt"),
            )?;
            if let Ok(plan) = planned {
                expect("shard key", plan.shard_key(), case["shard_key_header"].as_str())?;
                expect("body", after(plan.document().unwrap()).as_str(), text(case, "body_after"))?;
            }
        }
        Ok(())
    });
}

fn rules(case: &Value) -> Vec<OcspRule> {
    let all = [OcspRule::Good, OcspRule::Revoked, OcspRule::Unknown];
    let rule = |name: &Value| all.into_iter().find(|rule| rule.name() == name.as_str().unwrap()).unwrap();
    case["rules"].as_array().unwrap().iter().map(rule).collect()
}

fn hmac(key: &[u8]) -> impl Fn(&[u8]) -> [u8; 32] + use<> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    move |message| ring::hmac::sign(&key, message).as_ref().try_into().unwrap()
}

#[test]
fn ocsp_policy() {
    run_cases("privatemode/ocsp_policy.json", |case| {
        let hmac = hmac(&bytes(case, "secret_hex"));
        let (header, mac) = (text(case, "header"), text(case, "mac"));
        let read = OcspPolicy::from_headers(header, mac, &hmac);
        expect("valid", read.is_some(), case["valid"].as_bool().unwrap())?;
        if case["rules"].is_array() {
            let not_before = case["revocation_time_not_before"].as_i64().unwrap();
            let policy = OcspPolicy::new(rules(case), not_before).map_err(string)?;
            expect("header", policy.header().as_str(), header)?;
            expect("mac", policy.mac(&hmac).as_str(), mac)?;
            expect("read", read.as_ref(), Some(&policy))?;
        }
        for (at, _) in mac.char_indices() {
            let changed = format!(
                "{}{}{}",
                &mac[..at],
                if mac[at..].starts_with('0') { '1' } else { '0' },
                &mac[at + 1..]
            );
            expect("a changed MAC", OcspPolicy::from_headers(header, &changed, &hmac), None)?;
        }
        Ok(())
    });
}

/// Seconds since 1970 of a date of these vectors.
fn unix_s(date: &str) -> i64 {
    i64::try_from(proveil_core::pki::time::unix_seconds(date).unwrap()).unwrap()
}

#[test]
fn ocsp_accept() {
    run_cases("privatemode/ocsp_accept.json", |case| {
        let policy = OcspPolicy::new(rules(case), case["revocation_time_not_before"].as_i64().unwrap())
            .map_err(string)?;
        let status = match text(&case["status"], "Value") {
            "GOOD" => OcspStatus::Good,
            "UNKNOWN" => OcspStatus::Unknown,
            _ => OcspStatus::Revoked(unix_s(text(&case["status"], "RevokedAt"))),
        };
        expect("accepted", policy.accepts(status), case["accepted"].as_bool().unwrap())
    });
}

#[test]
fn version_compat() {
    run_cases("privatemode/version_compat.json", |case| {
        let (version, wanted) = (text(case, "version"), &case["at_least"]);
        let (major, minor) = (wanted[0].as_u64().unwrap(), wanted[1].as_u64().unwrap());
        let result = case["result"].as_bool().unwrap();
        expect("header", ClientVersion::header_is_at_least(version, major, minor), result)?;
        match ClientVersion::parse(version) {
            Ok(version) => expect("version", version.at_least(major, minor), result),
            Err(error) => expect("error", (error.slug(), result), ("config_invalid", false)),
        }
    });
}

const CANARY: &str = "CANARY-7f3a";

/// T46: whatever is not on the list leaves sealed or not at all, and no refusal repeats it.
#[test]
fn nothing_else_leaves_in_clear() {
    let values = |name: &str| {
        vec![
            format!("\"{name}\":\"{CANARY}\""),
            format!("\"{name}\":{{\"{CANARY}\":\"{CANARY}\"}}"),
            format!("\"{name}\":[\"{CANARY}\"]"),
            format!("\"{name}\":{{\"include_usage\":\"{CANARY}\"}}"),
            format!("\"{name}\":{{\"include_usage\":true,\"include_usage\":\"{CANARY}\"}}"),
        ]
    };
    let endpoints = [
        ApiEndpoint::ChatCompletions,
        ApiEndpoint::Completions,
        ApiEndpoint::Embeddings,
        ApiEndpoint::Messages,
    ];
    let names = [
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "messages",
        "input",
        "tools",
        "user",
        "metadata",
        "response_format",
        "stop",
        "system",
        "usage",
        "id",
        "type",
        "Model",
        "model ",
        "model\\u0000",
        "mode\\u006c2",
        "a.b",
        "a*",
        "a?",
        "\\u00e4",
        "n\\u006e",
    ];
    let (mut sealed, mut refused) = (0, 0);
    for endpoint in &endpoints {
        for member in names.iter().flat_map(|name| values(name)) {
            let body = format!("{{\"model\":\"m\",{member}}}");
            match plan_json(endpoint, &body) {
                Ok(plan) => {
                    sealed += 1;
                    assert!(!sealed_text(&plan, &mut Cipher::fixed()).unwrap().contains("CANARY"), "{body}");
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.code().class(), Class::Input, "{body}");
                    let allowed = if error.code() == Code::UnknownField { 1 } else { 0 };
                    assert!(error.to_string().matches("CANARY").count() <= allowed, "{error}");
                }
            }
        }
    }
    assert!(sealed > 300 && refused > 40, "{sealed} {refused}");
}

#[test]
fn clear_members_of_requests() {
    let digits = "9".repeat(100_000);
    let long = "m".repeat(257);
    let cases: &[(&str, Option<Code>)] = &[
        ("\"model\":\"m\"", None),
        ("\"model\":\"openai/gpt-oss-120b v2\"", None),
        ("\"model\":\"\\u006d\"", None),
        ("\"model\":\"\"", Some(Code::InvalidArgument)),
        ("\"model\":null", Some(Code::InvalidArgument)),
        ("\"model\":5", Some(Code::InvalidArgument)),
        ("\"model\":[\"m\"]", Some(Code::InvalidArgument)),
        ("\"model\":\"a\\r\\nx: y\"", Some(Code::InvalidArgument)),
        ("\"model\":\"a\\u0000\"", Some(Code::InvalidArgument)),
        ("\"model\":\"\\ud800\"", Some(Code::InvalidArgument)),
        ("\"model\":\"\u{e4}\"", Some(Code::InvalidArgument)),
        ("\"model\":\" m\"", Some(Code::InvalidArgument)),
        ("\"x\":1", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"model\":\"m\"", Some(Code::DuplicateMember)),
        ("\"model\":\"m\",\"\\u006dodel\":\"m\"", Some(Code::DuplicateMember)),
        (
            "\"model\":\"m\",\"stream\":true,\"n\":3,\"max_tokens\":0,\"max_completion_tokens\":18446744073709551615",
            None,
        ),
        ("\"model\":\"m\",\"stream\":null,\"n\":null,\"max_tokens\":null,\"stream_options\":null", None),
        ("\"model\":\"m\",\"stream\":1", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"stream\":\"true\"", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"n\":-1", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"n\":1e3", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"n\":1.0", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"max_tokens\":18446744073709551616", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"stream_options\":{}", None),
        ("\"model\":\"m\",\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":null}", None),
        ("\"model\":\"m\",\"stream_options\":{\"include_usage\":1}", Some(Code::InvalidArgument)),
        (
            "\"model\":\"m\",\"stream_options\":{\"include_usage\":true,\"include_usage\":true}",
            Some(Code::DuplicateMember),
        ),
        ("\"model\":\"m\",\"stream_options\":[]", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"stream_options\":true", Some(Code::InvalidArgument)),
        ("\"model\":\"m\",\"\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"a#\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"@pretty\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"a|b\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"!x\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"a\\\\b\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\":x\":1", Some(Code::UnencryptableField)),
        ("\"model\":\"m\",\"cache_salt\":5", Some(Code::CacheSalt)),
        ("\"model\":\"m\",\"cache_salt\":\"1234567890123456789012345678901\"", Some(Code::CacheSalt)),
        (
            "\"model\":\"m\",\"cache_salt\":\"\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\"",
            None,
        ),
    ];
    for (members, expected) in cases {
        let body = format!("{{{members}}}");
        assert_eq!(
            plan_json(&ApiEndpoint::ChatCompletions, &body).err().map(|e| e.code()),
            *expected,
            "{body}"
        );
    }
    for body in [format!("{{\"model\":\"{long}\"}}"), format!("{{\"model\":\"m\",\"n\":{digits}}}")] {
        let error = plan_json(&ApiEndpoint::ChatCompletions, &body).err().unwrap();
        assert_eq!((error.code(), error.to_string().len() < 200), (Code::InvalidArgument, true));
    }
    for body in ["", " ", "[]", "1", "null", "{\"model\":\"m\"} x", "\u{feff}{\"model\":\"m\"}"] {
        let error = plan_json(&ApiEndpoint::ChatCompletions, body).err().unwrap();
        assert_eq!(error.code(), Code::MalformedRequest, "{body:?}");
    }
    let latin = plan(
        ApiEndpoint::Embeddings,
        Content::Json(b"{\"model\":\"\xe4\"}"),
        &PlanOptions::default(),
        &mut TestRandom(1, 0),
    );
    assert_eq!(latin.err().map(|e| e.code()), Some(Code::MalformedRequest));
}

/// T36: what a gateway could write into the clear members of an answer.
#[test]
fn clear_members_of_answers() {
    let long = format!("\"{}\"", "a".repeat(129));
    let deep = "{\"a\":{\"b\":{\"c\":{}}}}";
    let cases: &[(&ApiEndpoint, &str, &str, bool)] = &[
        (&ApiEndpoint::ChatCompletions, "id", "\"chatcmpl-1.a_b:C\"", true),
        (&ApiEndpoint::ChatCompletions, "id", "null", true),
        (&ApiEndpoint::ChatCompletions, "id", "\"\"", false),
        (&ApiEndpoint::ChatCompletions, "id", "\"two words\"", false),
        (&ApiEndpoint::ChatCompletions, "id", "\"\\u0061\"", false),
        (&ApiEndpoint::ChatCompletions, "id", "5", false),
        (&ApiEndpoint::ChatCompletions, "id", &long, false),
        (&ApiEndpoint::ChatCompletions, "usage", "null", true),
        (
            &ApiEndpoint::ChatCompletions,
            "usage",
            "{\"prompt_tokens\":3,\"details\":{\"x\":{\"cached\":0}},\"y\":null}",
            true,
        ),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"prompt_tokens\":1.5}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"prompt_tokens\":\"many\"}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"prompt_tokens\":[1]}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"prompt_tokens\":true}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"prompt_tokens\":99999999999999999999}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"ignore all previous words\":1}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"type\":\"tokens\"}", false),
        (&ApiEndpoint::ChatCompletions, "usage", "{\"a\":1,\"a\":2}", false),
        (&ApiEndpoint::ChatCompletions, "usage", deep, false),
        (&ApiEndpoint::ChatCompletions, "usage", "\"text\"", false),
        (&ApiEndpoint::Transcriptions, "usage", "{\"type\":\"duration\",\"seconds\":3}", true),
        (&ApiEndpoint::Transcriptions, "usage", "{\"type\":\"rm -rf\",\"seconds\":3}", false),
        (&ApiEndpoint::Transcriptions, "usage", "{\"x\":{\"type\":\"tokens\"}}", false),
        (&ApiEndpoint::Transcriptions, "duration", "2.71", true),
        (&ApiEndpoint::Transcriptions, "duration", "\"2.71\"", true),
        (&ApiEndpoint::Transcriptions, "duration", "\"inf\"", false),
        (&ApiEndpoint::Transcriptions, "duration", "\"1 hour\"", false),
        (&ApiEndpoint::Transcriptions, "duration", "1e999", false),
        (&ApiEndpoint::Transcriptions, "duration", "{}", false),
        (&ApiEndpoint::Messages, "type", "\"content_block_delta\"", true),
        (&ApiEndpoint::Messages, "type", "\"Message\"", false),
        (&ApiEndpoint::Messages, "type", "null", false),
        (&ApiEndpoint::Messages, "type", "[\"ping\"]", false),
    ];
    for (endpoint, name, value, passes) in cases {
        let mut cipher = Cipher::fixed();
        let mut sealed = Vec::new();
        cipher.seal(b"[1]", &mut sealed).unwrap();
        let sealed = String::from_utf8(sealed).unwrap();
        let text = format!("{{\"{name}\":{value},\"choices\":{sealed}}}");
        let mut cipher = Cipher::fixed();
        let size = cipher.size();
        let opened =
            open_document(&text, endpoint, AnswerPart::Event, size, |raw, out| cipher.open(raw, out));
        let error = opened.as_ref().err().map(|e| (e.code(), e.check().unwrap().to_owned()));
        assert_eq!(
            error,
            (!passes).then(|| (Code::PlaintextDowngrade, (*name).to_owned())),
            "{name}: {value}"
        );
        if let Ok(opened) = opened {
            assert_eq!(opened.text(), format!("{{\"{name}\":{value},\"choices\":[1]}}"));
            assert_eq!(
                (opened.member("choices"), opened.is_sealed("choices"), opened.is_sealed(name)),
                (Some("[1]"), true, false)
            );
        }
    }
}

/// T36, T39, T44: what an opened answer must be, and errors that say nothing of its content.
#[test]
fn hostile_answers() {
    let sealed = |values: &[&[u8]]| {
        let mut cipher = Cipher::fixed();
        let seal = |value: &&[u8]| {
            let mut out = Vec::new();
            cipher.seal(value, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        values.iter().map(seal).collect::<Vec<String>>()
    };
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let one = |value: &[u8]| format!("{{\"choices\":{}}}", sealed(&[value])[0]);
    let two = sealed(&[b"1", b"2"]);
    let unstructured = ApiEndpoint::Unstructured("/unstructured/x".to_owned());
    let chat = &ApiEndpoint::ChatCompletions;
    let whole = AnswerPart::Whole;
    let cases: Vec<(&ApiEndpoint, AnswerPart, String, Option<Code>)> = vec![
        (chat, whole, one(b" [1] "), None),
        (chat, whole, one(b"CANARY"), Some(Code::MalformedResponse)),
        (chat, whole, one(b"1,\"usage\":2"), Some(Code::MalformedResponse)),
        (chat, whole, one(b"1}"), Some(Code::MalformedResponse)),
        (chat, whole, one(b""), Some(Code::MalformedResponse)),
        (chat, whole, one(b"\"CANARY\xff\""), Some(Code::InvalidUtf8)),
        (chat, whole, one(b"\"CANARY\xc3"), Some(Code::InvalidUtf8)),
        (chat, whole, one(deep.as_bytes()), Some(Code::LimitExceeded)),
        (chat, AnswerPart::Event, one(b"CANARY"), Some(Code::MalformedEvent)),
        (chat, whole, format!("{{\"choices\":{},\"model\":{}}}", two[0], two[1]), None),
        // Members renamed against the order, swapped, sent twice, left out.
        (chat, whole, format!("{{\"model\":{},\"choices\":{}}}", two[0], two[1]), Some(Code::AuthFailed)),
        (chat, whole, format!("{{\"choices\":{0},\"model\":{0}}}", two[0]), Some(Code::AuthFailed)),
        (chat, whole, format!("{{\"choices\":{0},\"choices\":{0}}}", two[0]), Some(Code::MalformedResponse)),
        (
            chat,
            whole,
            format!("{{\"choices\":{0},\"\\u0063hoices\":{0}}}", two[0]),
            Some(Code::MalformedResponse),
        ),
        (chat, whole, format!("{{\"created\":{}}}", two[0]), Some(Code::Truncated)),
        (chat, whole, String::new(), Some(Code::Truncated)),
        (chat, whole, "{}".to_owned(), Some(Code::Truncated)),
        (chat, AnswerPart::Event, "{}".to_owned(), Some(Code::PlaintextDowngrade)),
        (chat, AnswerPart::Event, "{\"type\":\"ping\"}".to_owned(), Some(Code::NotCiphertext)),
        (chat, AnswerPart::Event, "{\"id\":\"a\",\"usage\":null}".to_owned(), Some(Code::PlaintextDowngrade)),
        (&ApiEndpoint::Messages, AnswerPart::Event, "{\"type\":\"ping\"}".to_owned(), None),
        (&ApiEndpoint::Messages, AnswerPart::Event, "{\"type\": \"message_stop\" }".to_owned(), None),
        (
            &ApiEndpoint::Messages,
            AnswerPart::Event,
            "{\"type\":\"message_delta\"}".to_owned(),
            Some(Code::PlaintextDowngrade),
        ),
        (chat, AnswerPart::Event, "[]".to_owned(), Some(Code::MalformedEvent)),
        (chat, AnswerPart::Event, "\"CANARY\"".to_owned(), Some(Code::MalformedEvent)),
        (chat, whole, "\"CANARY\"".to_owned(), Some(Code::MalformedResponse)),
        (chat, whole, "CANARY".to_owned(), Some(Code::MalformedResponse)),
        (chat, whole, format!("[{}]", two[0]), Some(Code::MalformedResponse)),
        (
            chat,
            whole,
            "{\"choices\":[{\"message\":{\"content\":\"CANARY\"}}]}".to_owned(),
            Some(Code::NotCiphertext),
        ),
        (chat, whole, "{\"error\":{\"message\":\"CANARY\"}}".to_owned(), Some(Code::NotCiphertext)),
        (&unstructured, whole, format!("[{},{}]", two[0], two[1]), None),
        (&unstructured, whole, format!("[{},{}]", two[1], two[0]), Some(Code::AuthFailed)),
        (&unstructured, whole, "[\"CANARY\"]".to_owned(), Some(Code::NotCiphertext)),
        (&unstructured, whole, "type,text\nx,CANARY".to_owned(), Some(Code::MalformedResponse)),
        (&ApiEndpoint::Models, whole, "{}".to_owned(), Some(Code::OutOfOrder)),
    ];
    for (endpoint, part, text, expected) in cases {
        let mut cipher = Cipher::fixed();
        let size = cipher.size();
        let opened = open_document(&text, endpoint, part, size, |raw, out| cipher.open(raw, out));
        assert_eq!(opened.as_ref().err().map(Error::code), expected, "{text}");
        if let Err(error) = opened {
            assert!(!error.to_string().contains("CANARY"), "{error}");
            let in_member =
                matches!(error.code(), Code::AuthFailed | Code::NotCiphertext | Code::InvalidUtf8);
            assert!(!in_member || error.check().is_some(), "{error}");
        }
    }
}

/// T39: a whole answer that is cut is no answer, wherever it is cut.
#[test]
fn cut_answers() {
    let mut cipher = Cipher::fixed();
    let document = Document::parse("{\"choices\":[1],\"created\":5,\"model\":\"m\"}").unwrap();
    let (size, mut sealed) = (cipher.size(), Vec::new());
    document
        .rewrite(&[], |n| size.sealed(n), |_, raw, out| cipher.seal(raw.as_bytes(), out), &mut sealed)
        .unwrap();
    let text = std::str::from_utf8(&sealed).unwrap();
    for end in 0..=text.len() {
        let mut cipher = Cipher::fixed();
        let opened = open_document(
            &text[..end],
            &ApiEndpoint::ChatCompletions,
            AnswerPart::Whole,
            size,
            |raw, out| cipher.open(raw, out),
        );
        assert_eq!(opened.is_ok(), end == text.len(), "{end}");
    }
}

#[test]
fn heads_of_answers() {
    let form = |status: u16, headers: &[(&str, &str)], endpoint: ApiEndpoint| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        answer_form(&ResponseHead::new(status, headers), &endpoint).map_err(|error| error.code())
    };
    let chat = ApiEndpoint::ChatCompletions;
    let marked = ("Privatemode-Encrypted", "false");
    let json = ("content-type", "application/json");
    let stream = ("Content-Type", "Text/Event-Stream; charset=utf-8");
    for (status, headers, expected) in [
        (200, vec![json], Ok(AnswerForm::Document)),
        (200, vec![], Ok(AnswerForm::Document)),
        (200, vec![stream], Ok(AnswerForm::Stream)),
        // T36: the marker on a success would pass anything through.
        (200, vec![json, marked], Err(Code::PlaintextDowngrade)),
        (200, vec![stream, marked], Err(Code::PlaintextDowngrade)),
        (200, vec![json, ("privatemode-ENCRYPTED", " False ")], Err(Code::PlaintextDowngrade)),
        (200, vec![json, ("privatemode-encrypted", "true")], Ok(AnswerForm::Document)),
        (399, vec![json, marked], Err(Code::RedirectRefused)),
        (500, vec![json, marked], Ok(AnswerForm::Untrusted)),
        (400, vec![json], Ok(AnswerForm::Failure)),
        (502, vec![("content-type", "text/html")], Ok(AnswerForm::Failure)),
        (500, vec![stream], Ok(AnswerForm::Untrusted)),
        (302, vec![json], Err(Code::RedirectRefused)),
        (200, vec![json, ("content-encoding", "gzip")], Err(Code::ContentEncoding)),
    ] {
        assert_eq!(form(status, &headers, chat.clone()), expected, "{status} {headers:?}");
    }
    assert_eq!(form(200, &[json], ApiEndpoint::Models), Ok(AnswerForm::Clear));
    assert_eq!(form(401, &[json], ApiEndpoint::Models), Ok(AnswerForm::Untrusted));
}

/// T47: exactly these headers.
#[test]
fn headers_of_requests() {
    let salt = SharedSalt::new(SecretText::new("s".repeat(32))).unwrap();
    let options = PlanOptions { shared_salt: Some(&salt), ..PlanOptions::default() };
    let version = ClientVersion::compatible();
    let id = request_id(1, &mut TestRandom(5, 0)).unwrap();
    let facts = HeaderFacts {
        version: &version,
        secret_id: "id+/=",
        ocsp: Some(("rules=x", "00")),
        request_id: &id,
        user_agent: "proveil/0.1.0",
    };
    let common = ["privatemode-version", "user-agent", "privatemode-user-request-id", "accept"];
    let sealed = [
        "privatemode-client",
        "privatemode-secret-id",
        "privatemode-nvidia-ocsp-policy",
        "privatemode-nvidia-ocsp-policy-mac",
    ];
    let chat = b"{\"model\":\"m\",\"stream\":true,\"messages\":[]}";
    let form = || {
        let mut form = Form::new();
        form.value("model", b"w").unwrap();
        form
    };
    let unstructured = ApiEndpoint::Unstructured("/unstructured/x".to_owned());
    let cases: Vec<(ApiEndpoint, Content<'_>, &[&str])> = vec![
        (
            ApiEndpoint::ChatCompletions,
            Content::Json(chat),
            &["content-type", "privatemode-target-model", "privatemode-shard-key"],
        ),
        (
            ApiEndpoint::Completions,
            Content::Json(chat),
            &["content-type", "privatemode-target-model", "privatemode-shard-key"],
        ),
        (
            ApiEndpoint::Messages,
            Content::Json(chat),
            &["content-type", "privatemode-target-model", "privatemode-shard-key"],
        ),
        (ApiEndpoint::Embeddings, Content::Json(chat), &["content-type", "privatemode-target-model"]),
        (ApiEndpoint::Transcriptions, Content::Form(form()), &["content-type", "privatemode-target-model"]),
        (unstructured.clone(), Content::Raw { content_type: "text/plain", body: b"x" }, &["content-type"]),
    ];
    for (endpoint, content, own) in cases {
        let plan = plan(endpoint.clone(), content, &options, &mut TestRandom(6, 0)).unwrap();
        assert_eq!((plan.path(), plan.method().as_str()), (endpoint.path(), "POST"));
        let headers = request_headers(&plan, &facts).unwrap();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [common.as_slice(), &sealed, own].concat(), "{endpoint:?}");
        let value =
            |name: &str| headers.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str());
        assert_eq!(value("privatemode-version"), Some("v1.40.0"));
        assert_eq!(value("privatemode-client"), Some("SDK"));
        assert_eq!(value("privatemode-secret-id"), Some("id+/="));
        assert_eq!(value("privatemode-target-model"), plan.model());
    }
    let models = plan(ApiEndpoint::Models, Content::None, &options, &mut TestRandom(6, 0)).unwrap();
    let names: Vec<&str> = request_headers(&models, &facts).unwrap().iter().map(|(name, _)| *name).collect();
    assert_eq!((names.as_slice(), models.method().as_str()), (common.as_slice(), "GET"));
    assert!(models.write(MessageSize { id_bytes: 44 }, |_, _| unreachable!()).unwrap().is_empty());

    let bad = Content::Raw { content_type: "text/plain\r\nx: y", body: b"x" };
    let bad = plan(unstructured, bad, &options, &mut TestRandom(6, 0)).unwrap();
    assert_eq!(request_headers(&bad, &facts).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn bodies_of_the_wrong_kind() {
    for (endpoint, content) in [
        (ApiEndpoint::ChatCompletions, Content::Raw { content_type: "application/json", body: b"{}" }),
        (ApiEndpoint::ChatCompletions, Content::Form(Form::new())),
        (ApiEndpoint::Transcriptions, Content::Json(b"{}")),
        (ApiEndpoint::Unstructured("/unstructured/x".to_owned()), Content::Json(b"{}")),
        (ApiEndpoint::Models, Content::Json(b"{}")),
        (ApiEndpoint::Embeddings, Content::None),
    ] {
        let error = plan(endpoint, content, &PlanOptions::default(), &mut TestRandom(1, 0)).err().unwrap();
        assert_eq!((error.code(), error.check()), (Code::InvalidArgument, Some("body")));
    }
}

const FORM: &str = "multipart/form-data; boundary=B";

/// Forms that two readers could read differently, and others that are none.
#[test]
fn malformed_forms() {
    let part = |head: &str| format!("--B\r\n{head}\r\n\r\nx\r\n--B--\r\n");
    let named = |parameters: &str| part(&format!("Content-Disposition: form-data{parameters}"));
    let good = [
        named("; name=\"model\""),
        named("; name=model"),
        named(" ;\tname=\"model\"; filename=\"a; b=c.mp3\""),
        named("; name=\"model\"; filename*=UTF-8''a%22.mp3"),
        part(
            "content-disposition: FORM-DATA; Name=\"model\"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: Binary\r\nX-Y: z",
        ),
        named("; name=\"model\"").trim_end().to_owned(),
        "--B--".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B--".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--\r\n-- B\r\nB\n--B--\r\n--B--"
            .to_owned(),
    ];
    for body in &good {
        assert!(
            Form::parse(FORM, body.as_bytes()).is_ok(),
            "{body:?}: {:?}",
            Form::parse(FORM, body.as_bytes())
        );
    }
    let long = named(&format!("; name=\"{}\"", "n".repeat(257)));
    let heavy = part(&format!("X: {}\r\nContent-Disposition: form-data; name=\"a\"", "y".repeat(5000)));
    let bad = [
        String::new(),
        "x".to_owned(),
        named("; name=\"model\"").replace("\r\n", "\n"),
        format!("preamble\r\n{}", named("; name=\"model\"")),
        format!("{}epilogue", named("; name=\"model\"")),
        named("; name=\"model\"").replace("--B--", "--B"),
        named("; name=\"model\"").replace("\r\n--B--", ""),
        named("; name=\"model\"").replace("\r\n--B--", "\r\n--BB--"),
        named(""),
        named("; name=\"\""),
        named("; name=\"a\\\"b\""),
        named("; name=\"a\"b\""),
        named("; name=\"a"),
        named("; name=\"a\"; name=\"b\""),
        named("; name=\"a\"; filename=\"b\"; filename=\"c\""),
        named("; name=\"a\" filename=\"b\""),
        named("; name=\"a\u{1}b\""),
        named("; name=\"a\"; filename=\"C:\\\\x.mp3\""),
        named("; name=\"a\"; filename=\"x\u{0}.mp3\""),
        part("Content-Disposition: attachment; name=\"a\""),
        part("Content-Type: text/plain"),
        part("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\""),
        part("Content-Disposition: form-data;\r\n name=\"a\""),
        part("Content-Disposition : form-data; name=\"a\""),
        part("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable"),
        part("no colon"),
        long,
        heavy,
    ];
    for body in &bad {
        let error = Form::parse(FORM, body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::MalformedForm, "{body:?}");
    }
    let body = named("; name=\"a\"");
    for kind in [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/mixed; boundary=B",
        "multipart/form-data; boundary=B; boundary=C",
        "multipart/form-data; boundary=\"B\r\n\"",
        "multipart/form-data boundary=B",
        "multipart/form-data; boundary=\"B \"",
        "application/json",
    ] {
        assert_eq!(Form::parse(kind, body.as_bytes()).unwrap_err().code(), Code::MalformedForm, "{kind}");
    }
    let many = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(300) + "--B--";
    assert_eq!(Form::parse(FORM, many.as_bytes()).unwrap_err().code(), Code::LimitExceeded);
    for name in ["", "a\"b", "a\r\nb", "a\\b"] {
        assert_eq!(Form::new().value(name, b"").unwrap_err().code(), Code::MalformedForm);
        assert_eq!(Form::new().file("a", &format!("{name}\""), b"").unwrap_err().code(), Code::MalformedForm);
    }
}

#[test]
fn clear_parts_and_names_of_files() {
    let body = |parts: &[(&str, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(head, data)| format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n"))
            .collect();
        parts + "--B--\r\n"
    };
    let planned = |text: &str, file_names: FileNames| {
        let content = Content::Multipart { content_type: FORM, body: text.as_bytes() };
        let plan = plan(
            ApiEndpoint::Transcriptions,
            content,
            &PlanOptions { file_names, ..PlanOptions::default() },
            &mut TestRandom(7, 0),
        )?;
        sealed_text(&plan, &mut Cipher::fixed())
    };
    let model = ("name=\"model\"", "whisper");
    for (parts, expected) in [
        (vec![("name=\"stream\"", "true"), model], None),
        (vec![("name=\"stream\"", "True"), ("name=\"stream_include_usage\"", "0"), model], None),
        (vec![("name=\"stream\"", CANARY), model], Some("stream")),
        (vec![("name=\"stream_continuous_usage_stats\"", ""), model], Some("stream_continuous_usage_stats")),
        (vec![("name=\"model\"", "a\r\nb")], Some("model")),
        (vec![("name=\"model\"", "")], Some("model")),
        (vec![("name=\"prompt\"", "x")], Some("model")),
        (vec![("name=\"model\"; filename=\"m\"", "whisper")], Some("model")),
        (vec![("name=\"model\"; filename=\"m\"", CANARY), model], None),
        (vec![("name=\"model \"", CANARY), ("name=\"Model\"", CANARY), model], None),
    ] {
        let text = body(&parts);
        match planned(&text, FileNames::default()) {
            Ok(sealed) => assert!(expected.is_none() && !sealed.contains("CANARY"), "{text}"),
            Err(error) => {
                assert_eq!((error.code(), error.check()), (Code::InvalidArgument, expected), "{text}");
                assert!(!error.to_string().contains("CANARY"));
            }
        }
    }
    // T46: the name of a file says more than its content needs.
    for (file, modes) in [
        ("divorce call.MP3", ["file.mp3", "file", "divorce call.MP3"]),
        ("notes.CANARY", ["file", "file", "notes.CANARY"]),
        ("/home/ada/x.wav", ["file.wav", "file", "x.wav"]),
        ("", ["file", "file", "file"]),
        ("mp3", ["file", "file", "mp3"]),
    ] {
        for (mode, name) in
            [FileNames::PartAndExtension, FileNames::Part, FileNames::Kept].into_iter().zip(modes)
        {
            let head = format!("name=\"file\"; filename=\"{file}\"");
            let text = body(&[model, (&head, "audio")]);
            assert!(
                planned(&text, mode).unwrap().contains(&format!("; filename=\"{name}\"\r\n")),
                "{file} {mode:?}"
            );
        }
    }
}

/// T44: the cost of a body is that of its bytes: each value is handed over once, whole and in place.
#[test]
fn sealing_hands_each_byte_over_once() {
    let members: String =
        (0..9_000).map(|i| format!(",\"m{}\":[{i},\"\\u00e4\"]", (i * 7919) % 9_000)).collect();
    for body in [
        format!("{{\"model\":\"m\"{members}}}"),
        format!(
            "{{\"model\":\"m\",\"messages\":[{{\"content\":\"{}\"}}],\"a\":1,\"z\":2}}",
            "x".repeat(3 << 20)
        ),
    ] {
        let plan = plan_json(&ApiEndpoint::Embeddings, &body).unwrap();
        let (calls, bytes) = (RefCell::new(0), RefCell::new(0));
        let size = MessageSize { id_bytes: 44 };
        let sealed = plan.write(size, |plaintext, out| {
            *calls.borrow_mut() += 1;
            *bytes.borrow_mut() += plaintext.len();
            out.resize(out.len() + size.sealed(plaintext.len()), b'x');
            Ok(())
        });
        let members = plan.document().unwrap().names().count() - 1;
        assert_eq!(*calls.borrow(), members);
        assert!(*bytes.borrow() < body.len());
        assert_eq!(sealed.unwrap().len(), body.len() + *bytes.borrow() + members * size.sealed(0));
    }
    let many: String = (0..100_000).map(|i| format!(",\"m{i}\":0")).collect();
    let error = plan_json(&ApiEndpoint::Embeddings, &format!("{{\"model\":\"m\"{many}}}")).err().unwrap();
    assert_eq!((error.code(), error.check()), (Code::LimitExceeded, Some("members of an object")));
    assert_eq!(
        Document::parse(&format!("[{}", "[".repeat(100_000))).unwrap_err(),
        BodyError::Limit("depth of nesting")
    );
}
