//! Single fields, exchanges and messages, and the exchange of the secret (protocols/privatemode.md 4.1, 5.1, 5.2).

use super::Given;
use crate::crypto::{self, XWING_ENCAPSULATED_LEN};
use crate::error::{Code, Error, Result};
use crate::provider::inspect_input::{Input, Members, hex_member, member, value_member};
use crate::seal::MessageCipher;
use crate::seal::gcm_stream::{FieldCipher, MessageKey};
use crate::seal::hpke::secret_id;
use crate::seal::oae as messages;
use crate::secret::Secret;
use crate::wire::hex;
use crate::wire::json::Json;

/// Longest text that can be asked of the exporter, in bytes.
const EXPORT_MAX_BYTES: u64 = 4096;

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(Code::Internal))
}

pub(super) fn field(input: &Input<'_>) -> Result<Members> {
    let key = MessageKey::new(&input.bytes("key")?, input.text("secret_id")?, input.array("nonce")?)?;
    let counter = u32::try_from(input.number("counter")?)
        .map_err(|_| Error::new(Code::InvalidArgument).at("counter").expected("an integer below 2^32"))?;
    let mut out = Vec::new();
    if input.has("message") {
        key.open_at(counter, input.text("message")?.as_bytes(), &mut out)?;
        return Ok(vec![hex_member("plaintext", &out)]);
    }
    let iv = input.array::<12>("iv")?;
    key.seal_at(counter, &input.bytes("plaintext")?, &mut Given(&iv), &mut out)?;
    Ok(vec![member("message", text(out)?)])
}

/// An exchange with the key, id and nonce of the caller's.
pub(super) fn cipher(input: &Input<'_>) -> Result<FieldCipher> {
    let nonce = input.array::<12>("nonce")?;
    FieldCipher::new(&input.secret("key")?, input.text("secret_id")?, &mut Given(&nonce))
}

pub(super) fn session(input: &Input<'_>) -> Result<Members> {
    let mut cipher = cipher(input)?;
    let mut results = Vec::new();
    for step in input.objects("steps")? {
        let result = if step.has("message") {
            cipher.open(step.text("message")?.as_bytes()).map(|plaintext| hex_member("plaintext", &plaintext))
        } else {
            let (plaintext, iv) = (step.bytes("plaintext")?, step.array::<12>("iv")?);
            cipher.seal(&plaintext, &mut Given(&iv)).map(|sealed| member("message", sealed))
        };
        results.push(outcome(result));
    }
    Ok(vec![
        value_member("results", Json::Array(results)),
        value_member("sealed_fields", Json::Number(cipher.sealed_fields().into())),
        value_member("opened_fields", Json::Number(cipher.opened_fields().into())),
    ])
}

/// The result of one step, or its error by name.
fn outcome(result: Result<(String, Json)>) -> Json {
    Json::Object(vec![result.unwrap_or_else(|error| member("error", error.slug()))])
}

fn finished(result: Result<()>) -> Json {
    result.map_or_else(|error| Json::String(error.slug().to_owned()), |()| Json::Null)
}

/// True for `request`, false for `response`.
fn is_request(step: &Input<'_>) -> Result<bool> {
    match step.text("stream")? {
        "request" => Ok(true),
        "response" => Ok(false),
        other => {
            Err(Error::new(Code::InvalidArgument).at("stream").expected("request or response").found(other))
        }
    }
}

pub(super) fn oae(input: &Input<'_>) -> Result<Members> {
    let (asked, answered) = (input.array::<32>("request_header")?, input.array::<32>("response_header")?);
    let mut requester = messages::Requester::new(input.secret("secret")?, &mut Given(&asked))?;
    let mut responder = messages::Responder::new(input.secret("secret")?, requester.header())?;
    let (header, mut sealer) = responder.answer(&mut Given(&answered))?;
    requester.accept(&header)?;

    let mut sealed = Vec::new();
    for step in input.objects("messages")? {
        let (plaintext, iv, last) = (step.bytes("plaintext")?, step.array::<12>("iv")?, step.flag("final")?);
        let (mut out, rng) = (Vec::new(), &mut Given(&iv));
        let done = match (is_request(&step)?, last) {
            (true, true) => requester.seal_last_into(&plaintext, rng, &mut out),
            (true, false) => requester.seal_into(&plaintext, rng, &mut out),
            (false, _) => sealer.seal_into(&plaintext, last, rng, &mut out),
        };
        sealed.push(outcome(done.map(|()| hex_member("message", &out))));
    }
    let mut opened = Vec::new();
    for step in input.objects("deliver")? {
        let (message, mut out) = (step.bytes("message")?, Vec::new());
        let done = if is_request(&step)? {
            responder.request.open_into(&message, &mut out).map(drop)
        } else {
            requester.open_into(&message, &mut out)
        };
        opened.push(outcome(done.map(|()| hex_member("plaintext", &out))));
    }
    Ok(vec![
        value_member("sealed", Json::Array(sealed)),
        value_member("opened", Json::Array(opened)),
        value_member("request_end", finished(responder.request.finish())),
        value_member("response_end", finished(requester.finish())),
    ])
}

pub(super) fn secret_exchange(input: &Input<'_>) -> Result<Members> {
    let seed: Secret<32> = input.secret("private_seed")?;
    let public = crypto::xwing_public_key(&seed)?;
    let (info, context) = (input.bytes("info")?, input.bytes("exporter_context")?);
    let length = input.number("length")?;
    if length > EXPORT_MAX_BYTES {
        return Err(Error::new(Code::InvalidArgument)
            .at("length")
            .expected(format!("<= {EXPORT_MAX_BYTES}")));
    }
    let mut exported = vec![0; usize::try_from(length).unwrap_or_default()];
    let mut members = vec![hex_member("public_key", &public), member("secret_id", secret_id(&public))];
    let encapsulated = match input.optional_bytes("encapsulation_seed")? {
        // As a server: what it sends, and what it exports.
        Some(random) => {
            let made = crypto::xwing_send(&public, &info, &context, &mut exported, &mut Given(&random))?;
            members.push(hex_member("server_exported", &exported));
            made
        }
        None => input.array::<XWING_ENCAPSULATED_LEN>("encapsulated_key")?,
    };
    crypto::xwing_receive(&seed, &encapsulated, &info, &context, &mut exported)?;
    members.push(hex_member("encapsulated_key", &encapsulated));
    members.push(member("exported", hex::encode(&exported)));
    Ok(members)
}
