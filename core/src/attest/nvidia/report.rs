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

use super::malformed;
use crate::claims::DeviceKind;
use crate::error::Result;
use crate::wire::Reader;

/// First bytes of the request.
const REQUEST: [u8; 4] = [0x11, 0xe0, 0x01, 0xff];
/// First bytes of the answer.
const ANSWER: [u8; 2] = [0x11, 0x60];
/// Blocks of a GPU and of an LS10 switch.
const GPU_BLOCKS: u8 = 64;
const SWITCH_BLOCKS: u8 = 31;
/// Opaque types that are read; others are signed and kept by the sender, and new drivers add some.
const DRIVER_VERSION: u16 = 3;
const VBIOS_VERSION: u16 = 6;
const FIRMWARE_ID: u16 = 20;
const PROTECTED_PCIE: u16 = 21;
/// Opaque type that marks data as invalid.
const INVALID: u16 = 255;
/// "On" and "off" in one-byte opaque values.
const ON: u8 = 0xaa;
const OFF: u8 = 0x55;

/// A parsed report. Nothing in it is verified.
pub(super) struct Report<'a> {
    pub kind: DeviceKind,
    pub nonce: &'a [u8; 32],
    pub measurements: Vec<[u8; 48]>,
    pub driver_version: Option<String>,
    pub vbios_version: Option<String>,
    pub firmware_id: Option<&'a [u8; 48]>,
    pub protected_pcie: Option<bool>,
    pub signed: &'a [u8],
    pub signature: &'a [u8],
}

impl<'a> Report<'a> {
    /// Parses a report that takes up all of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Report<'a>> {
        parse(bytes).ok_or_else(|| malformed("A report has another layout."))
    }
}

fn parse(bytes: &[u8]) -> Option<Report<'_>> {
    let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(96)?)?;
    let mut reader = Reader::new(signed);
    if *reader.array()? != REQUEST {
        return None;
    }
    let nonce = reader.array()?;
    let _slot = reader.u8()?;
    if *reader.array()? != ANSWER {
        return None;
    }
    let _parameters = reader.bytes(2)?;
    let kind = match reader.u8()? {
        GPU_BLOCKS => DeviceKind::Gpu,
        SWITCH_BLOCKS => DeviceKind::Switch,
        _ => return None,
    };
    let [low, middle, high] = *reader.array()?;
    let length = usize::try_from(u32::from_le_bytes([low, middle, high, 0])).ok()?;
    let measurements = blocks(reader.bytes(length)?, kind)?;
    let _answer_nonce = reader.bytes(32)?;
    let opaque_length = reader.u16_le()?;
    let opaque = Opaque::read(reader.bytes(usize::from(opaque_length))?)?;
    if !reader.is_empty() {
        return None;
    }
    Some(Report {
        kind,
        nonce,
        measurements,
        driver_version: opaque.text(DRIVER_VERSION)?,
        vbios_version: opaque.vbios_version(kind)?,
        firmware_id: opaque.array(FIRMWARE_ID)?,
        protected_pcie: opaque.switch(PROTECTED_PCIE)?,
        signed,
        signature,
    })
}

/// Blocks with indexes from 1 on, without gaps, that take up the whole record.
fn blocks(record: &[u8], kind: DeviceKind) -> Option<Vec<[u8; 48]>> {
    let count = if kind == DeviceKind::Gpu { GPU_BLOCKS } else { SWITCH_BLOCKS };
    let mut reader = Reader::new(record);
    let mut values = Vec::new();
    for index in 1..=count {
        let header = (reader.u8()?, reader.u8()?, reader.u16_le()?);
        let _value_type = reader.u8()?;
        let value_size = reader.u16_le()?;
        if header != (index, 1, 51) || value_size != 48 {
            return None;
        }
        values.push(*reader.array()?);
    }
    reader.is_empty().then_some(values)
}

/// Opaque values by type; a type occurs once.
struct Opaque<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Opaque<'a> {
    fn read(bytes: &'a [u8]) -> Option<Opaque<'a>> {
        let mut reader = Reader::new(bytes);
        let mut values: Vec<(u16, &[u8])> = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u16_le()?;
            let size = reader.u16_le()?;
            let value = reader.bytes(usize::from(size))?;
            if kind == INVALID || values.iter().any(|(other, _)| *other == kind) {
                return None;
            }
            values.push((kind, value));
        }
        Some(Opaque(values))
    }

    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(other, _)| *other == kind).map(|(_, value)| *value)
    }

    /// The inner `None` means absent, the outer one another form; likewise below.
    #[allow(clippy::option_option, reason = "absent and malformed are different things")]
    fn array<const N: usize>(&self, kind: u16) -> Option<Option<&'a [u8; N]>> {
        self.get(kind).map(<&[u8; N]>::try_from).transpose().ok()
    }

    /// A printable text, without the NUL bytes that end it.
    #[allow(clippy::option_option, reason = "absent and malformed are different things")]
    fn text(&self, kind: u16) -> Option<Option<String>> {
        let Some(value) = self.get(kind) else { return Some(None) };
        printable(value).map(Some)
    }

    #[allow(clippy::option_option, reason = "absent and malformed are different things")]
    fn switch(&self, kind: u16) -> Option<Option<bool>> {
        match self.get(kind) {
            None => Some(None),
            Some([ON]) => Some(Some(true)),
            Some([OFF]) => Some(Some(false)),
            Some(_) => None,
        }
    }

    /// GPUs state a number of 8 bytes, switches a text.
    #[allow(clippy::option_option, reason = "absent and malformed are different things")]
    fn vbios_version(&self, kind: DeviceKind) -> Option<Option<String>> {
        match (self.get(VBIOS_VERSION), kind) {
            (None, _) => Some(None),
            (Some(value), DeviceKind::Switch) => printable(value).map(Some),
            (Some(value), DeviceKind::Gpu) => {
                let [b0, b1, b2, b3, b4, _, _, _] = *<&[u8; 8]>::try_from(value).ok()?;
                Some(Some(format!("{b3:02X}.{b2:02X}.{b1:02X}.{b0:02X}.{b4:02X}")))
            }
        }
    }
}

fn printable(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| text.to_owned())
}
