//! Public keys and addresses in the forms that Venice and its back ends use (protocols/venice.md 2.4 steps 4 and 5).

use crate::crypto::{self, POINT_LEN};
use crate::error::{Code, Error, Result};
use crate::wire::hex;

/// Reads a secp256k1 key: hex in either case, `0x` optional, 65 bytes (`04`, x, y), 64 bytes (x, y) or 33 bytes (compressed).
/// Gives it uncompressed. Fails with `key_invalid`.
pub fn parse_key(text: &str) -> Result<[u8; POINT_LEN]> {
    let invalid = || Error::new(Code::KeyInvalid);
    // The longest form has 132 characters; nothing longer is decoded.
    let bytes =
        Some(text).filter(|text| text.len() <= 132).and_then(hex::decode_prefixed).ok_or_else(invalid)?;
    let point = match bytes.len() {
        64 => [&[4], bytes.as_slice()].concat(),
        _ => bytes,
    };
    crypto::secp256k1_parse(&point).ok_or_else(invalid)
}

/// Reads an ed25519 key: 32 bytes of hex, `0x` optional. There the "address" is the key itself. Fails with `key_invalid`.
pub fn parse_ed25519_key(text: &str) -> Result<[u8; 32]> {
    hex::decode_prefixed(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::new(Code::KeyInvalid))
}

/// The Ethereum-style address of a key: the last 20 bytes of Keccak-256 over x and y.
pub fn address_of(key: &[u8; POINT_LEN]) -> [u8; 20] {
    let coordinates = key.split_first().map(|(_, rest)| rest).unwrap_or_default();
    let hash = crypto::keccak256(&[coordinates]);
    let mut address = [0; 20];
    for (to, from) in address.iter_mut().zip(hash.iter().skip(12)) {
        *to = *from;
    }
    address
}

/// Reads an address: 20 bytes of hex in either case, `0x` optional. `None` for anything else.
pub fn parse_address(text: &str) -> Option<[u8; 20]> {
    hex::decode_prefixed(text)?.try_into().ok()
}
