//! From a plan to the body and headers of a request (protocols/venice.md 3.3, 3.4), with a check of the finished body before it is
//! handed out.

use super::answer::{AnswerOpener, AnswerOptions};
use super::request::{Plan, Relaxations};
use crate::crypto::{self, POINT_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::seal::ecies::{seal_field, sealed_hex_len};
use crate::wire::hex;
use crate::wire::json::{Json, write_string};

/// Sent in every request, whatever the caller wrote.
const FORCED: &str =
    "\"stream\":true,\"venice_parameters\":{\"enable_e2ee\":true,\"include_venice_system_prompt\":false}";
/// Hex characters of an envelope's ephemeral key and nonce.
const FRESH_HEX_LEN: usize = 2 * (65 + 12);

/// A sealed chat request: what to send, and what opens its answer.
pub(crate) struct SealedChat {
    /// The JSON body.
    pub(crate) body: Vec<u8>,
    /// Lowercase names and values of the headers that go with it.
    pub(crate) headers: [(&'static str, String); 3],
    /// Opens the answer to this request only.
    pub(crate) opener: AnswerOpener,
}

/// Seals a plan to the enclave's key. Takes from `rng` the response key (32 bytes), then for each message in order what
/// [`seal_field`] takes.
///
/// Errors: `invalid_point`, `random_failed`; `internal` when the finished body does not pass its check.
pub(crate) fn seal_chat(
    plan: &Plan,
    recipient: &[u8; POINT_LEN],
    relaxations: Relaxations,
    rng: &mut dyn SecureRandom,
) -> Result<SealedChat> {
    let response_key = crypto::secp256k1_generate(rng)?;
    let client_public = crypto::secp256k1_public_key(&response_key).ok_or(Code::Internal)?;
    let body = seal(plan, recipient, rng)?;
    let options = AnswerOptions {
        allow_whitespace_plaintext: relaxations.allow_whitespace_plaintext,
        request_sha256: crypto::sha256(&[&body]),
    };
    Ok(SealedChat {
        headers: [
            ("x-venice-tee-signing-algo", "ecdsa".to_owned()),
            ("x-venice-tee-client-pub-key", hex::encode(&client_public)),
            ("x-venice-tee-model-pub-key", hex::encode(recipient)),
        ],
        opener: AnswerOpener::for_key(response_key, options),
        body,
    })
}

/// The body of a request: clear members as the caller wrote them, every message text sealed under a key of its own.
pub(crate) fn seal(plan: &Plan, recipient: &[u8; POINT_LEN], rng: &mut dyn SecureRandom) -> Result<Vec<u8>> {
    let mut body = String::from("{");
    for (name, value) in &plan.clear {
        write_string(name, &mut body);
        body.push(':');
        body.push_str(value);
        body.push(',');
    }
    body.push_str("\"messages\":[");
    for (i, message) in plan.messages.iter().enumerate() {
        body.push_str(if i > 0 { ",{\"role\":" } else { "{\"role\":" });
        write_string(&message.role, &mut body);
        body.push_str(",\"content\":\"");
        seal_field(recipient, message.plaintext.as_bytes(), rng, &mut body)?;
        body.push_str("\"}");
    }
    body.push_str("],");
    body.push_str(FORCED);
    body.push('}');
    check_body(plan, &body).ok_or_else(|| Error::new(Code::Internal).at("check of the sealed body"))?;
    Ok(body.into_bytes())
}

/// Reads the finished body again and holds it against the plan: no member that was not planned, every text an envelope of the right
/// length, no ephemeral key or nonce twice. A defect above must not become a leak (protocols/venice.md 3.4 item 6).
pub(super) fn check_body(plan: &Plan, body: &str) -> Option<()> {
    let parsed = Json::parse(body.as_bytes()).ok()?;
    let members = parsed.as_object()?;
    let planned = plan.clear.iter().map(|(name, _)| name.as_str());
    let expected: Vec<&str> = planned.chain(["messages", "stream", "venice_parameters"]).collect();
    let found: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    if found != expected || parsed.get("model")?.as_str()? != plan.model {
        return None;
    }
    if parsed.get("stream")?.as_bool() != Some(true)
        || parsed.get("venice_parameters")?.get("enable_e2ee")?.as_bool() != Some(true)
    {
        return None;
    }
    let messages = parsed.get("messages")?.as_array()?;
    if messages.len() != plan.messages.len() {
        return None;
    }
    let mut fresh = Vec::with_capacity(messages.len());
    for (message, planned) in messages.iter().zip(&plan.messages) {
        let [(role_name, role), (content_name, content)] = message.as_object()? else { return None };
        let content = content.as_str()?;
        let is_envelope = content.len() == sealed_hex_len(planned.plaintext.len())
            && content.starts_with("04")
            && content.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if role_name != "role" || content_name != "content" || role.as_str()? != planned.role || !is_envelope
        {
            return None;
        }
        fresh.push(content.get(..FRESH_HEX_LEN)?);
    }
    fresh.sort_unstable();
    (!fresh.windows(2).any(|pair| matches!(pair, [a, b] if a == b))).then_some(())
}
