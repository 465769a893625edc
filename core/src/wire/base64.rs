//! Base64 text (RFC 4648): standard and URL-safe alphabets, padding optional, no white space.

use ::base64::Engine;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&::base64::alphabet::STANDARD, LENIENT_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&::base64::alphabet::URL_SAFE, LENIENT_PADDING);

/// Standard alphabet with padding.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The same, appended to a text.
pub fn append(bytes: &[u8], out: &mut String) {
    STANDARD.encode_string(bytes, out);
}

/// URL-safe alphabet without padding, as JOSE writes it (RFC 7515).
pub fn encode_url(bytes: &[u8]) -> String {
    ::base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of a text in the standard alphabet.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Bytes of a text in the standard or the URL-safe alphabet.
pub fn decode_any(text: &str) -> Option<Vec<u8>> {
    decode(text).or_else(|| URL_SAFE.decode(text).ok())
}

/// Bytes of a text in the URL-safe alphabet without padding, as tokens have it (RFC 7515).
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    if text.contains('=') { None } else { URL_SAFE.decode(text).ok() }
}
