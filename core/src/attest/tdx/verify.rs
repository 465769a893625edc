//! The whole verification of one quote, in the order of [`super::CHECKS`].

use super::checks;
use super::collateral::VerifiedCollateral;
use super::pck::{self, Extension};
use super::qe::QeReport;
use super::quote::{Quote, SignatureData};
use crate::attest::TrustRoots;
use crate::claims::{TdxClaims, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::TdxCollateral;
use crate::pki::{Authority, Certificate, Problem, PublicKey, pem};
use crate::wire::hex;

/// Verifies a quote under collateral that was verified earlier, at the time `at` (seconds).
///
/// Collateral verified under other roots than `roots` is refused. Success means that every signature led to the trusted root and
/// that the platform was judged; whether the judgement and the TD's own properties are acceptable is asked with
/// [`super::rules`].
pub fn verify(
    quote: &[u8],
    collateral: &VerifiedCollateral,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<TdxClaims>> {
    let quote = Quote::parse(quote)?;
    let data = quote.read_signature_data()?;
    let root = intel_root(roots)?;
    let chain = split_chain(&data, root)?;
    let [leaf, intermediate] = &chain;
    let fresh;
    let ca = if collateral.ca.der() == intermediate.as_slice() && collateral.check_root(root).is_ok() {
        root.valid_at(at).and_then(|()| collateral.ca.valid_at(at)).map_err(pck::chain_error)?;
        &collateral.ca
    } else {
        fresh = verify_intermediate(intermediate, root, at)?;
        &fresh
    };
    let leaf = verify_leaf(leaf, ca, at)?;
    let checked = check_signatures(&quote, &data, &leaf)?;
    collateral.check_root(root)?;
    collateral.check_current(at)?;
    judge(&quote, &leaf, ca, &checked, collateral, roots, at)
}

/// Verifies a quote and its collateral, both as received. For one quote; to judge several, verify the collateral once with
/// [`VerifiedCollateral::verify`].
pub fn verify_with_raw_collateral(
    quote: &[u8],
    collateral: &TdxCollateral,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<TdxClaims>> {
    let quote = Quote::parse(quote)?;
    let data = quote.read_signature_data()?;
    let root = intel_root(roots)?;
    let chain = split_chain(&data, root)?;
    let [leaf, intermediate] = &chain;
    let ca = verify_intermediate(intermediate, root, at)?;
    let leaf = verify_leaf(leaf, &ca, at)?;
    let checked = check_signatures(&quote, &data, &leaf)?;
    let collateral = VerifiedCollateral::verify_knowing(collateral, roots, at, Some(&ca))?;
    judge(&quote, &leaf, &ca, &checked, &collateral, roots, at)
}

fn intel_root(roots: &TrustRoots) -> Result<&Authority> {
    roots
        .intel_sgx()
        .ok_or_else(|| pck::chain_error(Problem::ChainShape).context("No Intel root is trusted."))
}

/// Leaf and intermediate of a chain that has exactly these and the trusted root.
fn split_chain(data: &SignatureData<'_>, root: &Authority) -> Result<[Vec<u8>; 2]> {
    let certificates = pem::certificates(data.pck_chain).map_err(pck::chain_error)?;
    let Ok([leaf, intermediate, last]) = <[Vec<u8>; 3]>::try_from(certificates) else {
        return Err(pck::chain_error(Problem::ChainShape));
    };
    if last != root.der() {
        return Err(pck::chain_error(Problem::ChainShape).context("It ends at another root."));
    }
    Ok([leaf, intermediate])
}

fn verify_intermediate(der: &[u8], root: &Authority, at: u64) -> Result<Authority> {
    Certificate::parse(der)
        .and_then(|certificate| pck::authority(root, &certificate, at))
        .map_err(pck::chain_error)
}

fn verify_leaf<'a>(der: &'a [u8], ca: &Authority, at: u64) -> Result<Certificate<'a>> {
    let leaf = Certificate::parse(der).map_err(pck::chain_error)?;
    pck::check_leaf(ca, &leaf, at).map_err(pck::chain_error)?;
    Ok(leaf)
}

/// What the quote's own signatures vouch for.
struct Checked {
    extension: Extension,
    qe_report: QeReport,
}

/// Checks platform key over quoting enclave, quoting enclave over attestation key, attestation key over quote.
fn check_signatures(quote: &Quote<'_>, data: &SignatureData<'_>, leaf: &Certificate<'_>) -> Result<Checked> {
    let extension = pck::read_extension(leaf)?;
    let PublicKey::P256(platform_key) = leaf.key() else {
        return Err(pck::chain_error(Problem::Algorithm));
    };
    if !crypto::p256_verify_fixed(platform_key, data.qe_report, data.qe_report_signature) {
        return Err(Error::new(Code::QeReportSignature).at(checks::QE_REPORT_SIGNATURE));
    }
    let qe_report =
        QeReport::read(data.qe_report).ok_or_else(|| Error::new(Code::QuoteMalformed).at(checks::PARSE))?;
    let digest = crypto::sha256(&[data.attestation_key, data.qe_auth_data]);
    let (bound, tail) = qe_report.report_data.split_at(32);
    if bound != digest || tail.iter().any(|byte| *byte != 0) {
        return Err(Error::new(Code::AkBinding).at(checks::AK_BINDING));
    }
    let mut attestation_key = [4; 65];
    for (to, from) in attestation_key.iter_mut().skip(1).zip(data.attestation_key) {
        *to = *from;
    }
    if !crypto::p256_verify_fixed(&attestation_key, quote.signed(), data.quote_signature) {
        return Err(Error::new(Code::QuoteSignature).at(checks::QUOTE_SIGNATURE));
    }
    Ok(Checked { extension, qe_report })
}

/// Judges a platform whose signatures are good by collateral that is good and current.
fn judge(
    quote: &Quote<'_>,
    leaf: &Certificate<'_>,
    ca: &Authority,
    checked: &Checked,
    collateral: &VerifiedCollateral,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<TdxClaims>> {
    let Checked { extension, qe_report } = checked;
    let info = &collateral.tcb_info;
    let mismatch = |check: &str, expected: &[u8], found: &[u8]| {
        Error::new(Code::CollateralMismatch)
            .at(check)
            .expected(hex::encode(expected))
            .found(hex::encode(found))
    };
    if extension.fmspc != info.fmspc {
        return Err(mismatch(checks::FMSPC, &extension.fmspc, &info.fmspc));
    }
    if extension.pce_id != info.pce_id {
        return Err(mismatch(checks::PCEID, &extension.pce_id, &info.pce_id));
    }
    collateral.check_revocation(ca, leaf.serial())?;
    let tcb = info.assess(extension, quote.body(), &collateral.qe_identity, qe_report)?;
    // Last, because it is outside of everything signed: what it says about the quote is said only when the quote is known good.
    if quote.padding().iter().any(|byte| *byte != 0) {
        return Err(Error::new(Code::QuoteMalformed)
            .at(checks::PADDING)
            .found(format!("{} bytes", quote.padding().len())));
    }
    Ok(Verified::new(TdxClaims {
        quote_version: quote.version(),
        body: quote.body().clone(),
        user_data: *quote.user_data(),
        pck: pck::facts(leaf, extension),
        qe_svn: qe_report.isv_svn,
        tcb,
        collateral_issued_at: collateral.issued_at(),
        collateral_expires_at: collateral.expires_at(),
        verified_at: at,
        custom_root: roots.is_custom(),
    }))
}
