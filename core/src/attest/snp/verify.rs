//! The whole verification of one report, in the order of [`super::CHECKS`].

use super::kds::hardware_identity;
use super::report::Report;
use super::vek::VerifiedVek;
use super::{checks, tcb};
use crate::attest::TrustRoots;
use crate::claims::{Product, SigningKey, SnpClaims, SnpReport, SnpSigner, SnpTcb, TcbParts, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::SnpEndorsements;
use crate::wire::hex;

/// Verifies a report under a signing key whose certificate was verified earlier, at the time `at` (seconds).
///
/// Success means that the key signed the report and that the certificate is the report's; whether the facts are acceptable is asked
/// with [`super::rules`]. Fails with `snp_report_malformed`, `snp_product`, `snp_chain`, `snp_signer_mismatch`, `snp_signature` or
/// `snp_certificate_mismatch`.
pub fn verify(report: &[u8], vek: &VerifiedVek, roots: &TrustRoots, at: u64) -> Result<Verified<SnpClaims>> {
    let report = Report::parse(report)?;
    let product = report.product()?;
    vek.check_root(roots)?;
    judge(&report, product, vek, roots, at)
}

/// Verifies a report and its certificates, both as received. For one report; to judge several of one chip, verify the certificate once
/// with [`VerifiedVek::verify`]. Fails with the codes of both.
pub fn verify_with_raw_endorsements(
    report: &[u8],
    endorsements: &SnpEndorsements,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<SnpClaims>> {
    let report = Report::parse(report)?;
    let product = report.product()?;
    let vek = VerifiedVek::undated(endorsements, report.fields().signing_key, roots, at)?;
    judge(&report, product, &vek, roots, at)
}

/// Judges a report by a certificate that leads to a trusted root. `product` is the one that the report names.
fn judge(
    report: &Report<'_>,
    product: Option<Product>,
    vek: &VerifiedVek,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<SnpClaims>> {
    let fields = report.fields();
    if let Some(product) = product
        && product != vek.product
    {
        return Err(Error::new(Code::SnpProduct)
            .at(checks::PRODUCT_MISMATCH)
            .expected(product.name())
            .found(vek.product.name()));
    }
    if fields.signing_key != vek.kind {
        return Err(Error::new(Code::SnpSignerMismatch)
            .at(checks::SIGNER_MISMATCH)
            .expected(key_name(fields.signing_key))
            .found(key_name(vek.kind)));
    }
    if !crypto::p384_verify_fixed(&vek.key, report.signed(), &report.signature()?) {
        return Err(Error::new(Code::SnpSignature).at(checks::SIGNATURE));
    }
    vek.check_dates(at)?;
    let tcb = tcb_versions(vek.product, fields)?;
    if tcb.reported != vek.tcb {
        return Err(mismatch(checks::TCB_MISMATCH, parts_text(&tcb.reported), parts_text(&vek.tcb)));
    }
    check_chip(vek, fields)?;
    Ok(Verified::new(SnpClaims {
        report: fields.clone(),
        product: vek.product,
        tcb,
        vek: vek.facts_at(at),
        verified_at: at,
        custom_root: roots.is_custom(),
    }))
}

fn tcb_versions(product: Product, fields: &SnpReport) -> Result<SnpTcb> {
    let parts = |bytes: &[u8; 8]| {
        tcb::parts(product, bytes)
            .ok_or_else(|| mismatch(checks::TCB_RESERVED, "reserved bytes zero".into(), hex::encode(bytes)))
    };
    Ok(SnpTcb {
        current: parts(&fields.current_tcb)?,
        reported: parts(&fields.reported_tcb)?,
        committed: parts(&fields.committed_tcb)?,
        launch: parts(&fields.launch_tcb)?,
    })
}

/// The certificate of a chip must be for the chip that the report names. A hidden chip cannot be compared: that is a rule's to judge.
fn check_chip(vek: &VerifiedVek, fields: &SnpReport) -> Result<()> {
    let SnpSigner::Chip(certified) = vek.signer() else { return Ok(()) };
    if fields.chip_id_hidden()
        || hardware_identity(vek.product, &fields.chip_id) == Some(certified.as_slice())
    {
        return Ok(());
    }
    Err(mismatch(checks::CHIP_ID_MISMATCH, hex::short(&fields.chip_id), hex::short(certified)))
}

fn mismatch(check: &str, expected: String, found: String) -> Error {
    Error::new(Code::SnpCertificateMismatch).at(check).expected(expected).found(found)
}

const fn key_name(kind: SigningKey) -> &'static str {
    match kind {
        SigningKey::Vcek => "VCEK",
        SigningKey::Vlek => "VLEK",
        SigningKey::None => "none",
    }
}

/// `bootloader 4, tee 0, snp 24, microcode 219`; FMC only where there is one.
pub(super) fn parts_text(tcb: &TcbParts) -> String {
    let shown = |(name, value): &(&str, u8)| *name != "fmc" || *value != 0;
    let parts: Vec<String> = tcb
        .parts()
        .iter()
        .filter(|part| shown(part))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    parts.join(", ")
}
