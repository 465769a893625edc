//! The details that a report states about its device: types and values after the measurements (`attestation.md` 3.1).
//!
//! They are read after the signature was checked. A type occurs once. Types that are not known are signed all the same, and new
//! drivers add some: they are listed and not read.

use super::checks::OPAQUE;
use crate::claims::{DeviceDetails, DeviceKind, GpuMode};
use crate::error::{Code, Error, Result};

const DRIVER_VERSION: u16 = 3;
const VBIOS_VERSION: u16 = 6;
const NVDEC0: u16 = 11;
const CHIP_SKU: u16 = 15;
const PROJECT: u16 = 17;
const PROJECT_SKU: u16 = 18;
const FIRMWARE_ID: u16 = 20;
const PROTECTED_PCIE: u16 = 21;
const SWITCH_PDI: u16 = 22;
const DISABLED_PORTS: u16 = 23;
const POSITION: u16 = 24;
const LOCK: u16 = 25;
const GPU_PDIS: u16 = 26;
const FORMAT_VERSION: u16 = 34;
const CHIP_INFO: u16 = 35;
const FEATURE_FLAG: u16 = 36;
/// Marks data as invalid.
const INVALID: u16 = 255;

/// "On" and "off" in one-byte values.
const ON: u8 = 0xaa;
const OFF: u8 = 0x55;
/// GPUs that an LS10 switch names; a table of its ports follows them.
const GPUS_OF_SWITCH: usize = 8;

/// What the details say.
pub(super) struct Stated {
    pub driver_version: Option<String>,
    pub vbios_version: Option<String>,
    pub firmware_id: Option<[u8; 48]>,
    pub protected_pcie: Option<bool>,
    pub details: DeviceDetails,
}

/// Reads the details of a device of this kind. Fails with `gpu_evidence_malformed`, naming the type.
pub(super) fn read(values: &[(u16, &[u8])], kind: DeviceKind) -> Result<Stated> {
    for (i, (kind, _)) in values.iter().enumerate() {
        if *kind == INVALID || values.iter().take(i).any(|(earlier, _)| earlier == kind) {
            return Err(wrong(*kind));
        }
    }
    let opaque = Opaque(values);
    let is_switch = kind == DeviceKind::Switch;
    let pdis = opaque.get(SWITCH_PDI);
    Ok(Stated {
        driver_version: opaque.text(DRIVER_VERSION)?,
        vbios_version: if is_switch { opaque.text(VBIOS_VERSION)? } else { opaque.vbios_version()? },
        firmware_id: opaque.array(FIRMWARE_ID)?.copied(),
        protected_pcie: opaque.switch(PROTECTED_PCIE)?,
        details: DeviceDetails {
            project: opaque.text(PROJECT)?,
            project_sku: opaque.text(PROJECT_SKU)?,
            chip_sku: opaque.text(CHIP_SKU)?,
            chip_info: opaque.text(CHIP_INFO)?,
            nvdec0: opaque.switch(NVDEC0)?,
            mode: opaque.mode()?,
            format_version: opaque.array(FORMAT_VERSION)?.map(|bytes| u16::from_le_bytes(*bytes)),
            linked_switches: match pdis {
                Some(bytes) if !is_switch => list(bytes).ok_or_else(|| wrong(SWITCH_PDI))?,
                _ => Vec::new(),
            },
            switch_id: if is_switch { opaque.array(SWITCH_PDI)?.copied() } else { None },
            linked_gpus: match opaque.get(GPU_PDIS) {
                Some(bytes) => {
                    let ids = bytes.get(..GPUS_OF_SWITCH.saturating_mul(8)).and_then(list);
                    ids.ok_or_else(|| wrong(GPU_PDIS))?
                }
                None => Vec::new(),
            },
            disabled_ports: opaque.number(DISABLED_PORTS)?,
            position: opaque.number(POSITION)?,
            lock: opaque.number(LOCK)?,
            types: values.iter().map(|(kind, _)| *kind).collect(),
        },
    })
}

fn wrong(kind: u16) -> Error {
    Error::new(Code::GpuEvidenceMalformed)
        .at(OPAQUE)
        .context("A detail in a report occurs twice or has another form.")
        .found(format!("type {kind}"))
}

struct Opaque<'a>(&'a [(u16, &'a [u8])]);

impl<'a> Opaque<'a> {
    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(other, _)| *other == kind).map(|(_, value)| *value)
    }

    fn array<const N: usize>(&self, kind: u16) -> Result<Option<&'a [u8; N]>> {
        self.get(kind).map(<&[u8; N]>::try_from).transpose().map_err(|_| wrong(kind))
    }

    /// A printable text, without the NUL bytes that end it.
    fn text(&self, kind: u16) -> Result<Option<String>> {
        self.get(kind).map(|value| printable(value).ok_or_else(|| wrong(kind))).transpose()
    }

    fn switch(&self, kind: u16) -> Result<Option<bool>> {
        match self.get(kind) {
            None => Ok(None),
            Some([ON]) => Ok(Some(true)),
            Some([OFF]) => Ok(Some(false)),
            Some(_) => Err(wrong(kind)),
        }
    }

    /// A little-endian number of at most eight bytes.
    fn number(&self, kind: u16) -> Result<Option<u64>> {
        self.get(kind)
            .map(|value| {
                let fits = (1..=8).contains(&value.len());
                let number = value.iter().rev().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
                if fits { Ok(number) } else { Err(wrong(kind)) }
            })
            .transpose()
    }

    fn mode(&self) -> Result<Option<GpuMode>> {
        match self.array(FEATURE_FLAG)?.map(|bytes| u16::from_le_bytes(*bytes)) {
            None => Ok(None),
            Some(0) => Ok(Some(GpuMode::SinglePassthrough)),
            Some(1) => Ok(Some(GpuMode::MultiPassthrough)),
            Some(2) => Ok(Some(GpuMode::ProtectedPcie)),
            Some(_) => Err(wrong(FEATURE_FLAG)),
        }
    }

    /// GPUs state a number of eight bytes: the low half, then one byte more, each half from its highest byte on.
    fn vbios_version(&self) -> Result<Option<String>> {
        Ok(self
            .array::<8>(VBIOS_VERSION)?
            .map(|[b0, b1, b2, b3, b4, _, _, _]| format!("{b3:02X}.{b2:02X}.{b1:02X}.{b0:02X}.{b4:02X}")))
    }
}

fn printable(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| text.to_owned())
}

/// Identities of eight bytes each.
fn list(bytes: &[u8]) -> Option<Vec<[u8; 8]>> {
    let (ids, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| ids.to_vec())
}
