//! Layout of an SPDM 1.1 measurement report: our request as the device saw it, then its signed answer (`attestation.md` 3.1).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | request: version 0x11, GET_MEASUREMENTS 0xE0, signature wanted 1, all blocks 0xFF |
//! | 4 | 32 | request nonce |
//! | 36 | 1 | slot |
//! | 37 | 4 | answer: version 0x11, MEASUREMENTS 0x60, two parameters |
//! | 41 | 1 + 3 | number of blocks, length of all blocks (little-endian) |
//! | 45 | 55 each | blocks: index, 1, size 51, type, value size 48, value |
//! | | 32 | answer nonce |
//! | | 2 + n | opaque data: type, size, value, repeated |
//! | | 96 | signature over all before it |
//!
//! Blocks are known by their index, not by their place: the indexes 1 to n occur once each, in any order (captured evidence). How
//! many a device should have is for the reference values to say.

use super::checks::{PARSE, SPDM};
use crate::error::{Code, Error, Result};
use crate::wire::Reader;

/// First bytes of the request.
const REQUEST: [u8; 4] = [0x11, 0xe0, 0x01, 0xff];
/// First bytes of the answer.
const ANSWER: [u8; 2] = [0x11, 0x60];
/// Bytes of a signature.
const SIGNATURE_LEN: usize = 96;
/// DMTF as the measurement specification of a block.
const DMTF: u8 = 1;
/// Size of a block's measurement: type, value size, value.
const BLOCK_LEN: u16 = 51;
const VALUE_LEN: u16 = 48;

/// A parsed report. Nothing in it is verified.
pub(super) struct Report<'a> {
    pub nonce: &'a [u8; 32],
    /// Values in order of their index.
    pub measurements: Vec<[u8; 48]>,
    /// Types and values in the order of the report.
    pub opaque: Vec<(u16, &'a [u8])>,
    pub signed: &'a [u8],
    pub signature: &'a [u8],
}

impl<'a> Report<'a> {
    /// Parses a report that takes up all of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Report<'a>> {
        let fields =
            Fields::split(bytes).ok_or_else(|| malformed(PARSE).context("A report has another layout."))?;
        let measurements = fields.measurements().ok_or_else(|| {
            malformed(SPDM).context("A report is not a signed SPDM 1.1 answer with all blocks.")
        })?;
        Ok(Report {
            nonce: fields.nonce,
            measurements,
            opaque: fields.opaque,
            signed: fields.signed,
            signature: fields.signature,
        })
    }
}

fn malformed(check: &'static str) -> Error {
    Error::new(Code::GpuEvidenceMalformed).at(check)
}

/// The parts of a report by length alone.
struct Fields<'a> {
    request: [u8; 4],
    nonce: &'a [u8; 32],
    answer: [u8; 2],
    count: u8,
    /// Index, specification, value.
    blocks: Vec<(u8, u8, &'a [u8; 48])>,
    opaque: Vec<(u16, &'a [u8])>,
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Fields<'a> {
    fn split(bytes: &'a [u8]) -> Option<Fields<'a>> {
        let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_LEN)?)?;
        let mut reader = Reader::new(signed);
        let request = *reader.array()?;
        let nonce = reader.array()?;
        let _slot = reader.u8()?;
        let answer = *reader.array()?;
        let _parameters = reader.bytes(2)?;
        let count = reader.u8()?;
        let [low, middle, high] = *reader.array()?;
        let length = usize::try_from(u32::from_le_bytes([low, middle, high, 0])).ok()?;
        let blocks = blocks(reader.bytes(length)?)?;
        let _answer_nonce = reader.bytes(32)?;
        let opaque_length = reader.u16_le()?;
        let opaque = opaque(reader.bytes(usize::from(opaque_length))?)?;
        reader.is_empty().then_some(Fields {
            request,
            nonce,
            answer,
            count,
            blocks,
            opaque,
            signed,
            signature,
        })
    }

    /// The values by index, when the headers and the numbering are right.
    fn measurements(&self) -> Option<Vec<[u8; 48]>> {
        if self.request != REQUEST || self.answer != ANSWER || usize::from(self.count) != self.blocks.len() {
            return None;
        }
        let mut values: Vec<Option<[u8; 48]>> = vec![None; self.blocks.len()];
        for (index, specification, value) in &self.blocks {
            let slot = values.get_mut(usize::from(index.checked_sub(1)?))?;
            if *specification != DMTF || slot.replace(**value).is_some() {
                return None;
            }
        }
        values.into_iter().collect()
    }
}

/// Blocks that take up the whole record; at least one.
fn blocks(record: &[u8]) -> Option<Vec<(u8, u8, &[u8; 48])>> {
    let mut reader = Reader::new(record);
    let mut blocks = Vec::new();
    while !reader.is_empty() {
        let (index, specification) = (reader.u8()?, reader.u8()?);
        let block_size = reader.u16_le()?;
        let _value_type = reader.u8()?;
        let value_size = reader.u16_le()?;
        if (block_size, value_size) != (BLOCK_LEN, VALUE_LEN) {
            return None;
        }
        blocks.push((index, specification, reader.array()?));
    }
    (!blocks.is_empty()).then_some(blocks)
}

/// Opaque values that take up all of their bytes.
fn opaque(bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u16_le()?;
        let size = reader.u16_le()?;
        values.push((kind, reader.bytes(usize::from(size))?));
    }
    Some(values)
}
