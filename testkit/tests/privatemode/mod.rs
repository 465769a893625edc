//! A small client of Privatemode, independent of the core: own key schedule reader, own counters, plain HTTP.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::error::Code;
use proveil_core::wire::json::{Json, JsonError};
use proveil_testkit::sim::privatemode::cipher::Message;
use proveil_testkit::sim::privatemode::fields::{self, CHAT_RESPONSE, Document};
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator, exchange};
use x_wing::{Ciphertext, Decapsulate, DecapsulationKey, Decapsulator, KeyExport};

pub const NOW: u64 = 1_790_000_000;
pub const SALT: &str = "0123456789abcdef0123456789abcdef";

pub fn config(defects: &[Defect]) -> SimConfig {
    SimConfig {
        seed: Some([6; 32]),
        now: Some(NOW),
        slow_start_ms: 1,
        defects: defects.to_vec(),
        ..SimConfig::default()
    }
}

pub fn start(defects: &[Defect]) -> Simulator {
    Simulator::start(config(defects)).unwrap()
}

/// Cases of a vector set.
pub fn vectors(name: &str) -> Vec<Json> {
    let path = format!("{}/../tests/vectors/privatemode/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let set = Json::parse(&std::fs::read(path).unwrap()).unwrap();
    set.get("cases").and_then(Json::as_array).unwrap().to_vec()
}

pub fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("no text {name} in {json:?}"))
}

pub fn bytes(json: &Json, name: &str) -> Vec<u8> {
    const_hex::decode(text(json, name)).unwrap()
}

/// Members that stay readable, by the vectors' name of the list.
pub fn plain(kind: &str) -> &'static [&'static str] {
    match kind {
        "chat_request" => fields::CHAT_REQUEST,
        "chat_response" => fields::CHAT_RESPONSE,
        "embeddings_request" => fields::EMBEDDINGS_REQUEST,
        "embeddings_response" => fields::EMBEDDINGS_RESPONSE,
        "messages_request" => fields::MESSAGES_REQUEST,
        "messages_response" => fields::MESSAGES_RESPONSE,
        "transcription_response" => fields::TRANSCRIPTION_RESPONSE,
        "unstructured_response" => fields::UNSTRUCTURED_RESPONSE,
        other => panic!("{other}"),
    }
}

/// An answer as it came over the wire.
pub struct Raw {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
    /// True when the connection broke within the body.
    pub broke: bool,
}

impl Raw {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Json {
        Json::parse(&self.body).unwrap()
    }
}

pub fn http() -> reqwest::Client {
    // Only plain HTTP is used, but together with the client's TLS features reqwest wants a provider; one may be there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// Sends; `Err` when the connection broke before the head of an answer.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Raw, reqwest::Error> {
    let mut response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut raw = Raw { status, headers, body: Vec::new(), broke: false };
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => raw.body.extend_from_slice(&bytes),
            Ok(None) => return Ok(raw),
            Err(_) => {
                raw.broke = true;
                return Ok(raw);
            }
        }
    }
}

pub async fn get(sim: &Simulator, path: &str) -> Raw {
    send(authorized(http().get(format!("{}{path}", sim.base_url())))).await.unwrap()
}

pub fn authorized(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request.header("authorization", "Bearer test-key").header("privatemode-version", "v1.40.0")
}

pub fn post(sim: &Simulator, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    authorized(http().post(format!("{}{path}", sim.base_url()))).body(body)
}

/// The client's half of an exchange.
pub struct Exchanged {
    pub public: Vec<u8>,
    pub id: String,
    pub secret: [u8; 32],
    /// The parts of the answer: encapsulated key, signature, certificate.
    pub answer: [Vec<u8>; 3],
}

