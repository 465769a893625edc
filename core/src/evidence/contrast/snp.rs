//! `sevsnp.Attestation` (privatemode.md 3.3): the report is put together again at its offsets (attestation.md 1.1), so that its signature
//! can be checked over the very bytes that the processor signed.

use super::{Place, fill, last, number, only, put};
use crate::claims::Product;
use crate::evidence::SnpEndorsements;
use crate::wire::protobuf::{Message, Value};

/// Length of a report.
const REPORT_LEN: usize = 1184;
/// Offset of family, model and stepping.
const CPUID_OFFSET: usize = 0x188;
/// Field of the same as CPUID leaf 1 EAX.
const CPUID_FIELD: u32 = 29;
/// Key of the revocation list among the extra certificates.
const CRL_KEY: &[u8] = b"00569ee4-e480-4fba-bbf4-45b629901180";

/// Field numbers of the report with their places, in the order of the fields. A version keeps its build, minor and major apart.
const REPORT: &[(u32, Place)] = &[
    (1, Place::Number(0x000, 4)),
    (2, Place::Number(0x004, 4)),
    (3, Place::Number(0x008, 8)),
    (4, Place::Bytes(0x010, 16)),
    (5, Place::Bytes(0x020, 16)),
    (6, Place::Number(0x030, 4)),
    (7, Place::Number(0x034, 4)),
    (8, Place::Number(0x038, 8)),
    (9, Place::Number(0x040, 8)),
    (10, Place::Number(0x048, 4)),
    (11, Place::Bytes(0x050, 64)),
    (12, Place::Bytes(0x090, 48)),
    (13, Place::Bytes(0x0c0, 32)),
    (14, Place::Bytes(0x0e0, 48)),
    (15, Place::Bytes(0x110, 48)),
    (16, Place::Bytes(0x140, 32)),
    (17, Place::Bytes(0x160, 32)),
    (18, Place::Number(0x180, 8)),
    (19, Place::Bytes(0x1a0, 64)),
    (20, Place::Number(0x1e0, 8)),
    (21, Place::Number(0x1e8, 1)),
    (22, Place::Number(0x1e9, 1)),
    (23, Place::Number(0x1ea, 1)),
    (24, Place::Number(0x1ec, 1)),
    (25, Place::Number(0x1ed, 1)),
    (26, Place::Number(0x1ee, 1)),
    (27, Place::Number(0x1f0, 8)),
    (28, Place::Bytes(0x2a0, 512)),
    (30, Place::Number(0x1f8, 8)),
    (31, Place::Number(0x200, 8)),
];

/// An SEV-SNP report and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpAttestation {
    /// The report, 1184 bytes.
    pub report: Vec<u8>,
    /// Certificate of the chip's or provider's key, and the root's revocation list. Issuer and root are never taken from a document.
    pub endorsements: SnpEndorsements,
    /// Product line in the coordinator's words: a hint for reports of version 2, which do not name it.
    pub product: Option<Product>,
}

impl SnpAttestation {
    pub(super) fn read(message: &[u8]) -> Option<SnpAttestation> {
        let report = report(only(message, 1)??)?;
        let chain = only(message, 2)?.unwrap_or_default();
        let owned = |field: u32| Some(last(chain, field)?.map(<[u8]>::to_vec));
        let product = match number(only(message, 3)?.unwrap_or_default(), 1)? {
            1 => Some(Product::Milan),
            2 => Some(Product::Genoa),
            3 => Some(Product::Turin),
            _ => None,
        };
        let endorsements = SnpEndorsements {
            vcek: owned(1)?,
            vlek: owned(6)?,
            crl: extra(chain, CRL_KEY)?.map(<[u8]>::to_vec),
            issuer: None,
            root: None,
        };
        Some(SnpAttestation { report, endorsements, product })
    }
}

fn report(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; REPORT_LEN];
    fill(message, REPORT, &mut out)?;
    put(&mut out, CPUID_OFFSET, &family_model_stepping(number(message, CPUID_FIELD)?)?)?;
    Some(out)
}

/// Takes CPUID leaf 1 EAX apart; `None` when putting it together again would give another number.
///
/// | bits | 0 to 3 | 4 to 7 | 8 to 11 | 16 to 19 | 20 to 27 |
/// | --- | --- | --- | --- | --- | --- |
/// | | stepping | model, low | family, up to 15 | model, high | family above 15 |
fn family_model_stepping(eax: u64) -> Option<[u8; 3]> {
    let bits = |shift: u32, mask: u64| u8::try_from(eax >> shift & mask).ok();
    if eax & !0x0fff_0fff != 0 {
        return None;
    }
    let (base, extended) = (bits(8, 0xf)?, bits(20, 0xff)?);
    if base != 0xf && extended != 0 {
        return None;
    }
    let model = bits(16, 0xf)? << 4 | bits(4, 0xf)?;
    Some([base.checked_add(extended)?, model, bits(0, 0xf)?])
}

/// The extra certificate with this key; of several with one key the last counts, as in every map (proto3).
fn extra<'a>(chain: &'a [u8], key: &[u8]) -> Option<Option<&'a [u8]>> {
    let mut reader = Message::new(chain);
    let mut found = None;
    while let Some((field, value)) = reader.field().ok()? {
        if field != 7 {
            continue;
        }
        let Value::Bytes(entry) = value else { return None };
        if last(entry, 1)? == Some(key) {
            found = last(entry, 2)?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_report_but_the_reserved_ones_has_a_place() {
        let mut covered = vec![0_u8; REPORT_LEN];
        for (_, place) in REPORT {
            let (Place::Number(offset, length) | Place::Bytes(offset, length)) = *place;
            covered[offset..offset + length].iter_mut().for_each(|byte| *byte += 1);
        }
        covered[CPUID_OFFSET..CPUID_OFFSET + 3].iter_mut().for_each(|byte| *byte += 1);
        assert!(covered.iter().all(|count| *count <= 1), "no byte twice");
        let reserved = [0x4c..0x50, 0x18b..0x1a0, 0x1eb..0x1ec, 0x1ef..0x1f0, 0x208..0x2a0];
        for (offset, count) in covered.iter().enumerate() {
            assert_eq!(*count == 0, reserved.iter().any(|range| range.contains(&offset)), "{offset:#x}");
        }
    }

    #[test]
    fn processor_numbers() {
        let cases: &[(u64, Option<[u8; 3]>)] = &[
            (0x00a1_0f11, Some([0x19, 0x11, 1])),
            (0x00a0_0f11, Some([0x19, 0x01, 1])),
            (0, Some([0, 0, 0])),
            (0x0ff0_0f00, None),
            (0x00a1_0e11, None),
            (0x10a1_0f11, None),
            (0x00a1_1f11, None),
            (0x1_00a1_0f11, None),
        ];
        for (eax, expected) in cases {
            assert_eq!(family_model_stepping(*eax), *expected, "{eax:#x}");
        }
    }
}
