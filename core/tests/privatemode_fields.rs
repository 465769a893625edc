//! Every case of the Privatemode vector files that say what is sealed, in which order and with which headers
//! (tests/vectors/privatemode/README.md).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::openai::media::check_media;
use proveil_core::openai::select::Document;
use proveil_core::provider::privatemode::{
    AnswerPart, ClientVersion, Content, Direction, FileNames, OcspPolicy, OcspRule, OcspStatus, PlanOptions,
    ShardKey, SharedSalt, caller_salt, inject_salt, open_document, plain_members, plan, shard_key_of,
};
use proveil_core::secret::SecretText;
use proveil_core::{Class, Code, Error};
use serde_json::Value;
use support::fields::{Cipher, plan_json, sealed_text};
use support::{TestRandom, bytes, expect, run_cases, text};

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

/// What the enclave or the model server behind it refuses is refused here, before anything is sent, with its place.
#[test]
fn media_that_are_no_addresses() {
    let https = r#""https://example.com/a.png""#;
    let openai = [
        (format!(r#"{{"image_url":{{"url":{https},"detail":"low"}}}}"#), None),
        (format!(r#"{{"image_url":{https}}}"#), None),
        (r#"{"image_url":null}"#.to_owned(), None),
        (r#"{"image_url":{}}"#.to_owned(), Some("image_url")),
        (r#"{"image_url":{"url":null}}"#.to_owned(), Some("image_url")),
        (r#"{"image_url":{"url":7}}"#.to_owned(), Some("image_url")),
        (r#"{"image_url":{"url":{"url":"http://example.com"}}}"#.to_owned(), Some("image_url")),
        (r#"{"image_url":{"URL":"http://example.com"}}"#.to_owned(), Some("image_url")),
        (format!(r#"{{"image_url":{{"url":{https},"Url":"http://example.com"}}}}"#), Some("image_url")),
        (format!(r#"{{"image_url":{{"url":{https},"url":"http://example.com"}}}}"#), Some("image_url")),
        (format!(r#"{{"image_url":[{https}]}}"#), Some("image_url")),
        (r#"{"audio_url":null}"#.to_owned(), None),
        (r#"{"audio_url":{"url":"data:audio/wav;base64,AA"}}"#.to_owned(), Some("audio_url")),
        (r#"{"video_url":{}}"#.to_owned(), Some("video_url")),
        (r#"{"input_audio":{"data":"AA","format":"wav"}}"#.to_owned(), None),
    ];
    let anthropic = [
        (format!(r#"{{"source":{{"type":"url","url":{https}}}}}"#), None),
        (r#"{"source":{"type":"base64","data":"AA"}}"#.to_owned(), None),
        (r#"{"source":{"type":"base64","data":"AA","url":null}}"#.to_owned(), None),
        (r#"{"source":{"type":"url","url":null}}"#.to_owned(), Some("source.url")),
        (r#"{"source":{"type":"url"}}"#.to_owned(), Some("source.url")),
        (r#"{"source":{"type":"url","URL":"http://example.com"}}"#.to_owned(), Some("source.url")),
        (r#"{"source":{"type":"url","url":["http://example.com"]}}"#.to_owned(), Some("source.url")),
    ];
    for (endpoint, cases) in
        [(ApiEndpoint::ChatCompletions, openai.as_slice()), (ApiEndpoint::Messages, anthropic.as_slice())]
    {
        for (part, refused) in cases {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
            let error = plan_json(&endpoint, &body).err();
            let place = refused.map(|name| format!("messages[0].content[0].{name}"));
            assert_eq!(error.as_ref().and_then(|error| error.check().map(str::to_owned)), place, "{part}");
            assert!(error.is_none_or(|error| error.slug() == "media_url"));
        }
    }
}

/// With nothing sealed there is no sealed answer: the enclave's refusal would look like an outage (10.6).
#[test]
fn requests_without_content() {
    let form = |parts: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        parts.iter().map(part).collect::<String>()
            + "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--B--\r\n"
    };
    let bodies = [
        (ApiEndpoint::Embeddings, r#"{"model":"m"}"#, Some("input")),
        (ApiEndpoint::Embeddings, r#"{"model":"m","input":"a"}"#, None),
        (ApiEndpoint::ChatCompletions, r#"{"model":"m","stream":true,"n":1}"#, None),
        (ApiEndpoint::Messages, r#"{"model":"m"}"#, None),
    ];
    for (endpoint, body, missing) in bodies {
        let error = plan_json(&endpoint, body).err();
        assert_eq!(error.as_ref().and_then(Error::check), missing, "{body}");
        assert!(error.is_none_or(|error| error.slug() == "invalid_argument"));
    }
    let model = ("model", "m");
    let without = "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--B--\r\n".to_owned();
    let forms = [
        (without, Some("file")),
        (form(&[model]), None),
        (form(&[model, ("response_format", "json")]), None),
        (form(&[model, ("response_format", "verbose_json")]), None),
        (form(&[model, ("response_format", "text")]), Some("response_format")),
        (form(&[model, ("response_format", "srt")]), Some("response_format")),
        (form(&[model, ("response_format", "vtt")]), Some("response_format")),
    ];
    for (body, refused) in forms {
        let content =
            Content::Multipart { content_type: "multipart/form-data; boundary=B", body: body.as_bytes() };
        let options = PlanOptions::default();
        let error = plan(ApiEndpoint::Transcriptions, content, &options, &mut TestRandom(3, 0)).err();
        assert_eq!(error.as_ref().and_then(Error::check), refused, "{body}");
        assert!(error.is_none_or(|error| error.slug() == "invalid_argument"));
    }
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