pub async fn exchange(sim: &Simulator, seed: u8) -> Exchanged {
    let private = DecapsulationKey::from([seed; 32]);
    let public = private.encapsulation_key().to_bytes().to_vec();
    let body = format!("{{\"PublicKey\":\"{}\"}}", STANDARD.encode(&public));
    let raw = send(post(sim, "/privatemode/v1/secret", body)).await.unwrap();
    assert_eq!(raw.status, 200, "{}", raw.text());
    let answer = ["EncapsulatedKey", "Signature", "MeshCert"]
        .map(|name| STANDARD.decode(text(&raw.json(), name)).unwrap());
    let shared = private.decapsulate(&Ciphertext::try_from(answer[0].as_slice()).unwrap());
    let mut secret = [0; 32];
    exchange::export(&shared, &[], &[], &mut secret).unwrap();
    Exchanged { id: exchange::secret_id(&public), public, secret, answer }
}

/// One request and its answer: what the client remembers.
pub struct Call {
    pub secret: [u8; 32],
    pub id: String,
    pub nonce: [u8; 12],
    requests: u32,
    responses: u32,
}

impl Call {
    pub fn new(exchanged: &Exchanged, nonce: u8) -> Call {
        let id = exchanged.id.clone();
        Call { secret: exchanged.secret, id, nonce: [nonce; 12], requests: 0, responses: 0 }
    }

    /// Seals the next field of the request.
    pub fn seal(&mut self, plain: &[u8]) -> String {
        let mut iv = [0x11; 12];
        iv[0] = u8::try_from(self.requests).unwrap();
        let message = Message::seal(&self.secret, &self.id, self.nonce, iv, self.requests, plain).unwrap();
        self.requests += 1;
        message.to_text()
    }

    /// Seals a JSON request. The order of counters is spelled out here: names sorted bytewise.
    pub fn seal_json(&mut self, request: &str, plain: &[&str]) -> String {
        let mut document = Document::parse(request).unwrap();
        let mut names: Vec<String> = document.members.iter().map(|member| member.name.clone()).collect();
        names.sort();
        for name in names.iter().filter(|name| !plain.contains(&name.as_str())) {
            let member = document.members.iter_mut().find(|member| &member.name == name).unwrap();
            member.value = self.seal(member.value.as_bytes());
        }
        document.to_text()
    }

    /// Opens the next field of the answer.
    pub fn open(&mut self, value: &str) -> Result<String, String> {
        let message = Message::parse(value).map_err(|_| format!("not a message: {value:.40}"))?;
        if message.id != self.id || message.nonce != self.nonce {
            return Err("foreign".to_owned());
        }
        if message.iv[1..] == [0x11; 11] {
            return Err("reflected".to_owned());
        }
        let plain = message.open(&self.secret, self.nonce, self.responses).map_err(|_| "authentication")?;
        self.responses += 1;
        Ok(String::from_utf8(plain).unwrap())
    }

    /// Opens a document of the answer.
    pub fn open_json(&mut self, answer: &str, plain: &[&str]) -> Result<Json, String> {
        let mut document = Document::parse(answer).ok_or("not a document")?;
        let mut names: Vec<String> = document.members.iter().map(|member| member.name.clone()).collect();
        names.sort();
        for name in names.iter().filter(|name| !plain.contains(&name.as_str())) {
            let member = document.members.iter_mut().find(|member| &member.name == name).unwrap();
            member.value = self.open(&member.value.clone())?;
        }
        Json::parse(document.to_text().as_bytes()).map_err(|error| format!("{error:?}"))
    }

    /// Opens a stream: the events' documents, and whether the end mark came.
    pub fn open_stream(&mut self, body: &[u8], plain: &[&str]) -> Result<(Vec<Json>, bool), String> {
        let text = std::str::from_utf8(body).unwrap().replace("\r\n", "\n");
        let mut events = Vec::new();
        for block in text.split_terminator("\n\n") {
            for line in block.lines() {
                let Some(data) = line.strip_prefix("data:") else { continue };
                let data = data.trim_start();
                if data.eq_ignore_ascii_case("[DONE]") {
                    return Ok((events, true));
                }
                let event = self.open_json(data, plain)?;
                let ends = event.get("type").and_then(Json::as_str) == Some("message_stop");
                events.push(event);
                if ends {
                    return Ok((events, true));
                }
            }
        }
        Ok((events, false))
    }
}

