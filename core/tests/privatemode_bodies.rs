//! Requests that must not leave and answers that must not come in: clear members, hostile bodies, heads (threats T36, T39, T44, T46,
//! T47), with the cost counted in bytes and calls.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::cell::RefCell;

use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::openai::select::{BodyError, Document};
use proveil_core::provider::privatemode::{
    AnswerForm, AnswerPart, ClientVersion, Content, HeaderFacts, MessageSize, PlanOptions, SharedSalt,
    answer_form, open_document, plan, request_headers, request_id,
};
use proveil_core::secret::SecretText;
use proveil_core::{Class, Code, Error};
use support::TestRandom;
use support::fields::{Cipher, plan_json, sealed_text};

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
        form.file("file", "a.wav", b"RIFF").unwrap();
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

/// I7: nothing of a prompt in what a program may print.
#[test]
fn nothing_of_a_body_is_printed() {
    let body = format!("{{\"model\":\"m\",\"messages\":\"{CANARY}\"}}");
    let plan = plan_json(&ApiEndpoint::ChatCompletions, &body).unwrap();
    let mut form = Form::new();
    form.file("file", "CANARY.mp3", CANARY.as_bytes()).unwrap();
    let mut sealed = Vec::new();
    Cipher::fixed().seal(format!("\"{CANARY}\"").as_bytes(), &mut sealed).unwrap();
    let answer = format!("{{\"choices\":{}}}", String::from_utf8(sealed).unwrap());
    let mut cipher = Cipher::fixed();
    let opened = open_document(
        &answer,
        &ApiEndpoint::ChatCompletions,
        AnswerPart::Whole,
        cipher.size(),
        |raw, out| cipher.open(raw, out),
    )
    .unwrap();
    assert!(opened.text().contains(CANARY));
    let salt = SharedSalt::new(SecretText::new(CANARY.repeat(3))).unwrap();
    let printed = format!("{:?} {form:?} {opened:?} {salt:?}", plan.document());
    assert!(!printed.contains("CANARY"), "{printed}");
}
