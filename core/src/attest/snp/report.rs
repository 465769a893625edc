//! Layout of SEV-SNP attestation reports, versions 2 to 5 (`protocols/attestation.md` 1.1). Parsing borrows and trusts nothing.

use super::checks;
use crate::claims::{Cpuid, FirmwareVersion, SigningKey, SnpReport};
use crate::error::{Code, Error, Result};
use crate::wire::Reader;

/// Length of a report in bytes.
pub const REPORT_LEN: usize = 0x4a0;
/// Length of its signed part.
const SIGNED_LEN: usize = 0x2a0;
/// Signature algorithm ECDSA P-384 with SHA-384.
const ALGORITHM_P384_SHA384: u32 = 1;
/// Length of the field of each half of the signature; the number itself has 48 bytes.
const HALF_LEN: usize = 72;

/// A parsed report. Its layout is exact and nothing in it is verified.
///
/// | part | bytes |
/// | --- | --- |
/// | signed: every field of [`SnpReport`] | 0x2a0 |
/// | r, little-endian | 72 |
/// | s, little-endian | 72 |
/// | zero | 368 |
#[derive(Clone, Debug)]
pub struct Report<'a> {
    fields: SnpReport,
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Report<'a> {
    /// Parses a report of exactly 1184 bytes. Fails with `snp_report_malformed`, or `snp_signer_mismatch` when it states that it is not
    /// signed.
    pub fn parse(bytes: &'a [u8]) -> Result<Report<'a>> {
        let length = || {
            let found = bytes.len().to_string();
            malformed(checks::LENGTH).expected(REPORT_LEN.to_string()).found(found)
        };
        let whole: &[u8; REPORT_LEN] = bytes.try_into().map_err(|_| length())?;
        let (signed, signature) = whole.split_at_checked(SIGNED_LEN).ok_or_else(length)?;
        let fields = Fields::read(signed).ok_or_else(length)?.check()?;
        Ok(Report { fields, signed, signature })
    }

    /// The fields. Not verified.
    pub const fn fields(&self) -> &SnpReport {
        &self.fields
    }

    /// The bytes under the signature.
    pub(super) const fn signed(&self) -> &'a [u8] {
        self.signed
    }

    /// The signature as `r || s`, 48 bytes each, big-endian. The numbers stand in fields of 72 bytes; what exceeds them and what follows
    /// must be zero, or different bytes would carry the same signature (`snp.signature_format`).
    pub(super) fn signature(&self) -> Result<[u8; 96]> {
        let format = || malformed(checks::SIGNATURE_FORMAT);
        let (r, rest) = self.signature.split_at_checked(HALF_LEN).ok_or_else(format)?;
        let (s, tail) = rest.split_at_checked(HALF_LEN).ok_or_else(format)?;
        let mut fixed = [0; 96];
        let (high, low) = fixed.split_at_mut(48);
        for (to, half) in [(high, r), (low, s)] {
            let (number, padding) = half.split_at_checked(48).ok_or_else(format)?;
            if !is_zero(padding) {
                return Err(format().context("A number of the signature has more than 48 bytes."));
            }
            to.iter_mut().zip(number.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        if !is_zero(tail) {
            return Err(format().context("Bytes after the signature are not zero."));
        }
        Ok(fixed)
    }
}

/// A report's fields as they stand there, before any is judged.
struct Fields<'a> {
    report: SnpReport,
    algorithm: u32,
    signer_info: u32,
    cpuid: Cpuid,
    mitigations: [u64; 2],
    /// Bytes that every version leaves zero, with their offset.
    reserved: [(usize, &'a [u8]); 5],
}

impl<'a> Fields<'a> {
    /// Reads the fields in their order; offsets are those of attestation.md 1.1.
    fn read(signed: &'a [u8]) -> Option<Fields<'a>> {
        let mut r = Reader::new(signed);
        let version = r.u32_le()?;
        let guest_svn = r.u32_le()?;
        let policy = r.u64_le()?;
        let (family_id, image_id) = (*r.array()?, *r.array()?);
        let vmpl = r.u32_le()?;
        let algorithm = r.u32_le()?;
        let current_tcb = *r.array()?;
        let platform_info = r.u64_le()?;
        let signer_info = r.u32_le()?;
        let reserved_4c = r.bytes(4)?;
        let report_data = *r.array()?;
        let measurement = *r.array()?;
        let host_data = *r.array()?;
        let (id_key_digest, author_key_digest) = (*r.array()?, *r.array()?);
        let (report_id, report_id_ma) = (*r.array()?, *r.array()?);
        let reported_tcb = *r.array()?;
        let cpuid = Cpuid { family: r.u8()?, model: r.u8()?, stepping: r.u8()? };
        let reserved_18b = r.bytes(21)?;
        let chip_id = *r.array()?;
        let committed_tcb = *r.array()?;
        let current_version = firmware_version(&mut r)?;
        let reserved_1eb = r.bytes(1)?;
        let committed_version = firmware_version(&mut r)?;
        let reserved_1ef = r.bytes(1)?;
        let launch_tcb = *r.array()?;
        let mitigations = [r.u64_le()?, r.u64_le()?];
        let reserved_208 = r.bytes(0x98)?;
        let report = SnpReport {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            current_tcb,
            platform_info,
            author_key_enabled: signer_info & 1 != 0,
            chip_key_masked: signer_info & 2 != 0,
            signing_key: SigningKey::None,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_ma,
            reported_tcb,
            cpuid: None,
            chip_id,
            committed_tcb,
            current_version,
            committed_version,
            launch_tcb,
            launch_mitigations: None,
            current_mitigations: None,
        };
        let reserved = [
            (0x4c, reserved_4c),
            (0x18b, reserved_18b),
            (0x1eb, reserved_1eb),
            (0x1ef, reserved_1ef),
            (0x208, reserved_208),
        ];
        r.is_empty().then_some(Fields { report, algorithm, signer_info, cpuid, mitigations, reserved })
    }

    /// Judges the layout and fills in what the version and the signer info decide.
    fn check(self) -> Result<SnpReport> {
        let Fields { mut report, algorithm, signer_info, cpuid, mitigations, reserved } = self;
        // Version 4 has the layout of 3. An unknown version is not read as the newest known one.
        if !matches!(report.version, 2..=5) {
            return Err(malformed(checks::VERSION).expected("2 to 5").found(report.version.to_string()));
        }
        if algorithm != ALGORITHM_P384_SHA384 {
            return Err(malformed(checks::ALGORITHM)
                .expected("1 (ECDSA P-384 with SHA-384)")
                .found(algorithm.to_string()));
        }
        let nonzero =
            |offset: usize| malformed(checks::RESERVED).expected("zero").found(format!("offset {offset:#x}"));
        if let Some((offset, _)) = reserved.iter().find(|(_, bytes)| !is_zero(bytes)) {
            return Err(nonzero(*offset));
        }
        let Cpuid { family, model, stepping } = cpuid;
        if report.version >= 3 {
            report.cpuid = Some(cpuid);
        } else if [family, model, stepping] != [0; 3] {
            return Err(nonzero(0x188));
        }
        if report.version >= 5 {
            let [launch, current] = mitigations;
            (report.launch_mitigations, report.current_mitigations) = (Some(launch), Some(current));
        } else if mitigations != [0; 2] {
            return Err(nonzero(0x1f8));
        }
        let signer = |id| malformed(id).found(format!("{signer_info:#x}"));
        report.signing_key = match (signer_info >> 5, signer_info >> 2 & 7) {
            (0, 0) => SigningKey::Vcek,
            (0, 1) => SigningKey::Vlek,
            (0, 7) => return Err(Error::new(Code::SnpSignerMismatch).at(checks::UNSIGNED)),
            (0, _) => return Err(signer(checks::SIGNER_INFO).expected("signing key 0 or 1")),
            _ => return Err(signer(checks::SIGNER_INFO).expected("bits 5 to 31 clear")),
        };
        Ok(report)
    }
}

/// Build, minor, major: the order in the report.
fn firmware_version(r: &mut Reader<'_>) -> Option<FirmwareVersion> {
    let (build, minor, major) = (r.u8()?, r.u8()?, r.u8()?);
    Some(FirmwareVersion { major, minor, build })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn malformed(check: &str) -> Error {
    Error::new(Code::SnpReportMalformed).at(check)
}
