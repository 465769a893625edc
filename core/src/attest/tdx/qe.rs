//! The quoting enclave: its report in the quote and Intel's description of it, QE identity version 2 (`attestation.md` 2.1, 2.4).

use super::checks;
use super::fields::{Fields, SvnLevel, Verdict};
use super::tcb::masked_equal;
use crate::error::{Code, Error, Result};
use crate::wire::json::Json;
use crate::wire::{Reader, hex};

/// Bit of the first attribute byte that makes an enclave's memory readable.
const ATTRIBUTE_DEBUG: u8 = 0x02;

/// Fields of an SGX report body that are judged.
///
/// | offset | bytes | field | | offset | bytes | field |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | 16 | 4 | MISCSELECT | | 256 | 2 | ISVPRODID |
/// | 48 | 16 | ATTRIBUTES | | 258 | 2 | ISVSVN |
/// | 128 | 32 | MRSIGNER | | 320 | 64 | REPORTDATA |
#[derive(Clone, Debug)]
pub(super) struct QeReport {
    misc_select: [u8; 4],
    attributes: [u8; 16],
    mr_signer: [u8; 32],
    isv_prod_id: u16,
    pub isv_svn: u16,
    pub report_data: [u8; 64],
}

impl QeReport {
    pub(super) fn read(report: &[u8; 384]) -> Option<QeReport> {
        let mut reader = Reader::new(report);
        let _cpu_svn = reader.bytes(16)?;
        let misc_select = *reader.array()?;
        let _reserved = reader.bytes(28)?;
        let attributes = *reader.array()?;
        let _mr_enclave_and_reserved = reader.bytes(64)?;
        let mr_signer = *reader.array()?;
        let _reserved = reader.bytes(96)?;
        let isv_prod_id = reader.u16_le()?;
        let isv_svn = reader.u16_le()?;
        let _reserved = reader.bytes(60)?;
        let report_data = *reader.array()?;
        Some(QeReport { misc_select, attributes, mr_signer, isv_prod_id, isv_svn, report_data })
    }
}

/// Intel's description of the quoting enclave.
#[derive(Clone, Debug)]
pub(super) struct QeIdentity {
    pub issued_at: u64,
    pub next_update: u64,
    pub evaluation_number: u32,
    misc_select: [u8; 4],
    misc_select_mask: [u8; 4],
    attributes: [u8; 16],
    attributes_mask: [u8; 16],
    mr_signer: [u8; 32],
    isv_prod_id: u16,
    levels: Vec<SvnLevel>,
}

impl QeIdentity {
    /// Reads a document whose signature is good.
    pub(super) fn read(text: &str) -> Result<QeIdentity> {
        let json = Json::parse(text.as_bytes()).map_err(|_| {
            Error::new(Code::CollateralMismatch)
                .at(checks::PARSE)
                .context("The QE identity is not strict JSON.")
        })?;
        let identity = Fields::new(&json, checks::QE_IDENTITY)?;
        identity.require_text("id", "TD_QE")?;
        identity.require_number("version", 2)?;
        Ok(QeIdentity {
            issued_at: identity.date("issueDate")?,
            next_update: identity.date("nextUpdate")?,
            evaluation_number: identity.number("tcbEvaluationDataNumber")?,
            misc_select: identity.hex("miscselect")?,
            misc_select_mask: identity.hex("miscselectMask")?,
            attributes: identity.hex("attributes")?,
            attributes_mask: identity.hex("attributesMask")?,
            mr_signer: identity.hex("mrsigner")?,
            isv_prod_id: identity.number("isvprodid")?,
            levels: SvnLevel::read_all(&identity)?,
        })
    }

    /// Checks that a report is of this enclave; gives its level.
    pub(super) fn judge(&self, report: &QeReport) -> Result<&Verdict> {
        let refused = |field: &str, expected: String, found: String| {
            Err(Error::new(Code::QeIdentity)
                .at(checks::QE_IDENTITY)
                .context(format!("Field: {field}."))
                .expected(expected)
                .found(found))
        };
        if !masked_equal(&report.misc_select, &self.misc_select_mask, &self.misc_select) {
            let (expected, found) = (hex::encode(&self.misc_select), hex::encode(&report.misc_select));
            return refused("MISCSELECT", expected, found);
        }
        let debug = report.attributes.first().is_some_and(|first| first & ATTRIBUTE_DEBUG != 0);
        if debug || !masked_equal(&report.attributes, &self.attributes_mask, &self.attributes) {
            let (expected, found) = (hex::encode(&self.attributes), hex::encode(&report.attributes));
            return refused("ATTRIBUTES", expected, found);
        }
        if report.mr_signer != self.mr_signer {
            let (expected, found) = (hex::encode(&self.mr_signer), hex::encode(&report.mr_signer));
            return refused("MRSIGNER", expected, found);
        }
        if report.isv_prod_id != self.isv_prod_id {
            let (expected, found) = (self.isv_prod_id.to_string(), report.isv_prod_id.to_string());
            return refused("ISVPRODID", expected, found);
        }
        SvnLevel::reached(&self.levels, report.isv_svn).map(|level| &level.verdict).ok_or_else(|| {
            Error::new(Code::TcbNoMatchingLevel)
                .at(checks::NO_MATCHING_LEVEL)
                .context("The quoting enclave is below every level that Intel lists.")
                .found(report.isv_svn.to_string())
        })
    }
}
