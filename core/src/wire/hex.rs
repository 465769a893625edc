//! Hexadecimal text.

/// Lowercase hex.
pub fn encode(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

/// Bytes of a hex text in either case, without prefix; `None` for an odd length or any other character.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    // const-hex accepts a 0x prefix; the protocols say where one is allowed, so it is refused here.
    if has_prefix(text) {
        return None;
    }
    const_hex::decode(text).ok()
}

/// Like [`decode`], with an optional `0x` in front.
pub fn decode_prefixed(text: &str) -> Option<Vec<u8>> {
    decode(if has_prefix(text) { text.get(2..)? } else { text })
}

/// Exactly `N` bytes from `2 * N` hex characters in either case.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// Decodes into a caller's buffer of exactly half the text's length; false when the text is not hex of that length.
pub fn decode_into(text: &[u8], out: &mut [u8]) -> bool {
    out.len().checked_mul(2) == Some(text.len())
        && !text.starts_with(b"0x")
        && const_hex::decode_to_slice(text, out).is_ok()
}

/// Lowercase hex into a caller's buffer of exactly twice the length; false when it has another length.
pub fn encode_into(bytes: &[u8], out: &mut [u8]) -> bool {
    bytes.len().checked_mul(2) == Some(out.len()) && const_hex::encode_to_slice(bytes, out).is_ok()
}

/// The first 16 hex digits, the form in which values appear in messages; longer values get an ellipsis.
pub fn short(bytes: &[u8]) -> String {
    match bytes.get(..8) {
        Some(head) if bytes.len() > 8 => format!("{}\u{2026}", encode(head)),
        _ => encode(bytes),
    }
}

fn has_prefix(text: &str) -> bool {
    text.starts_with("0x") || text.starts_with("0X")
}

#[cfg(test)]
mod tests {
    #[test]
    fn prefixes_and_lengths() {
        assert_eq!(super::decode("0aFF"), Some(vec![10, 255]));
        for bad in ["0", "0x0a", "zz", "0a ", "0X0a"] {
            assert_eq!(super::decode(bad), None, "{bad}");
        }
        assert_eq!(super::decode_prefixed("0x0a"), Some(vec![10]));
        assert_eq!(super::decode_prefixed("0x0x0a"), None);
        assert_eq!(super::decode_array::<2>("0a"), None);
        assert_eq!(super::short(&[1; 9]), "0101010101010101\u{2026}");
        assert_eq!(super::short(&[1; 8]), "0101010101010101");
    }
}
