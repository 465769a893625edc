//! What does not authenticate says no more than that, wherever it was changed (threats T35): an answer's bytes give nobody a way to learn
//! what was almost right. One table over every scheme that opens something.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, dead_code)]

mod support;

use proveil_core::crypto::{secp256k1_generate, secp256k1_public_key};
use proveil_core::seal::ecies::{FieldOpener, seal_field};
use proveil_core::seal::gcm_stream::MessageKey;
use proveil_core::seal::{MessageCipher, hpke, oae};
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_core::{Code, Error, Result};
use support::TestRandom;
use zeroize::Zeroizing;

const PLAINTEXT: &[u8] = b"{\"content\":\"canary\"}";
/// Of a secp256k1 point and a nonce, before the ciphertext.
const ECIES_HEAD: usize = 65 + 12;

type Open = Box<dyn Fn(&[u8]) -> Result<()>>;

/// A scheme: a sealed value, where its iv (if it travels), ciphertext and tag begin, and how it is opened.
struct Scheme {
    name: &'static str,
    sealed: Vec<u8>,
    from: usize,
    open: Open,
}

fn schemes() -> Vec<Scheme> {
    let mut random = TestRandom(7, 0);
    let key = || Secret::<32>::take(&mut [9; 32]);

    let private = secp256k1_generate(&mut random).unwrap();
    let mut text = String::new();
    seal_field(&secp256k1_public_key(&private).unwrap(), PLAINTEXT, &mut random, &mut text).unwrap();
    let private = *private.expose();
    let ecies = move |sealed: &[u8]| {
        let mut opener = FieldOpener::new(Secret::take(&mut private.clone()));
        let text = hex::encode(sealed);
        opener.open_hex(text.as_bytes(), &mut Zeroizing::new(Vec::new())).map(|_| ())
    };

    let message = MessageKey::new(key().expose(), "id", [3; 12]).unwrap();
    let mut field = Vec::new();
    message.seal_at(0, PLAINTEXT, &mut random, &mut field).unwrap();
    let parts: Vec<&[u8]> = field[1..field.len() - 1].split(|byte| *byte == b':').collect();
    let start = String::from_utf8([&b"\""[..], parts[0], b":", parts[1], b":"].concat()).unwrap();
    let bytes = [parts[2], parts[3]].concat();
    let bytes = hex::decode(std::str::from_utf8(&bytes).unwrap()).unwrap();
    let fields = move |sealed: &[u8]| {
        let (iv, rest) = sealed.split_at(12);
        let text = format!("{start}{}:{}\"", hex::encode(iv), hex::encode(rest));
        message.open_at(0, text.as_bytes(), &mut Vec::new())
    };

    let mut requester = oae::Requester::new(key(), &mut random).unwrap();
    let mut responder = oae::Responder::new(key(), requester.header()).unwrap();
    let (header, mut sealer) = responder.answer(&mut random).unwrap();
    let mut online = Vec::new();
    sealer.seal_into(PLAINTEXT, true, &mut random, &mut online).unwrap();
    let request_header = *requester.header();
    requester.accept(&header).unwrap();
    let oae = move |sealed: &[u8]| {
        let listed = &mut support::Listed(request_header.to_vec());
        let mut requester = oae::Requester::new(Secret::take(&mut [9; 32]), listed)?;
        requester.accept(&header)?;
        requester.open_into(sealed, &mut Vec::new())
    };

    let server = Secret::<32>::take(&mut [5; 32]);
    let public = proveil_core::crypto::x25519_public_key(&server).unwrap();
    let (encapsulated, mut sender) = hpke::open_channel(&public, b"info", &mut random).unwrap();
    let mut channel = PLAINTEXT.to_vec();
    sender.seal(b"aad", &mut channel).unwrap();
    let hpke = move |sealed: &[u8]| {
        let key = Secret::<32>::take(&mut [5; 32]);
        let mut receiver = hpke::accept_channel(&key, &encapsulated, b"info")?;
        receiver.open(b"aad", &mut sealed.to_vec()).map(|_| ())
    };

    vec![
        Scheme {
            name: "ecies",
            sealed: hex::decode(&text).unwrap(),
            from: ECIES_HEAD - 12,
            open: Box::new(ecies),
        },
        Scheme { name: "gcm_stream", sealed: bytes, from: 0, open: Box::new(fields) },
        Scheme {
            name: "oae",
            from: online.len() - PLAINTEXT.len() - 16,
            sealed: online,
            open: Box::new(oae),
        },
        Scheme { name: "hpke", sealed: channel, from: 0, open: Box::new(hpke) },
    ]
}

/// Iv, ciphertext and tag: any bit of them gives the very same error, which does not name a place or a length.
#[test]
fn t35_one_error_for_any_change() {
    for Scheme { name, sealed, from, open } in schemes() {
        open(&sealed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let errors: Vec<Error> = (from * 8..sealed.len() * 8)
            .map(|bit| {
                let mut bad = sealed.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                open(&bad).unwrap_err()
            })
            .collect();
        assert!(errors.len() >= (PLAINTEXT.len() + 16) * 8, "{name}");
        let said = |error: &Error| (error.code(), format!("{error}"), format!("{error:?}"));
        let first = said(&errors[0]);
        assert_eq!(first.0, Code::AuthFailed, "{name}");
        assert!(errors.iter().all(|error| said(error) == first), "{name}");
        assert!(!first.2.contains("canary"), "{name}");
    }
}