/// Text of the first choice of a streamed chat, opened strictly (privatemode.md 5.1, 6.4, 6.5), or why not.
pub fn judge(raw: &Raw, call: &mut Call) -> Result<String, Code> {
    status(raw)?;
    if raw.header("privatemode-encrypted") == "false" {
        return Err(Code::PlaintextDowngrade);
    }
    if raw.headers.contains_key("content-encoding") {
        return Err(Code::ContentEncoding);
    }
    if !raw.header("content-type").starts_with("text/event-stream") {
        return Err(Code::UnexpectedContentType);
    }
    let text = std::str::from_utf8(&raw.body).map_err(|_| Code::MalformedEvent)?.replace("\r\n", "\n");
    let (mut said, mut finished) = (String::new(), false);
    let mut lines = text.split('\n').collect::<Vec<_>>();
    // What stands after the last line end is an event that was cut.
    lines.pop();
    for line in lines {
        let Some(data) = line.strip_prefix("data:").map(str::trim_start) else { continue };
        if data.eq_ignore_ascii_case("[done]") {
            return if finished { Ok(said) } else { Err(Code::Truncated) };
        }
        if data.len() > 16 * 1024 * 1024 {
            return Err(Code::LimitExceeded);
        }
        let choices = judge_event(data, call)?;
        for choice in choices.as_array().ok_or(Code::MalformedEvent)? {
            let delta = choice.get("delta").ok_or(Code::MalformedEvent)?;
            said.push_str(delta.get("content").and_then(Json::as_str).unwrap_or_default());
            finished |= choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
        }
    }
    Err(Code::Truncated)
}

fn status(raw: &Raw) -> Result<(), Code> {
    match raw.status {
        200 => Ok(()),
        300..=399 => Err(Code::RedirectRefused),
        402 => Err(Code::UpstreamPayment),
        429 => Err(Code::UpstreamRateLimited),
        400..=499 => Err(Code::UpstreamError),
        500 if raw.text().contains("no secret for ID") => Err(Code::StaleKey),
        500 if raw.text().contains("OCSP status that is not accepted") => Err(Code::GpuStatusRefused),
        _ => Err(Code::UpstreamUnavailable),
    }
}

/// Opens one event; its choices.
fn judge_event(data: &str, call: &mut Call) -> Result<Json, Code> {
    if Json::parse(data.as_bytes()) == Err(JsonError::Malformed) {
        return Err(Code::MalformedEvent);
    }
    let document = Document::parse(data).ok_or(Code::MalformedEvent)?;
    if document.members.iter().all(|member| member.name == "error") {
        return Err(Code::UpstreamError);
    }
    let member = |name: &str| {
        let found = document.members.iter().find(|member| member.name == name);
        found.map(|member| Json::parse(member.value.as_bytes()).unwrap())
    };
    let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
    let counts =
        |usage: &Json| usage.as_object().is_some_and(|all| all.iter().all(|(_, n)| n.as_u64().is_some()));
    if member("id").is_some_and(|id| !id.as_str().is_some_and(is_id)) {
        return Err(Code::PlaintextDowngrade);
    }
    if member("usage").is_some_and(|usage| !counts(&usage)) {
        return Err(Code::PlaintextDowngrade);
    }
    let opened = call.open_json(data, CHAT_RESPONSE).map_err(|reason| match reason.as_str() {
        "foreign" => Code::ForeignField,
        "reflected" => Code::ReflectedField,
        "authentication" => Code::AuthFailed,
        text if text.starts_with("not a message") => Code::NotCiphertext,
        _ => Code::MalformedEvent,
    })?;
    if opened.get("model").and_then(Json::as_str) == Some("sim-another-model") {
        return Err(Code::AnswerMixed);
    }
    opened.get("choices").cloned().ok_or(Code::MalformedEvent)
}
