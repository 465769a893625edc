//! `POST /chat/completions` of a simulated provider: header and error rules, opening of sealed fields, the answer (venice.md 3.3,
//! 3.4, 9.4).

use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::config::{Shape, SignatureHash};
use super::defect::Defect;
use super::envelope::{self, OpenError};
use super::flood::Head;
use super::models::{self, Model};
use super::record::OpenedMessage;
use super::reply::{Piece, Reply};
use super::server::{Headers, Shared};
use super::signature::Signed;
use super::stream::Streamed;
use super::{text, tools};
use crate::forge::{EnclaveKey, object, string};

/// Most choices of one request.
const MAX_CHOICES: u64 = 8;

/// Top-level members that Venice accepts; others are answered with 400 (venice.md 1.3).
const KNOWN_MEMBERS: [&str; 27] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "stop",
    "stop_token_ids",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
    "user",
    "venice_parameters",
];

/// The E2EE headers of a request, as far as they are present.
struct E2eeHeaders<'a> {
    algorithm: Option<&'a str>,
    client_key: Option<&'a str>,
    model_key: Option<&'a str>,
}

impl<'a> E2eeHeaders<'a> {
    fn of(headers: &'a Headers) -> Option<E2eeHeaders<'a>> {
        let found = E2eeHeaders {
            algorithm: headers.get("x-venice-tee-signing-algo"),
            client_key: headers.get("x-venice-tee-client-pub-key"),
            model_key: headers.get("x-venice-tee-model-pub-key"),
        };
        let any = found.algorithm.or(found.client_key).or(found.model_key);
        any.map(|_| found)
    }
}

/// A request that was understood.
struct Chat<'a> {
    model: &'static Model,
    request: &'a Json,
    /// Messages in clear: opened, or as received.
    messages: Vec<OpenedMessage>,
    /// The request as the enclave passes it on: with opened contents.
    restored: Json,
    client_key: Option<Vec<u8>>,
    key: EnclaveKey,
}

/// The answer to a chat request, and what the enclave opened.
pub(super) fn respond(
    shared: &Shared,
    headers: &Headers,
    body: &[u8],
) -> (Reply, Option<Vec<OpenedMessage>>) {
    if let Some(reply) = http_defect(shared) {
        return (reply, None);
    }
    let request = match Json::parse(body) {
        Ok(request @ Json::Object(_)) => request,
        _ => return (Reply::error(400, "Invalid request body"), None),
    };
    match understand(shared, headers, &request) {
        Ok(chat) => {
            let opened = chat.client_key.is_some().then(|| chat.messages.clone());
            (answer(shared, &chat, body), opened)
        }
        Err(reply) => (reply, None),
    }
}

fn http_defect(shared: &Shared) -> Option<Reply> {
    const PAGE: &str = "<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1>\
         <script>alert(1)</script>\x1b]0;owned\x07\x1b[31mred\x1b[0m</body></html>";
    let has = |defect| shared.has(defect);
    if has(Defect::RateLimited) {
        return Some(Reply::error(429, "Rate limit exceeded").header("retry-after", "1"));
    }
    if has(Defect::PaymentRequired) {
        return Some(Reply::error(402, "Insufficient USD or Diem balance to complete request"));
    }
    if has(Defect::Unavailable) {
        return Some(Reply::error(503, "The model is at capacity"));
    }
    if has(Defect::HttpErrorHtml) {
        return Some(Reply::new(502, "text/html; charset=utf-8", PAGE.as_bytes().to_vec()));
    }
    if has(Defect::Redirect) {
        return Some(Reply::json(307, "{}").header("location", "/elsewhere"));
    }
    None
}

fn understand<'a>(shared: &Shared, headers: &Headers, request: &'a Json) -> Result<Chat<'a>, Reply> {
    let members = request.as_object().unwrap_or_default();
    if let Some((unknown, _)) = members.iter().find(|(name, _)| !KNOWN_MEMBERS.contains(&name.as_str())) {
        return Err(Reply::error(400, &format!("Unrecognized key(s) in object: '{unknown}'")));
    }
    let id = request.get("model").and_then(Json::as_str).unwrap_or_default();
    let base_id = id.split(':').next().unwrap_or_default();
    let model = models::find(base_id)
        .ok_or_else(|| Reply::error(404, &format!("Specified model {base_id:?} not found")))?;
    let messages = request.get("messages").and_then(Json::as_array).unwrap_or_default();
    if messages.is_empty() {
        return Err(Reply::error(400, "messages must not be empty"));
    }
    let disabled = request
        .get("venice_parameters")
        .and_then(|parameters| parameters.get("enable_e2ee"))
        .and_then(Json::as_bool)
        == Some(false);
    let headers = E2eeHeaders::of(headers).filter(|_| !disabled);
    let mut chat = Chat {
        model,
        request,
        messages: Vec::new(),
        restored: request.clone(),
        client_key: None,
        key: shared.chat_key(model.id),
    };
    match headers {
        Some(headers) => open_sealed(shared, &headers, messages, &mut chat)?,
        None => {
            chat.messages = messages.iter().map(|message| opened(message, &content_text(message))).collect()
        }
    }
    Ok(chat)
}

