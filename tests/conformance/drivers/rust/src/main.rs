//! Conformance driver for Rust: see `tests/conformance/protocol.md`.

#![allow(clippy::print_stdout, reason = "the protocol is spoken on standard output")]

use std::io::{BufRead, Write};
use std::process::ExitCode;

use proveil_core::crypto::SecureRandom;
use proveil_core::endpoint::{Event, Opener, Receipt};
use proveil_core::http::ResponseHead;
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_core::{Code, Error, Result, provider};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return ExitCode::FAILURE };
        let Ok(call) = serde_json::from_str::<Value>(&line) else { return ExitCode::FAILURE };
        let mut answer = answer(&call);
        if let (Some(members), Some(id)) = (answer.as_object_mut(), call.get("id")) {
            members.insert("id".to_owned(), id.clone());
        }
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn answer(call: &Value) -> Value {
    let args: Vec<&str> =
        call.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut delivered = Vec::new();
    let result = match (call.get("verb").and_then(Value::as_str), args.as_slice()) {
        (Some("inspect"), [kind, text]) => inspect(kind, text),
        (Some("open_field"), [key, field]) => open_field(key, field),
        (Some("seal_field"), [key, plaintext]) => seal_field(key, plaintext),
        (Some("open_stream"), [key, flag, status, content_type, pieces @ ..]) => {
            open_stream(key, flag, status, content_type, pieces, &mut delivered)
        }
        _ => Err(Error::new(Code::InvalidArgument).at("verb")),
    };
    match result {
        Ok(ok) => json!({ "ok": ok }),
        Err(error) => {
            json!({"error": {"slug": error.slug(), "delivered": flat(&delivered), "found": error.found_value()}})
        }
    }
}

fn inspect(kind: &str, text: &str) -> Result<Value> {
    let shown = provider::inspect(kind, text.as_bytes())?;
    serde_json::from_str(&shown).map_err(|_| Error::new(Code::Internal).at("inspect"))
}

fn open_field(key: &str, field: &str) -> Result<Value> {
    provider::open_field(secret(key)?, field).map(|text| hex::encode(text.as_bytes()).into())
}

fn seal_field(key: &str, plaintext: &str) -> Result<Value> {
    provider::seal_field(&bytes(key)?, &bytes(plaintext)?, &mut System).map(Value::from)
}

fn open_stream(
    key: &str,
    flag: &str,
    status: &str,
    content_type: &str,
    pieces: &[&str],
    events: &mut Vec<Event>,
) -> Result<Value> {
    let mut opener: Opener = provider::opener_for_key(secret(key)?, flag == "allow_whitespace_plaintext")?;
    let status = status.parse().map_err(|_| Error::new(Code::InvalidArgument).at("status"))?;
    opener.head(&ResponseHead::new(status, [("content-type".to_owned(), content_type.to_owned())]))?;
    for piece in pieces {
        opener.push(&bytes(piece)?, events)?;
    }
    let receipt: Receipt = opener.finish(events)?;
    let receipt = json!({
        "id": receipt.id,
        "sealed_fields": receipt.sealed_fields,
        "body_bytes": receipt.body_bytes,
        "ignored_bytes": receipt.ignored_bytes,
        "response_sha256": hex::encode(&receipt.response_sha256),
    });
    Ok(json!({ "events": flat(events), "receipt": receipt }))
}

fn flat(events: &[Event]) -> Value {
    let flat = events.iter().map(|event| match event {
        Event::Text { choice, field, text } => json!([field.name(), choice, text]),
        Event::Finish { choice, reason } => json!(["finish", choice, reason]),
        Event::Usage { json } => json!(["usage", 0, json]),
        Event::Document { json, .. } => json!(["document", 0, json]),
    });
    flat.collect()
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    hex::decode(text).ok_or_else(|| Error::new(Code::InvalidArgument).expected("hex"))
}

fn secret(text: &str) -> Result<Secret<32>> {
    let mut key = <[u8; 32]>::try_from(bytes(text)?)
        .map_err(|_| Error::new(Code::InvalidArgument).at("private_key"))?;
    Ok(Secret::take(&mut key))
}

/// The operating system's random source.
struct System;

impl SecureRandom for System {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|_| Error::new(Code::RandomFailed))
    }
}
