//! Requests from the caller's body to the wire: what is refused, what is sealed, and that nothing else gets out.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use zeroize::Zeroizing;

use super::request::{KnownModels, Plan, Relaxations, plan};
use super::sealing::{SealedChat, seal, seal_chat};
use super::{Model, ModelClass};
use crate::crypto::{POINT_LEN, SecureRandom, secp256k1_public_key, sha256};
use crate::endpoint::{Event, TextField};
use crate::error::{Code, Result};
use crate::http::ResponseHead;
use crate::seal::ecies::{FieldOpener, seal_field};
use crate::secret::Secret;
use crate::wire::json::Json;

const STRICT: Relaxations = Relaxations { allow_clear_stop: false, allow_whitespace_plaintext: false };
const CLEAR_STOP: Relaxations = Relaxations { allow_clear_stop: true, allow_whitespace_plaintext: false };

/// SHA-256 in counter mode: fixed for a seed, never repeating.
struct TestRandom(u64, u64);

impl SecureRandom for TestRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        for chunk in out.chunks_mut(32) {
            self.1 += 1;
            let block = sha256(&[&self.0.to_be_bytes(), &self.1.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

fn enclave() -> (Secret<32>, [u8; POINT_LEN]) {
    let secret = Secret::take(&mut [0x42; 32]);
    let public = secp256k1_public_key(&secret).unwrap();
    (secret, public)
}

fn planned(body: &str, relaxations: Relaxations) -> Result<Plan> {
    plan(body.as_bytes(), Some(KnownModels::E2eeIds(&["e2ee-m"])), relaxations)
}

fn with_member(member: &str) -> String {
    format!(r#"{{"model":"e2ee-m","messages":[{{"role":"user","content":"hi"}}],{member}}}"#)
}

fn with_message(message: &str) -> String {
    format!(r#"{{"model":"e2ee-m","messages":[{{"role":"user","content":"hi"}},{message}]}}"#)
}

#[test]
fn refusals() {
    let member = |text: &str| with_member(text);
    let venice = |text: &str| with_member(&format!(r#""venice_parameters":{{{text}}}"#));
    let message = |text: &str| with_message(text);
    let cases: Vec<(String, Code, &str)> = vec![
        // The body as a whole.
        ("".into(), Code::MalformedRequest, ""),
        ("[]".into(), Code::MalformedRequest, ""),
        ("{\"model\":\"e2ee-m\"".into(), Code::MalformedRequest, ""),
        (member("\"n\":1,\"n\":2"), Code::DuplicateMember, ""),
        (message(r#"{"role":"user","role":"user","content":"x"}"#), Code::DuplicateMember, ""),
        (
            message(r#"{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}"#),
            Code::DuplicateMember,
            "",
        ),
        (message(r#"{"role":"user","content":"\ud800"}"#), Code::MalformedRequest, ""),
        // The model.
        (r#"{"messages":[]}"#.into(), Code::MalformedRequest, "/model"),
        (r#"{"model":null,"messages":[]}"#.into(), Code::MalformedRequest, "/model"),
        (r#"{"model":"E2EE-M","messages":[]}"#.into(), Code::ModelNotE2ee, "/model"),
        (r#"{"model":"e2ee-m ","messages":[]}"#.into(), Code::ModelNotE2ee, "/model"),
        (r#"{"model":"e2ee-m:","messages":[]}"#.into(), Code::ModelSuffix, "/model"),
        (r#"{"model":"e2ee-m\r\nx","messages":[]}"#.into(), Code::InvalidArgument, "/model"),
        (r#"{"model":"","messages":[]}"#.into(), Code::InvalidArgument, "/model"),
        // Messages.
        (r#"{"model":"e2ee-m"}"#.into(), Code::NoMessages, "/messages"),
        (r#"{"model":"e2ee-m","messages":[]}"#.into(), Code::NoMessages, "/messages"),
        (r#"{"model":"e2ee-m","messages":null}"#.into(), Code::NoMessages, "/messages"),
        (r#"{"model":"e2ee-m","messages":{}}"#.into(), Code::MalformedRequest, "/messages"),
        (r#"{"model":"e2ee-m","messages":["hi"]}"#.into(), Code::MalformedRequest, "/messages"),
        (message(r#"{"content":"x"}"#), Code::UnencryptableField, "/messages/1/role"),
        (message(r#"{"role":"CANARY","content":"x"}"#), Code::UnencryptableField, "/messages/1/role"),
        (message(r#"{"role":"tool","content":"x","tool_call_id":"c"}"#), Code::Tools, "/messages/1/role"),
        (message(r#"{"role":"function","content":"x"}"#), Code::Tools, "/messages/1/role"),
        (
            message(r#"{"role":"assistant","content":"x","tool_calls":[]}"#),
            Code::Tools,
            "/messages/1/tool_calls",
        ),
        (
            message(r#"{"role":"assistant","content":"x","function_call":{}}"#),
            Code::Tools,
            "/messages/1/function_call",
        ),
        (
            message(r#"{"role":"user","content":"x","name":"n"}"#),
            Code::UnencryptableField,
            "/messages/1/name",
        ),
        (
            message(r#"{"role":"user","content":"x","a/b~":null}"#),
            Code::UnencryptableField,
            "/messages/1/a~1b~0",
        ),
        (
            message(r#"{"role":"assistant","content":"x","reasoning_content":"r"}"#),
            Code::UnencryptableField,
            "/messages/1/reasoning_content",
        ),
        (message(r#"{"role":"user","content":null}"#), Code::UnencryptableContent, "/messages/1/content"),
        (message(r#"{"role":"user"}"#), Code::UnencryptableContent, "/messages/1/content"),
        (message(r#"{"role":"user","content":5}"#), Code::UnencryptableContent, "/messages/1/content"),
        (
            message(r#"{"role":"user","content":{"type":"text","text":"x"}}"#),
            Code::UnencryptableContent,
            "/messages/1/content",
        ),
        (message(r#"{"role":"user","content":["x"]}"#), Code::UnencryptableContent, "/messages/1/content"),
        (
            message(r#"{"role":"user","content":[{"type":"text"}]}"#),
            Code::UnencryptableContent,
            "/messages/1/content",
        ),
        (
            message(r#"{"role":"user","content":[{"type":"refusal","refusal":"x"}]}"#),
            Code::UnencryptableContent,
            "/messages/1/content",
        ),
        (
            message(r#"{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}"#),
            Code::MediaPart,
            "/messages/1/content",
        ),
        (
            message(r#"{"role":"user","content":[{"type":"text","text":"x","image_url":{}}]}"#),
            Code::MediaPart,
            "/messages/1/content",
        ),
        // Members in clear must be what they claim to be.
        (member(r#""temperature":"0.5""#), Code::InvalidArgument, "/temperature"),
        (
            member(r#""temperature":0.1234567890123456789012345678901234567890"#),
            Code::InvalidArgument,
            "/temperature",
        ),
        (member(r#""max_tokens":1.5"#), Code::InvalidArgument, "/max_tokens"),
        (member(r#""max_tokens":-1"#), Code::InvalidArgument, "/max_tokens"),
        (member(r#""seed":1e3"#), Code::InvalidArgument, "/seed"),
        (member(r#""stream":"yes""#), Code::InvalidArgument, "/stream"),
        (member(r#""reasoning_effort":"CANARY""#), Code::InvalidArgument, "/reasoning_effort"),
        (member(r#""reasoning":{"effort":"CANARY"}"#), Code::InvalidArgument, "/reasoning/effort"),
        (member(r#""reasoning":{"note":"x"}"#), Code::UnknownField, "/reasoning/note"),
        (member(r#""reasoning":"high""#), Code::InvalidArgument, "/reasoning"),
        (
            member(r#""stream_options":{"include_usage":"x"}"#),
            Code::InvalidArgument,
            "/stream_options/include_usage",
        ),
        (member(r#""stream_options":{"x":1}"#), Code::UnknownField, "/stream_options/x"),
        (
            member(r#""response_format":{"type":"text","json_schema":{}}"#),
            Code::ResponseFormat,
            "/response_format",
        ),
        (member(r#""response_format":{"type":"json_object"}"#), Code::ResponseFormat, "/response_format"),
        (member(r#""response_format":"text""#), Code::ResponseFormat, "/response_format"),
        (member(r#""stop":"x""#), Code::StopInClear, "/stop"),
        (member(r#""top_logprobs":0"#), Code::Logprobs, "/top_logprobs"),
        (member(r#""tools":[]"#), Code::Tools, "/tools"),
        (member(r#""tool_choice":"none""#), Code::Tools, "/tool_choice"),
        (member(r#""parallel_tool_calls":false"#), Code::Tools, "/parallel_tool_calls"),
        (member(r#""functions":[]"#), Code::Tools, "/functions"),
        (member(r#""web_search_options":{}"#), Code::WebSearch, "/web_search_options"),
        (member(r#""user":"u""#), Code::UnknownField, "/user"),
        (member(r#""my_note":null"#), Code::UnknownField, "/my_note"),
        (member(r#""provider":{}"#), Code::UnknownField, "/provider"),
        // Venice's own parameters.
        (member(r#""venice_parameters":true"#), Code::InvalidArgument, "/venice_parameters"),
        (venice(r#""enable_e2ee":"true""#), Code::E2eeDisabled, "/venice_parameters/enable_e2ee"),
        (venice(r#""enable_web_search":true"#), Code::WebSearch, "/venice_parameters/enable_web_search"),
        (venice(r#""enable_web_scraping":true"#), Code::WebSearch, "/venice_parameters/enable_web_scraping"),
        (venice(r#""enable_x_search":1"#), Code::WebSearch, "/venice_parameters/enable_x_search"),
        (
            venice(r#""include_search_results_in_stream":true"#),
            Code::WebSearch,
            "/venice_parameters/include_search_results_in_stream",
        ),
        (
            venice(r#""strip_thinking_response":true"#),
            Code::UnknownField,
            "/venice_parameters/strip_thinking_response",
        ),
        (venice(r#""character_slug":"""#), Code::Character, "/venice_parameters/character_slug"),
        (venice(r#""note":false"#), Code::UnknownField, "/venice_parameters/note"),
    ];
    for (body, code, at) in &cases {
        let error = planned(body, STRICT).err().unwrap_or_else(|| panic!("accepted: {body}"));
        assert_eq!((error.code(), error.check().unwrap_or_default()), (*code, *at), "{body}");
        assert!(!error.to_string().contains("CANARY"), "an error repeats the caller's value: {error}");
    }
    let error = planned(&with_member(r#""stop":5"#), CLEAR_STOP).err().unwrap();
    assert_eq!(error.code(), Code::InvalidArgument);
    let huge = vec![b' '; crate::limits::REQUEST_MAX_BYTES + 1];
    assert_eq!(plan(&huge, None, STRICT).err().unwrap().code(), Code::LimitExceeded);
}

#[test]
fn catalogue_decides_and_suggests() {
    let model = |id: &str, class| Model {
        id: id.into(),
        class,
        kind: "text".into(),
        context_tokens: None,
        deprecation: None,
    };
    let models = [model("e2ee-m", ModelClass::E2ee), model("tee-m", ModelClass::Tee)];
    let known = Some(KnownModels::Catalogue(&models));
    let run = |id: &str| {
        let body = format!(r#"{{"model":"{id}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        plan(body.as_bytes(), known, STRICT).map(|_| ())
    };
    assert!(run("e2ee-m").is_ok());
    let error = run("tee-m").unwrap_err();
    assert_eq!((error.code(), error.found_value()), (Code::ModelNotE2ee, Some("tee-m (tee)")));
    let error = run("e2e-m").unwrap_err();
    assert_eq!(error.code(), Code::UnknownModel);
    assert!(error.message().ends_with("Did you mean `e2ee-m`?"), "{error}");
    assert!(!run("something-else").unwrap_err().message().contains("Did you mean"));
}

#[test]
fn what_says_nothing_is_left_out() {
    let body = r#"{"model":"e2ee-m","tools":null,"user":null,"logprobs":false,"stop":null,"stream":null,
        "messages":[{"role":"assistant","content":"x","refusal":null,"tool_calls":null,"audio":null,"function_call":null}],
        "venice_parameters":{"enable_e2ee":true,"include_venice_system_prompt":false,"enable_web_search":"off",
            "enable_web_scraping":false,"character_slug":null,"disable_thinking":false}}"#;
    let plan = planned(body, STRICT).unwrap();
    let names: Vec<&str> = plan.clear.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["model", "stream_options"]);
    assert_eq!(plan.asked_stream(), None);
}

/// A canary in every member of the chat schema: either the request is refused, or the wire does not carry it (threats T46).
#[test]
fn canary_never_reaches_the_wire() {
    const CANARY: &str = "CANARY-7f3a";
    enum Expect {
        Refused,
        Sealed,
    }
    use Expect::{Refused, Sealed};
    let mut cases: Vec<(String, Expect)> = Vec::new();
    // Every known top-level member, an unknown one, each in several shapes.
    let mut names: Vec<&str> = crate::openai::REQUEST_MEMBERS.iter().map(|(name, _)| *name).collect();
    names.extend([
        "venice_parameters",
        "anything_else",
        "cache_salt",
        "extra_body",
        "guided_json",
        "chat_template_kwargs",
    ]);
    for name in names {
        for shape in [
            "\"C\"",
            "[\"C\"]",
            "{\"C\":1}",
            "{\"x\":\"C\"}",
            "{\"type\":\"text\",\"C\":null}",
            "[{\"type\":\"C\"}]",
        ] {
            let value = shape.replace('C', CANARY);
            let body = match name {
                "model" => format!(r#"{{"model":{value},"messages":[{{"role":"user","content":"hi"}}]}}"#),
                "messages" => format!(r#"{{"model":"e2ee-m","messages":{value}}}"#),
                _ => with_member(&format!("\"{name}\":{value}")),
            };
            cases.push((body, Refused));
        }
    }
    for name in ["enable_web_search", "character_slug", "note", CANARY] {
        cases.push((with_member(&format!(r#""venice_parameters":{{"{name}":"{CANARY}"}}"#)), Refused));
    }
    for name in crate::openai::MESSAGE_MEMBERS.iter().chain(&["role", "anything_else", CANARY]) {
        for value in [format!("\"{CANARY}\""), format!("{{\"a\":\"{CANARY}\"}}"), format!("[\"{CANARY}\"]")] {
            let role = if *name == "role" { "" } else { "\"role\":\"assistant\"," };
            cases.push((with_message(&format!(r#"{{{role}"content":"x","{name}":{value}}}"#)), Refused));
        }
    }
    for role in crate::openai::ROLES {
        for content in [
            format!("\"{CANARY}\""),
            format!("\"[\\\"{CANARY}\\\"]\""),
            format!(r#"[{{"type":"text","text":"{CANARY}"}}]"#),
            format!(
                r#"[{{"type":"text","text":"x","cache_control":{{"type":"{CANARY}"}}}},{{"type":"text","text":"{CANARY}"}}]"#
            ),
        ] {
            cases.push((with_message(&format!(r#"{{"role":"{role}","content":{content}}}"#)), Sealed));
        }
    }
    for kind in crate::openai::MEDIA_PARTS {
        let part = format!(r#"[{{"type":"{kind}","{kind}":{{"url":"{CANARY}"}}}}]"#);
        cases.push((with_message(&format!(r#"{{"role":"user","content":{part}}}"#)), Refused));
    }
    let (_, public) = enclave();
    for (body, expect) in &cases {
        let plan = planned(body, STRICT);
        match expect {
            Refused => assert!(plan.is_err(), "accepted: {body}"),
            Sealed => {
                let wire = seal(&plan.unwrap(), &public, &mut TestRandom(1, 0)).unwrap();
                let wire = String::from_utf8(wire).unwrap();
                for form in [CANARY.to_owned(), crate::wire::hex::encode(CANARY.as_bytes())] {
                    assert!(!wire.contains(&form), "{body} leaks into {wire}");
                }
            }
        }
    }
}

#[test]
fn the_wire_body() {
    let body = r#" {"temperature": 0.20, "model":"e2ee-\u006d","stream":false,
        "messages":[{"role":"system","content":"be \u00e4"},{"content":[ {"type" : "text","text":"p"} ],"role":"user"}],
        "max_tokens":5, "stop":["\n"], "response_format": {"type": "text"}} "#;
    let plan = planned(body, CLEAR_STOP).unwrap();
    assert_eq!((plan.model(), plan.wire_stream(), plan.asked_stream()), ("e2ee-m", true, Some(false)));
    let (secret, public) = enclave();
    let sealed = seal_chat(&plan, &public, CLEAR_STOP, &mut TestRandom(1, 0)).unwrap();
    let wire = String::from_utf8(sealed.body.clone()).unwrap();
    // Clear members are the caller's own text.
    for part in [
        "\"temperature\":0.20,",
        "\"model\":\"e2ee-\\u006d\",",
        "\"stop\":[\"\\n\"],",
        "{\"type\": \"text\"}",
    ] {
        assert!(wire.contains(part), "{part} not in {wire}");
    }
    assert!(wire.ends_with(
        r#""stream":true,"venice_parameters":{"enable_e2ee":true,"include_venice_system_prompt":false}}"#
    ));
    let parsed = Json::parse(&sealed.body).unwrap();
    assert_eq!(parsed.get("stream_options").unwrap().to_compact(), "{\"include_usage\":true}");

    let mut opener = FieldOpener::new(secret);
    let mut scratch = Zeroizing::default();
    let messages = parsed.get("messages").unwrap().as_array().unwrap();
    let expected = [("system", "be \u{e4}"), ("user", "[{\"type\":\"text\",\"text\":\"p\"}]")];
    let pointers: Vec<String> = plan.sealed_fields().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/messages/0/content", "/messages/1/content"]);
    for (message, (role, text)) in messages.iter().zip(expected) {
        assert_eq!(message.get("role").unwrap().as_str(), Some(role));
        let content = message.get("content").unwrap().as_str().unwrap();
        assert_eq!(opener.open_hex(content.as_bytes(), &mut scratch).unwrap(), text);
    }
    let names: Vec<&str> = sealed.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["x-venice-tee-signing-algo", "x-venice-tee-client-pub-key", "x-venice-tee-model-pub-key"]
    );
    assert_eq!(sealed.headers[2].1, crate::wire::hex::encode(&public));
    assert!(sealed.headers[1].1.len() == 130 && sealed.headers[1].1.starts_with("04"));
}

#[test]
fn the_opener_belongs_to_its_request() {
    let plan = planned(&with_member(r#""n":1"#), STRICT).unwrap();
    let (_, public) = enclave();
    let mut random = TestRandom(2, 0);
    let answer_to = |sealed: &SealedChat, random: &mut TestRandom| {
        let client = crate::wire::hex::decode_array(&sealed.headers[1].1).unwrap();
        let mut field = String::new();
        seal_field(&client, b"yes", random, &mut field).unwrap();
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{field}\"}}}}]}}\n\ndata: [DONE]\n\n"
        )
    };
    let mut first = seal_chat(&plan, &public, STRICT, &mut random).unwrap();
    let mut second = seal_chat(&plan, &public, STRICT, &mut random).unwrap();
    assert_ne!(first.headers[1].1, second.headers[1].1, "a response key is used for one request only (T29)");
    assert_ne!(first.body, second.body);
    let answer = answer_to(&first, &mut random);
    let head = ResponseHead::new(200, [("Content-Type".to_owned(), "text/event-stream".to_owned())]);
    let mut events = Vec::new();
    first.opener.head(&head).unwrap();
    first.opener.push(answer.as_bytes(), 1, &mut events).unwrap();
    let receipt = first.opener.finish(&mut events).unwrap();
    assert_eq!(events, [Event::Text { choice: 0, field: TextField::Content, text: "yes".into() }]);
    assert_eq!(receipt.request_sha256, sha256(&[&first.body]));
    assert_eq!(receipt.response_sha256, sha256(&[answer.as_bytes()]));
    // An answer to another request does not open (T32, T38).
    second.opener.head(&head).unwrap();
    let error = second.opener.push(answer.as_bytes(), 1, &mut events).unwrap_err();
    assert_eq!(error.code(), Code::AuthFailed);
}

/// A random source that repeats itself is caught before anything is sent.
#[test]
fn repeated_randomness_is_refused() {
    struct Stuck;
    impl SecureRandom for Stuck {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            out.fill(7);
            Ok(())
        }
    }
    let plan = planned(&with_message(r#"{"role":"user","content":"x"}"#), STRICT).unwrap();
    assert_eq!(seal(&plan, &enclave().1, &mut Stuck).unwrap_err().code(), Code::Internal);
}

/// The check of the finished body finds what a defect in the writer could do.
#[test]
fn the_self_check_bites() {
    let plan = planned(&with_member(r#""n":1"#), STRICT).unwrap();
    let wire = String::from_utf8(seal(&plan, &enclave().1, &mut TestRandom(1, 0)).unwrap()).unwrap();
    assert!(super::sealing::check_body(&plan, &wire).is_some());
    let start = wire.find("\"content\":\"").unwrap() + 11;
    let envelope = &wire[start..start + wire[start..].find('"').unwrap()];
    let changes = [
        (envelope, "hi".to_owned()),
        (envelope, String::new()),
        (envelope, envelope[2..].to_owned()),
        (envelope, format!("{envelope}00")),
        (envelope, envelope.to_uppercase()),
        (envelope, format!("06{}", &envelope[2..])),
        ("\"role\"", "\"name\":\"x\",\"role\"".to_owned()),
        ("\"role\":\"user\"", "\"role\":\"hi\"".to_owned()),
        ("\"n\":1", "\"m\":1".to_owned()),
        ("\"n\":1", "\"n\":1,\"tools\":[]".to_owned()),
        ("\"n\":1,", String::new()),
        ("\"stream\":true", "\"stream\":false".to_owned()),
        ("\"enable_e2ee\":true", "\"enable_e2ee\":false".to_owned()),
        ("\"e2ee-m\"", "\"other\"".to_owned()),
        ("\"messages\":[", "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},".to_owned()),
    ];
    for (from, to) in &changes {
        let changed = wire.replacen(from, to, 1);
        assert_ne!(changed, wire, "{from}");
        assert!(super::sealing::check_body(&plan, &changed).is_none(), "{changed}");
    }
}