fn open_sealed(
    shared: &Shared,
    headers: &E2eeHeaders<'_>,
    messages: &[Json],
    chat: &mut Chat<'_>,
) -> Result<(), Reply> {
    let aci = shared.config.shape == Shape::Aci;
    let fail = |kind: &str, text: &str| {
        if aci { Reply::typed_error(400, kind, text) } else { Reply::error(400, text) }
    };
    if !chat.model.e2ee {
        return Err(fail("e2ee_unsupported_endpoint", "The model does not support E2EE"));
    }
    if headers.algorithm.is_none_or(|algorithm| !algorithm.eq_ignore_ascii_case("ecdsa")) {
        return Err(fail("e2ee_invalid_signing_algo", "Unsupported signing algorithm"));
    }
    let client_key = headers
        .client_key
        .filter(|text| text.len() == 130 && !text.starts_with("0x"))
        .and_then(|text| const_hex::decode(text).ok())
        .filter(|point| envelope::parse_point(point).is_some())
        .ok_or_else(|| fail("e2ee_invalid_public_key", "Invalid public key"))?;
    let ours = const_hex::encode(chat.key.public_point());
    match headers.model_key {
        None => return Err(fail("e2ee_header_missing", "X-Venice-TEE-Model-Pub-Key is missing")),
        Some(key) if !key.eq_ignore_ascii_case(&ours) => {
            // A NEAR node does not look at the header and fails to open; a Phala gateway compares.
            return Err(if aci {
                fail("e2ee_model_key_mismatch", "X-Model-Pub-Key does not match this ACI service")
            } else {
                fail("e2ee_decryption_failed", "Failed to decrypt field")
            });
        }
        Some(_) => (),
    }
    if chat.request.get("stream").and_then(Json::as_bool) != Some(true) {
        return Err(fail("invalid_request_error", "E2EE requires streaming"));
    }
    let private = chat.key.private_bytes();
    let mut restored = Vec::new();
    for message in messages {
        let mut copy = message.clone();
        if let Some(field) = message.get("content").and_then(Json::as_str) {
            let text = if field.is_empty() && !aci { Ok(String::new()) } else { open_text(&private, field) };
            let text = text.map_err(|error| fail("e2ee_decryption_failed", &error.to_string()))?;
            chat.messages.push(opened(message, &text));
            set_content(&mut copy, &text);
        } else {
            chat.messages.push(opened(message, &content_text(message)));
        }
        restored.push(copy);
    }
    if let Json::Object(members) = &mut chat.restored {
        members
            .iter_mut()
            .filter(|(name, _)| name == "messages")
            .for_each(|(_, value)| *value = Json::Array(restored.clone()));
    }
    chat.client_key = Some(client_key);
    Ok(())
}

fn open_text(private: &[u8; 32], field: &str) -> Result<String, OpenError> {
    String::from_utf8(envelope::open(private, field)?).map_err(|_| OpenError::Failed)
}

/// Both servers turn a decrypted JSON array back into content parts (venice.md 3.4).
fn set_content(message: &mut Json, text: &str) {
    let value = match Json::parse(text.as_bytes()) {
        Ok(parts @ Json::Array(_)) => parts,
        _ => string(text),
    };
    if let Json::Object(members) = message {
        members.iter_mut().filter(|(name, _)| name == "content").for_each(|(_, old)| *old = value.clone());
    }
}

fn opened(message: &Json, content: &str) -> OpenedMessage {
    let role = message.get("role").and_then(Json::as_str).unwrap_or_default();
    OpenedMessage { role: role.to_owned(), content: content.to_owned() }
}

