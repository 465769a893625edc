//! A small strict client for the simulator, independent of the core's: what it makes of an answer is what
//! [`proveil_testkit::sim::Defect::outcome`] promises.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use proveil_core::error::Code;
use proveil_core::wire::json::Json;
use proveil_testkit::forge::{EnclaveKey, Random};
use proveil_testkit::sim::{Defect, SimConfig, Simulator, envelope};

pub const NOW: u64 = 1_790_000_000;
pub const NONCE: &str = "a7b301a1a87ab0c23d9ceba884011d10423e5f5093e00fd00a642861a317fc1b";
pub const PROMPT: &str = "What is remote attestation? CANARY-7f3a";

/// A simulator with a fixed seed and time, two GPUs and no waiting.
pub fn config(defects: &[Defect]) -> SimConfig {
    SimConfig {
        seed: Some([5; 32]),
        now: Some(NOW),
        gpus: 2,
        slow_start_ms: 1,
        defects: defects.to_vec(),
        ..SimConfig::default()
    }
}

pub fn client() -> reqwest::Client {
    // Only plain HTTP is used, but together with the client's TLS features reqwest wants a provider; one may be there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// An answer as it came over the wire.
pub struct Raw {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
    /// Pieces in which the body came.
    pub reads: usize,
    /// True when the connection broke.
    pub broke: bool,
}

impl Raw {
    pub fn json(&self) -> Json {
        Json::parse(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Raw {
    let mut response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut raw = Raw { status, headers, body: Vec::new(), reads: 0, broke: false };
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => {
                raw.reads += 1;
                raw.body.extend_from_slice(&bytes);
            }
            Ok(None) => return raw,
            Err(_) => {
                raw.broke = true;
                return raw;
            }
        }
    }
}

pub async fn get(url: &str) -> Raw {
    receive(client().get(url).header("authorization", "Bearer test-key")).await
}

pub async fn attest(sim: &Simulator, model: &str) -> Raw {
    get(&format!("{}/tee/attestation?model={model}&nonce={NONCE}", sim.base_url())).await
}

/// One chat with keys of its own.
pub struct Chat {
    pub key: EnclaveKey,
    pub body: String,
    pub model_key: String,
}

impl Chat {
    /// Seals `PROMPT` to `enclave` (65 bytes).
    pub fn new(model: &str, enclave: &[u8], seed: u8) -> Chat {
        let mut random = Random::from_seed([seed; 32]);
        let field = envelope::seal(enclave, PROMPT.as_bytes(), &mut random).unwrap();
        let body = format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{field}\"}}],\"stream\":true,\
             \"stream_options\":{{\"include_usage\":true}},\"venice_parameters\":{{\"enable_e2ee\":true}}}}"
        );
        Chat { key: EnclaveKey::generate(&mut random), body, model_key: const_hex::encode(enclave) }
    }

    pub fn request(&self, sim: &Simulator) -> reqwest::RequestBuilder {
        client()
            .post(format!("{}/chat/completions", sim.base_url()))
            .header("authorization", "Bearer test-key")
            .header("content-type", "application/json")
            .header("X-Venice-TEE-Signing-Algo", "ecdsa")
            .header("X-Venice-TEE-Client-Pub-Key", const_hex::encode(self.key.public_point()))
            .header("X-Venice-TEE-Model-Pub-Key", &self.model_key)
            .body(self.body.clone())
    }

    pub async fn send(&self, sim: &Simulator) -> Raw {
        receive(self.request(sim)).await
    }
}

/// What a finished answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub id: String,
    /// Per choice: reasoning, content.
    pub choices: BTreeMap<u64, (String, String)>,
    pub finish: BTreeMap<u64, String>,
    pub has_usage: bool,
}

/// Opens an answer strictly (venice.md 3.8 and 4), or says why not.
pub fn open_answer(raw: &Raw, key: &EnclaveKey) -> Result<Opened, Code> {
    match raw.status {
        200 => (),
        300..=399 => return Err(Code::RedirectRefused),
        402 => return Err(Code::UpstreamPayment),
        429 => return Err(Code::UpstreamRateLimited),
        400 => return Err(Code::StaleKey),
        _ => return Err(Code::UpstreamUnavailable),
    }
    if raw.headers.contains_key("content-encoding") {
        return Err(Code::ContentEncoding);
    }
    if !raw.header("content-type").starts_with("text/event-stream") {
        return Err(Code::UnexpectedContentType);
    }
    let text = std::str::from_utf8(&raw.body).map_err(|_| Code::MalformedEvent)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut opened = Opened::default();
    let mut bytes: BTreeMap<(u64, &'static str), Vec<u8>> = BTreeMap::new();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split_terminator('\n') {
        if line.len() > 1024 * 1024 {
            return Err(Code::LimitExceeded);
        }
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        } else if line.is_empty() && !data.is_empty() {
            let event = std::mem::take(&mut data).join("\n");
            if event == "[DONE]" {
                for ((choice, member), bytes) in bytes {
                    let text = String::from_utf8(bytes).map_err(|_| Code::InvalidUtf8)?;
                    let slot = opened.choices.entry(choice).or_default();
                    *(if member == "content" { &mut slot.1 } else { &mut slot.0 }) = text;
                }
                return Ok(opened);
            }
            take_event(&event, key, &mut opened, &mut bytes)?;
        }
    }
    Err(Code::Truncated)
}

fn take_event(
    event: &str,
    key: &EnclaveKey,
    opened: &mut Opened,
    bytes: &mut BTreeMap<(u64, &'static str), Vec<u8>>,
) -> Result<(), Code> {
    let json = Json::parse(event.as_bytes()).map_err(|_| Code::MalformedEvent)?;
    if json.get("error").is_some() {
        return Err(Code::UpstreamError);
    }
    let id = json.get("id").and_then(Json::as_str).unwrap_or_default();
    if !opened.id.is_empty() && opened.id != id {
        return Err(Code::AnswerMixed);
    }
    opened.id = id.to_owned();
    opened.has_usage |= json.get("usage").is_some();
    for choice in json.get("choices").and_then(Json::as_array).unwrap_or_default() {
        let index = choice.get("index").and_then(Json::as_u64).unwrap();
        if let Some(reason) = choice.get("finish_reason").and_then(Json::as_str) {
            opened.finish.insert(index, reason.to_owned());
        }
        let delta = choice.get("delta").unwrap();
        if delta.get("tool_calls").is_some() {
            return Err(Code::PlaintextDowngrade);
        }
        for member in ["content", "reasoning_content"] {
            let field = delta.get(member).and_then(Json::as_str).unwrap_or_default();
            if !field.is_empty() {
                bytes.entry((index, member)).or_default().extend(open_field(field, key)?);
            }
        }
    }
    Ok(())
}

fn open_field(field: &str, key: &EnclaveKey) -> Result<Vec<u8>, Code> {
    let raw = const_hex::decode(field).map_err(|_| Code::PlaintextDowngrade)?;
    if raw.len() < envelope::OVERHEAD || raw[0] != 4 {
        return Err(Code::PlaintextDowngrade);
    }
    if envelope::parse_point(&raw[..65]).is_none() {
        return Err(Code::InvalidPoint);
    }
    envelope::open(&key.private_bytes(), field).map_err(|_| Code::AuthFailed)
}
