//! Hexadecimal text at the end of a buffer, made and read without a second buffer of its size.
//!
//! Pieces go through a block on the stack that stays in the processor's first cache, so the cost is that of the vectorised conversion.

use crate::error::{Code, Error, Result};
use crate::wire::hex;

/// Bytes converted at a time of what is long.
const BLOCK: usize = 2048;
const BLOCK_HEX: usize = BLOCK * 2;
/// Bytes converted at a time of what is short: setting up larger blocks would cost as much as encrypting it did.
const SMALL: usize = 256;
/// Longest text made by [`encode_back`] out of [`room_before`].
const SHORT: usize = 4096;

/// Bytes to leave free in front of so many bytes that [`encode_tail`] is to turn into hex: with them short ones need one pass.
pub(super) const fn room_before(bytes: usize) -> usize {
    if bytes <= SHORT { bytes } else { 0 }
}

/// Replaces the bytes of `buffer` from `start` on, with [`room_before`] them, by their lowercase hex. Allocates nothing if the capacity
/// is there.
pub(super) fn encode_tail(buffer: &mut Vec<u8>, start: usize, room: usize) -> Result<()> {
    if room > 0 { encode_back(buffer, start, room) } else { encode_halves(buffer, start) }
}

/// The room and the bytes are of one size. Each block is written from the start of the room on, and what is written never passes what was
/// read.
fn encode_back(buffer: &mut [u8], start: usize, room: usize) -> Result<()> {
    let mut block = [0; SMALL];
    let tail = buffer.get_mut(start..).ok_or(Code::Internal)?;
    let mut at = 0;
    while at < room {
        let next = at.saturating_add(SMALL).min(room);
        let block = block.get_mut(..next.saturating_sub(at)).ok_or(Code::Internal)?;
        let bytes = tail.get(room.saturating_add(at)..room.saturating_add(next)).ok_or(Code::Internal)?;
        block.copy_from_slice(bytes);
        let text = tail.get_mut(at.saturating_mul(2)..next.saturating_mul(2)).ok_or(Code::Internal)?;
        encode(block, text)?;
        at = next;
    }
    Ok(())
}

/// The second half of the bytes is converted to behind their end, which needs no room that is not written anyway; then the first half
/// is converted backwards into the room of both.
fn encode_halves(buffer: &mut Vec<u8>, start: usize) -> Result<()> {
    let (mut block, mut digits) = ([0; BLOCK], [0; BLOCK_HEX]);
    let length = buffer.len().saturating_sub(start);
    if length % 2 == 1 {
        buffer.push(0); // room for the first half's last digits
    }
    let half = length.div_ceil(2);
    let (middle, end) = (start.saturating_add(half), start.saturating_add(length));
    buffer.reserve(half.saturating_mul(2));

    let mut at = middle;
    while at < end {
        let next = at.saturating_add(BLOCK).min(end);
        let bytes = buffer.get(at..next).ok_or(Code::Internal)?;
        let text = digits.get_mut(..bytes.len().saturating_mul(2)).ok_or(Code::Internal)?;
        encode(bytes, text)?;
        buffer.extend_from_slice(text);
        at = next;
    }

    let mut at = half;
    while at > 0 {
        let from = at.saturating_sub(BLOCK);
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
    buffer.reserve(text.len().div_ceil(2));
    for digits in text.chunks(BLOCK_HEX) {
        let start = buffer.len();
        buffer.resize(start.saturating_add(digits.len() / 2), 0);
        let bytes = buffer.get_mut(start..).ok_or(Code::Internal)?;
        if !hex::decode_into(digits, bytes) {
            return Err(Error::new(Code::NotCiphertext));
        }
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
            SMALL + 1,
            2 * SMALL,
            SHORT,
            SHORT + 1,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK,
            5 * BLOCK + 3,
            9 * BLOCK + 8,
        ]);
        for length in lengths {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let room = room_before(length);
            let mut buffer = [b"before", vec![0; room].as_slice(), bytes.as_slice()].concat();
            encode_tail(&mut buffer, 6, room).unwrap();
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
