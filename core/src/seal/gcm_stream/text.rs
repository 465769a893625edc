//! Hexadecimal text at the end of a buffer, made and read without a second buffer of its size.
//!
//! Pieces go through a block on the stack that stays in the processor's first cache, so the cost is that of the vectorised conversion.

use crate::error::{Code, Error, Result};
use crate::wire::hex;

/// Bytes converted at a time. Short fields take a smaller block: setting up a large one would cost as much as encrypting them.
const BLOCK: usize = 2048;
const BLOCK_HEX: usize = BLOCK * 2;
const SMALL: usize = 256;
const SMALL_HEX: usize = SMALL * 2;

/// Replaces the bytes of `buffer` from `start` on by their lowercase hex. Allocates nothing if the capacity is there.
///
/// The second half of the bytes is converted to behind their end, which needs no room that is not written anyway; then the first half
/// is converted backwards into the room of both.
pub(super) fn encode_tail(buffer: &mut Vec<u8>, start: usize) -> Result<()> {
    if buffer.len().saturating_sub(start) <= SMALL_HEX {
        encode_by(&mut [0; SMALL], &mut [0; SMALL_HEX], buffer, start)
    } else {
        encode_by(&mut [0; BLOCK], &mut [0; BLOCK_HEX], buffer, start)
    }
}

fn encode_by(block: &mut [u8], digits: &mut [u8], buffer: &mut Vec<u8>, start: usize) -> Result<()> {
    let size = block.len();
    let length = buffer.len().saturating_sub(start);
    if length % 2 == 1 {
        buffer.push(0); // room for the first half's last digits
    }
    let half = length.div_ceil(2);
    let (middle, end) = (start.saturating_add(half), start.saturating_add(length));
    buffer.reserve(half.saturating_mul(2));

    let mut at = middle;
    while at < end {
        let next = at.saturating_add(size).min(end);
        let bytes = buffer.get(at..next).ok_or(Code::Internal)?;
        let text = digits.get_mut(..bytes.len().saturating_mul(2)).ok_or(Code::Internal)?;
        encode(bytes, text)?;
        buffer.extend_from_slice(text);
        at = next;
    }

    let mut at = half;
    while at > 0 {
        let from = at.saturating_sub(size);
        let block = block.get_mut(..at.saturating_sub(from)).ok_or(Code::Internal)?;
        let tail = buffer.get_mut(start..).ok_or(Code::Internal)?;
        block.copy_from_slice(tail.get(from..at).ok_or(Code::Internal)?);
        let text = tail.get_mut(from.saturating_mul(2)..at.saturating_mul(2)).ok_or(Code::Internal)?;
        encode(block, text)?;
        at = from;
    }
    Ok(())
}

fn encode(bytes: &[u8], text: &mut [u8]) -> Result<()> {
    if hex::encode_into(bytes, text) { Ok(()) } else { Err(Error::new(Code::Internal)) }
}

/// Appends the bytes of a hex text in either case to `buffer`. On failure, `not_ciphertext`, some of them may be there.
pub(super) fn append_decoded(text: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
    if text.len() <= SMALL_HEX * 2 {
        decode_by(&mut [0; SMALL], text, buffer)
    } else {
        decode_by(&mut [0; BLOCK], text, buffer)
    }
}

fn decode_by(block: &mut [u8], text: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
    buffer.reserve(text.len().div_ceil(2));
    for digits in text.chunks(block.len().saturating_mul(2)) {
        let bytes = block.get_mut(..digits.len() / 2).ok_or(Code::Internal)?;
        if !hex::decode_into(digits, bytes) {
            return Err(Error::new(Code::NotCiphertext));
        }
        buffer.extend_from_slice(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_in_place() {
        let lengths = (0..70).chain([
            SMALL - 1,
            SMALL,
            2 * SMALL - 1,
            2 * SMALL,
            2 * SMALL + 1,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK,
            5 * BLOCK + 3,
            9 * BLOCK + 8,
        ]);
        for length in lengths {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut buffer = [b"before", bytes.as_slice()].concat();
            encode_tail(&mut buffer, 6).unwrap();
            let text = buffer.strip_prefix(b"before").unwrap();
            assert_eq!(text, hex::encode(&bytes).as_bytes(), "{length}");

            let mut back = b"before".to_vec();
            append_decoded(text, &mut back).unwrap();
            append_decoded(&text.to_ascii_uppercase(), &mut back).unwrap();
            assert_eq!(back, [b"before", bytes.as_slice(), bytes.as_slice()].concat());
        }
    }

    #[test]
    fn only_hex_is_decoded() {
        let good = "0a".repeat(3 * BLOCK);
        for at in [0, 1, BLOCK_HEX - 1, BLOCK_HEX, 5 * BLOCK] {
            for wrong in [b'g', b'x', b':', b'"', b' ', 0, 0xff] {
                let mut bad = good.clone().into_bytes();
                bad[at] = wrong;
                let refused = append_decoded(&bad, &mut Vec::new());
                assert_eq!(refused.unwrap_err().code(), Code::NotCiphertext, "{at} {wrong}");
            }
            assert!(append_decoded(&good.as_bytes()[..at | 1], &mut Vec::new()).is_err());
        }
    }
}
