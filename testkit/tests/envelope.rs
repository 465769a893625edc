//! The simulator's own envelope against the shared vectors: every case opens, and sealing with the case's ephemeral key and nonce
//! gives the case's bytes.

#![allow(clippy::unwrap_used)]

use proveil_core::wire::json::Json;
use proveil_testkit::forge::{EnclaveKey, Random};
use proveil_testkit::sim::envelope::{OVERHEAD, OpenError, open, seal, seal_with};

const VECTORS: &[u8] = include_bytes!("../../tests/vectors/venice/fields_ecdsa.json");

fn bytes<const N: usize>(case: &Json, member: &str) -> [u8; N] {
    const_hex::decode_to_array(text(case, member)).unwrap()
}

fn text<'a>(case: &'a Json, member: &str) -> &'a str {
    case.get(member).and_then(Json::as_str).unwrap()
}

#[test]
fn shared_vectors() {
    let set = Json::parse(VECTORS).unwrap();
    let cases = set.get("cases").and_then(Json::as_array).unwrap();
    assert!(cases.len() >= 23);
    for case in cases {
        let id = text(case, "id");
        let private: [u8; 32] = bytes(case, "recipient_private_key");
        let field = text(case, "field_hex");
        let plaintext = open(&private, field).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(plaintext, text(case, "plaintext").as_bytes(), "{id}");
        let public: [u8; 65] = bytes(case, "recipient_public_key");
        let sealed =
            seal_with(&bytes(case, "ephemeral_private_key"), &bytes(case, "nonce"), &public, &plaintext)
                .unwrap();
        assert_eq!(sealed, field.to_lowercase(), "{id}");
    }
}

#[test]
fn refusals() {
    let mut random = Random::from_seed([3; 32]);
    let key = EnclaveKey::generate(&mut random);
    let private = key.private_bytes();
    let sealed = seal(&key.public_point(), b"secret", &mut random).unwrap();
    assert_eq!(open(&private, &sealed).unwrap(), b"secret");
    assert_eq!(seal(&key.public_point(), b"", &mut random).unwrap().len(), OVERHEAD * 2);
    assert_ne!(
        sealed,
        seal(&key.public_point(), b"secret", &mut random).unwrap(),
        "fresh keys for each field (T29)"
    );
    assert!(seal(&[4; 65], b"x", &mut random).is_none());
    let mut flipped = sealed.clone();
    let last = if flipped.ends_with('0') { '1' } else { '0' };
    flipped.pop();
    flipped.push(last);
    let off_curve = format!("04{}{}", "11".repeat(64), &sealed[130..]);
    let cases = [
        ("clear text".to_owned(), OpenError::NotHex),
        ("abc".to_owned(), OpenError::NotHex),
        (format!("0x{sealed}"), OpenError::NotHex),
        ("04ff".to_owned(), OpenError::NotAnEnvelope),
        (off_curve, OpenError::NotAnEnvelope),
        (flipped, OpenError::Failed),
    ];
    for (field, expected) in cases {
        assert_eq!(open(&private, &field), Err(expected), "{}", &field[..field.len().min(40)]);
    }
    let stranger = EnclaveKey::generate(&mut random).private_bytes();
    assert_eq!(open(&stranger, &sealed), Err(OpenError::Failed));
}
