//! Fuzz targets for bodies whose parts are sealed: JSON of requests and answers, and forms.

use proveil_core::crypto::SecureRandom;
use proveil_core::error::{Class, Code, Result};
use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::openai::select::{Document, Shape};
use proveil_core::provider::privatemode::{
    AnswerPart, Content, Direction, FileNames, MessageSize, PlanOptions, RequestPlan, open_document,
    plain_members, plan,
};
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;

/// Stands where a message has everything but its ciphertext: the sizes are those of a secret without id.
const FILLER_BYTES: usize = 83;
const SIZE: MessageSize = MessageSize { id_bytes: 0 };

const ENDPOINTS: [ApiEndpoint; 4] =
    [ApiEndpoint::ChatCompletions, ApiEndpoint::Completions, ApiEndpoint::Embeddings, ApiEndpoint::Messages];

/// A message that hides nothing.
fn seal(plaintext: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(format!("\"{}{}\"", "x".repeat(FILLER_BYTES), hex::encode(plaintext)).as_bytes());
    Ok(())
}

fn open(message: &str, out: &mut Vec<u8>) -> Result<()> {
    let inner =
        message.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Code::NotCiphertext)?;
    let text = inner.get(FILLER_BYTES..).and_then(hex::decode).ok_or(Code::NotCiphertext)?;
    out.extend_from_slice(&text);
    Ok(())
}

/// Not random: the same input must do the same.
struct Fixed;

impl SecureRandom for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        out.fill(0x41);
        Ok(())
    }
}

fn sealed(plan: &RequestPlan<'_>) -> Vec<u8> {
    plan.write(SIZE, seal).expect("a planned body can be written")
}

/// A body as a request, and as an answer. What is planned is sealed member by member and comes back as it was; what is not on the list of
/// clear members is never readable.
pub fn json_body(data: &[u8]) {
    for endpoint in &ENDPOINTS {
        match plan(endpoint.clone(), Content::Json(data), &PlanOptions::default(), &mut Fixed) {
            Ok(plan) => comes_back(endpoint, &plan),
            Err(error) => assert!(matches!(error.code().class(), Class::Input | Class::Limit), "{error}"),
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Document::parse(text);
    if let Ok(Json::Object(members)) = Json::parse(data) {
        let document = read.expect("what the strict parser takes");
        assert!(members.iter().map(|(name, _)| name.as_str()).eq(document.names()));
    }
    let unstructured = ApiEndpoint::parse("/unstructured/a").expect("a path");
    for endpoint in ENDPOINTS.iter().chain([&ApiEndpoint::Transcriptions, &unstructured]) {
        for part in [AnswerPart::Whole, AnswerPart::Failure, AnswerPart::Event] {
            let plain = plain_members(endpoint, Direction::Response).unwrap_or_default();
            match open_document(text, endpoint, part, SIZE, open) {
                Ok(opened) => {
                    assert!(opened.clear_members().all(|name| plain.contains(&name)));
                    let again = Document::parse(opened.text()).expect("opened text is JSON");
                    assert!(matches!(again.shape(), Shape::Object | Shape::Array));
                }
                Err(error) => {
                    let class = error.code().class();
                    assert!(matches!(class, Class::Integrity | Class::Protocol | Class::Limit), "{error}");
                }
            }
        }
    }
}

fn comes_back(endpoint: &ApiEndpoint, plan: &RequestPlan<'_>) {
    let plain = plain_members(endpoint, Direction::Request).unwrap_or_default();
    let body = String::from_utf8(sealed(plan)).expect("text");
    let document = Document::parse(&body).expect("a sealed body is JSON");
    for name in document.names() {
        let value = document.get(name).unwrap_or_default();
        assert!(plain.contains(&name) || value.starts_with("\"xxxx"), "{name} is readable");
    }
    let mut out = Vec::new();
    document
        .rewrite(plain, |bytes| SIZE.opened(bytes), |_, raw, out| open(raw, out), &mut out)
        .expect("it opens");
    let before = plan.document().expect("a JSON plan").to_text().expect("text");
    assert_eq!(String::from_utf8(out).as_deref(), Ok(before.as_str()));
}

/// The content type of every form here.
const FORM: &str = "multipart/form-data; boundary=B";

/// A form. One that is planned is written so that it is read again with the same parts, in order, sealed but for the clear ones.
pub fn form_body(data: &[u8]) {
    let Ok(form) = Form::parse(FORM, data) else { return };
    for file_names in [FileNames::PartAndExtension, FileNames::Part, FileNames::Kept] {
        let options = PlanOptions { file_names, ..PlanOptions::default() };
        let content = Content::Multipart { content_type: FORM, body: data };
        let Ok(plan) = plan(ApiEndpoint::Transcriptions, content, &options, &mut Fixed) else { return };
        let body = sealed(&plan);
        let written = Form::parse(plan.content_type().unwrap_or_default(), &body).expect("a form");
        let ordered = form.ordered();
        assert_eq!(written.parts().len(), ordered.len());
        let plain = plain_members(&ApiEndpoint::Transcriptions, Direction::Request).unwrap_or_default();
        for (part, before) in written.parts().iter().zip(ordered) {
            assert_eq!((&part.name, part.file.is_some()), (&before.name, before.file.is_some()));
            if part.file.is_none() && plain.contains(&part.name.as_ref()) {
                assert_eq!(part.data, before.data);
                continue;
            }
            let mut opened = Vec::new();
            open(std::str::from_utf8(part.data).expect("text"), &mut opened).expect("sealed");
            assert_eq!(opened, before.data);
        }
    }
}

/// Where the two targets start.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut choices = Vec::new();
    seal(b"[{\"index\":0,\"finish_reason\":\"stop\"}]", &mut choices).expect("a message");
    let choices = String::from_utf8(choices).expect("text");
    let answer = format!("{{\"id\":\"c-1\",\"choices\":{choices},\"usage\":{{\"total_tokens\":3}}}}");
    let event = format!("{{\"type\":\"content_block_delta\",\"content\":{choices}}}");
    vec![
        ("json_body", "chat", CHAT.to_vec()),
        ("json_body", "short", b"{\"model\":\"m\",\"a.b\":1,\"stream\":true,\"cache_salt\":null}".to_vec()),
        ("json_body", "answer", answer.into_bytes()),
        ("json_body", "event", event.into_bytes()),
        ("form_body", "audio", AUDIO.to_vec()),
    ]
}

const CHAT: &[u8] = br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"n":1,"temperature":0.5,
  "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a"}},{"type":"text","text":"\u00e4"}]}],
  "tools":[{"type":"function"}],"cache_salt":"0123456789abcdef0123456789abcdef"}"#;

const AUDIO: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n\
--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\nContent-Type: text/plain\r\n\r\nAda\r\n\
--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nID3\x00\xff\r\n--B--\r\n";

/// Whether a seed is accepted.
pub fn is_accepted(target: &str, data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let planned =
        |content| plan(ApiEndpoint::Transcriptions, content, &PlanOptions::default(), &mut Fixed).is_ok();
    let json = || {
        plan(ApiEndpoint::ChatCompletions, Content::Json(data), &PlanOptions::default(), &mut Fixed).is_ok()
    };
    let opens = |endpoint: &ApiEndpoint| open_document(text, endpoint, AnswerPart::Whole, SIZE, open).is_ok();
    match target {
        "form_body" => planned(Content::Multipart { content_type: FORM, body: data }),
        _ => json() || opens(&ApiEndpoint::ChatCompletions) || opens(&ApiEndpoint::Messages),
    }
}