fn content_text(message: &Json) -> String {
    match message.get("content") {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Json::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

/// Text of the last message from the user, parts joined.
fn question(chat: &Chat<'_>) -> String {
    let messages = chat.restored.get("messages").and_then(Json::as_array).unwrap_or_default();
    let is_user = |message: &&Json| message.get("role").and_then(Json::as_str) == Some("user");
    messages.iter().rfind(is_user).map(content_text).unwrap_or_default()
}

fn answer(shared: &Shared, chat: &Chat<'_>, body: &[u8]) -> Reply {
    let mut random = shared.random();
    let defects = shared.defects();
    let id = format!("chatcmpl-{}", const_hex::encode(random.bytes::<8>()));
    let asked = chat.request.get("n").and_then(Json::as_u64).unwrap_or(1).clamp(1, MAX_CHOICES);
    let choices = if defects.contains(&Defect::SeveralChoices) { asked.max(2) } else { asked };
    let question = question(chat);
    let sealed = chat.client_key.is_some();
    let call = tools::call(&chat.messages, &question);
    let about = tools::result(&question).unwrap_or(&question);
    let answers: Vec<text::Answer> = (0..choices)
        .map(|choice| {
            let variant = u8::try_from(choice).unwrap_or(0);
            let answer = text::answer(about, chat.model.reasoning, variant, sealed);
            text::Answer { content: call.clone().unwrap_or(answer.content), ..answer }
        })
        .collect();
    let length = |name| chat.request.get(name).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let usage = usage(chat, &answers);
    if chat.request.get("stream").and_then(Json::as_bool) != Some(true) {
        return buffered(&id, chat, &answers, usage, shared.world.now);
    }
    let with_usage = chat
        .request
        .get("stream_options")
        .and_then(|options| options.get("include_usage"))
        .and_then(Json::as_bool)
        == Some(true);
    if let Some((flood, flooded)) = shared.flooding() {
        let head = Head { id, model: chat.model.id, created: shared.world.now, key: chat.client_key.clone() };
        return flood.answer(head, random, &flooded);
    }
    let wire = Streamed {
        id: &id,
        model: chat.model.id,
        created: shared.world.now,
        client_key: chat.client_key.as_deref(),
        answers: &answers,
        usage: with_usage.then_some(usage),
        max_tokens: length("max_completion_tokens").or_else(|| length("max_tokens")),
        pace_ms: shared.config.pace_ms,
        defects: &defects,
    }
    .to_wire(&mut random);
    if chat.model.attested {
        shared.keep_signature(signed(shared, chat, &id, body, &wire.bytes));
    }
    let mut pieces = wire.pieces;
    if defects.contains(&Defect::SlowStart) {
        pieces.insert(0, Piece::Pause(shared.config.slow_start_ms));
    }
    if defects.contains(&Defect::GzipBody) {
        return Reply::new(200, "text/event-stream", gzip(&wire.bytes)).header("content-encoding", "gzip");
    }
    let reply = Reply::stream(pieces);
    let reply = match shared.take_hold() {
        Some((after, hold)) => reply.hold_after(after, hold),
        None => reply,
    };
    if defects.contains(&Defect::WrongContentType) {
        reply.header("content-type", "application/json")
    } else {
        reply
    }
}

fn signed(shared: &Shared, chat: &Chat<'_>, id: &str, body: &[u8], response: &[u8]) -> Signed {
    let (request_hash, response_hash) = match shared.config.signature_hash {
        SignatureHash::Exact => (Sha256::digest(body), Sha256::digest(response)),
        // What the enclave saw and sent before Venice wrote both anew.
        SignatureHash::Reserialized => (
            Sha256::digest(chat.restored.to_compact()),
            Sha256::new().chain_update(": upstream\n\n").chain_update(response).finalize(),
        ),
    };
    Signed {
        id: id.to_owned(),
        model: chat.model,
        key: chat.key.clone(),
        request_hash: request_hash.into(),
        response_hash: response_hash.into(),
    }
}

fn usage(chat: &Chat<'_>, answers: &[text::Answer]) -> Json {
    let prompt: usize = chat.messages.iter().map(|message| text::tokens(&message.content).len()).sum();
    let completion: usize = answers.iter().map(|answer| text::tokens(&answer.content).len()).sum();
    let count = |n: usize| Json::Number(u64::try_from(n).unwrap_or(0).into());
    object([
        ("prompt_tokens", count(prompt)),
        ("completion_tokens", count(completion)),
        ("total_tokens", count(prompt.saturating_add(completion))),
    ])
}

/// The answer of the plaintext path to a request that does not stream.
fn buffered(id: &str, chat: &Chat<'_>, answers: &[text::Answer], usage: Json, created: u64) -> Reply {
    let choices = (0u64..).zip(answers).map(|(index, answer)| {
        let message = object([("role", string("assistant")), ("content", string(answer.content.as_str()))]);
        object([
            ("index", Json::Number(index.into())),
            ("message", message),
            ("finish_reason", string("stop")),
        ])
    });
    let body = object([
        ("id", string(id)),
        ("object", string("chat.completion")),
        ("created", Json::Number(created.into())),
        ("model", string(chat.model.id)),
        ("choices", Json::Array(choices.collect())),
        ("usage", usage),
    ]);
    Reply::json(200, &body.to_compact())
}

/// A gzip file with stored blocks (RFC 1951 3.2.4, RFC 1952): enough to be well-formed.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let mask = if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            (crc >> 1) ^ mask
        })
    });
    out.extend((!crc).to_le_bytes());
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_of_known_text() {
        // CRC-32 of "123456789" is cbf43926 (the algorithm's published check value).
        let file = gzip(b"123456789");
        assert_eq!(const_hex::encode(&file[file.len() - 8..]), "2639f4cb09000000");
        assert_eq!(const_hex::encode(&file[10..15]), "010900f6ff");
    }
}
