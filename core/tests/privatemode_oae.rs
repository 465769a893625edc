//! Online authenticated encryption: every case of its vector file by id (tests/vectors/privatemode/README.md), and how its streams end.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proveil_core::crypto::hmac_sha256;
use proveil_core::seal::{MessageCipher, oae};
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_core::{Code, Error};
use serde_json::Value;
use support::{Listed, TestRandom, bytes, expect, run_cases, secret, text};

fn said(error: Error) -> String {
    error.to_string()
}

#[test]
fn vectors() {
    run_cases("privatemode/oae.json", |case| {
        oae_keys(case)?;
        let shared = || secret(case, "shared_secret_hex");
        let mut requester =
            oae::Requester::new(shared(), &mut Listed(bytes(case, "request_header_hex"))).map_err(said)?;
        let mut responder = oae::Responder::new(shared(), requester.header()).map_err(said)?;
        let header = bytes(case, "response_header_hex");
        let (answered, mut sealer) = responder.answer(&mut Listed(header.clone())).map_err(said)?;
        expect("response header", answered.as_slice(), header.as_slice())?;
        requester.accept(&answered).map_err(said)?;

        let messages = case["messages"].as_array().unwrap();
        let mut counts = [0, 0];
        for message in messages {
            let request = text(message, "stream") == "request";
            expect("number", message["seq"].as_u64().unwrap(), counts[usize::from(request)])?;
            counts[usize::from(request)] += 1;
            let last = message["final"].as_bool().unwrap();
            let (plaintext, mut sealed) = (bytes(message, "plaintext_hex"), b"before".to_vec());
            let random = &mut Listed(bytes(message, "iv_hex"));
            let done = match (request, last) {
                (true, true) => requester.seal_last_into(&plaintext, random, &mut sealed),
                (true, false) => requester.seal_into(&plaintext, random, &mut sealed),
                (false, _) => sealer.seal_into(&plaintext, last, random, &mut sealed),
            };
            // The vector goes on after a stream's end to show that it is refused: a sealer refuses to make that message.
            if done.is_err() {
                expect("refused message", text(case, "expect"), "stream closed at the third delivery")?;
                continue;
            }
            expect("sealed", hex::encode(&sealed[6..]).as_str(), text(message, "sealed_hex"))?;
        }

        let given = |message: &Value| message["sealed_hex"].as_str().map(str::to_owned);
        let delivered: Vec<String> = match case["deliver"].as_array() {
            Some(list) => list.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
            None => messages.iter().filter_map(given).collect(),
        };
        let mut failed = None;
        for (number, message) in delivered.iter().enumerate() {
            let mut out = Vec::new();
            let message_bytes = hex::decode(message).unwrap();
            // The first delivery is the request; all vectors have one message of it.
            let opened = match number {
                0 => responder.request.open_into(&message_bytes, &mut out).map(|_| ()),
                _ => requester.open_into(&message_bytes, &mut out),
            };
            match opened {
                Ok(()) => {
                    let made = messages.iter().find(|made| text(made, "sealed_hex") == message).unwrap();
                    expect("opened", hex::encode(&out).as_str(), text(made, "plaintext_hex"))?;
                }
                Err(error) => {
                    expect("output", out.len(), 0)?;
                    failed = Some((number, error));
                    break;
                }
            }
        }
        let (place, code) = match text(case, "expect") {
            "ok" => (None, None),
            "authentication failed at the second delivery" => (Some(1), Some(Code::AuthFailed)),
            "authentication failed at the third delivery" => (Some(2), Some(Code::AuthFailed)),
            "stream closed at the third delivery" => (Some(2), Some(Code::AlreadyFinished)),
            other => return Err(format!("unknown expectation {other}")),
        };
        expect("place", failed.as_ref().map(|(number, _)| *number), place)?;
        expect("code", failed.map(|(_, error)| error.code()), code)?;
        responder.request.finish().map_err(said)?;
        // Sticky and repeatable.
        for _ in 0..2 {
            expect("finish", requester.finish().err().map(|error| error.code()), code)?;
        }
        Ok(())
    });
}

/// The keys of a case by RFC 5869 on HMAC alone.
fn oae_keys(case: &Value) -> Result<(), String> {
    let (salt, answer) = (bytes(case, "request_header_hex"), bytes(case, "response_header_hex"));
    let prk = hmac_sha256(&salt, &[&bytes(case, "shared_secret_hex")]);
    expect("prk", hex::encode(&prk).as_str(), text(case, "exchange_prk_hex"))?;
    let request = hmac_sha256(&prk, &[b"privatemode oae request key\0", &[1]]);
    expect("request key", hex::encode(&request).as_str(), text(case, "request_key_hex"))?;
    let response = hmac_sha256(&prk, &[b"privatemode oae response key\0", &answer, &[1]]);
    expect("response key", hex::encode(&response).as_str(), text(case, "response_key_hex"))
}

#[test]
fn streams_end_once() {
    let mut random = TestRandom(2, 0);
    let shared = || Secret::take(&mut [9; 32]);
    let mut requester = oae::Requester::new(shared(), &mut random).unwrap();
    let mut responder = oae::Responder::new(shared(), requester.header()).unwrap();
    let code = |result: Result<(), Error>| result.unwrap_err().code();
    assert_eq!(code(requester.open_into(&[0; 40], &mut Vec::new())), Code::OutOfOrder);
    assert_eq!(code(requester.finish()), Code::Truncated);

    let (header, mut sealer) = responder.answer(&mut random).unwrap();
    assert_eq!(responder.answer(&mut random).err().map(|e| e.code()), Some(Code::AlreadyFinished));
    requester.accept(&header).unwrap();
    assert_eq!(code(requester.accept(&header)), Code::AlreadyFinished, "a second answer (T32)");

    let mut message = Vec::new();
    sealer.seal_into(b"event", false, &mut random, &mut message).unwrap();
    let mut out = Vec::new();
    requester.open_into(&message, &mut out).unwrap();
    assert_eq!(out, b"event");
    assert_eq!((code(requester.finish()), code(requester.finish())), (Code::Truncated, Code::Truncated));

    let mut last = Vec::new();
    sealer.seal_into(b"", true, &mut random, &mut last).unwrap();
    let refused = sealer.seal_into(b"more", false, &mut random, &mut last);
    assert_eq!((code(refused), last.len()), (Code::AlreadyFinished, oae::MESSAGE_MIN_BYTES));
    // Every cut and every changed bit ends the stream for good, and leaves nothing behind.
    for bad in damaged(&last) {
        let mut requester = oae::Requester::new(shared(), &mut TestRandom(2, 0)).unwrap();
        requester.accept(&header).unwrap();
        requester.open_into(&message, &mut Vec::new()).unwrap();
        let mut out = Vec::new();
        let error = requester.open_into(&bad, &mut out).unwrap_err();
        assert!(matches!(error.code(), Code::AuthFailed | Code::NotCiphertext), "{error}");
        assert!(out.is_empty());
        assert_eq!(requester.open_into(&last, &mut out).unwrap_err(), error, "sticky");
        assert_eq!(requester.finish().unwrap_err(), error);
    }
    requester.open_into(&last, &mut out).unwrap();
    requester.finish().unwrap();
    assert_eq!(code(requester.open_into(&last, &mut out)), Code::AlreadyFinished);
}

/// Every cut and every changed bit.
fn damaged(message: &[u8]) -> Vec<Vec<u8>> {
    let cuts = (0..message.len()).map(|length| message[..length].to_vec());
    let bits = (0..message.len() * 8).map(|bit| {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    cuts.chain(bits).collect()
}
