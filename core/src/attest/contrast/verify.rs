//! The whole verification of an attestation document (`protocols/privatemode.md` 3.6). The manifest is compared first: it is cheap, and
//! nothing is asked of a vendor on behalf of a manifest that nobody expects.

use super::binding::report_data;
use super::rules::{Bound, evaluate, first_failure};
use super::{checks, mesh};
use crate::attest::snp::{self, VerifiedVek};
use crate::attest::tdx::{self, VerifiedCollateral};
use crate::attest::{TrustRoots, contrast::differences};
use crate::claims::{
    ContrastClaims, ContrastHardwareClaims, Manifest, PolicyDocument, SnpClaims, TdxClaims, Verified,
};
use crate::crypto::sha256;
use crate::error::{Code, Error, Result};
use crate::evidence::{ContrastDocument, ContrastHardware, SnpAttestation, SnpEndorsements, TdxCollateral};
use crate::wire::hex;

/// What the caller knows.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The manifest, byte for byte.
    pub manifest: &'a [u8],
    /// The challenge that was sent.
    pub nonce: &'a [u8; 32],
    /// Body of the coordinator's answer to `GET /capabilities`, if the caller asked for it: then it must be bound, and otherwise it must
    /// not be.
    pub capabilities: Option<&'a [u8]>,
}

/// What was fetched beside the document. What is given here is used instead of the document's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collateral<'a> {
    /// AMD's certificates and revocation list.
    pub snp: Option<&'a SnpEndorsements>,
    /// The certificate of the signing key, verified earlier. Used when it is for the report's chip and patch levels and its revocation list
    /// is still current.
    pub vek: Option<&'a VerifiedVek>,
    /// Intel's collateral.
    pub tdx: Option<&'a TdxCollateral>,
    /// Intel's collateral, verified earlier.
    pub tdx_verified: Option<&'a VerifiedCollateral>,
}

/// Verifies a document at the time `at` (seconds).
///
/// Success means: the deployment's only manifest is the expected one; hardware that leads to a trusted root and meets one of the manifest's
/// reference values runs its coordinator; that coordinator answered this challenge and named the mesh authority. Fails with
/// `manifest_history`, `manifest_mismatch`, `manifest_invalid`, `mesh_ca`, with every code of [`snp::verify_with_raw_endorsements`] and
/// [`tdx::verify_with_raw_collateral`], and with the codes of [`super::rules`]. What is missing is a 3xx code: `collateral_missing`,
/// `crl_expired`.
pub fn verify(
    document: &ContrastDocument,
    expected: &Expectations<'_>,
    collateral: &Collateral<'_>,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<ContrastClaims>> {
    let manifest = expected_manifest(document, expected.manifest)?;
    let policy = manifest.coordinator().ok_or_else(|| Error::new(Code::ManifestInvalid).at("Policies"))?.hash;
    let data = report_data(
        expected.nonce,
        &document.manifests,
        &document.root_ca,
        &document.mesh_ca,
        expected.capabilities,
    );
    let bound = Bound { report_data: &data, coordinator_policy: &policy };
    let (hardware, end) = match &document.hardware {
        ContrastHardware::Snp(evidence) => {
            has_reference(manifest.snp.is_empty(), "SEV-SNP")?;
            let claims = verify_snp(evidence, collateral, roots, at)?;
            let end = snp_end(&claims);
            (ContrastHardwareClaims::Snp(Box::new(claims)), end)
        }
        ContrastHardware::Tdx(quote) => {
            has_reference(manifest.tdx.is_empty(), "TDX")?;
            let claims = verify_tdx(quote, collateral, roots, at)?;
            let end = claims.pck.not_after.min(claims.collateral_expires_at.saturating_sub(1));
            (ContrastHardwareClaims::Tdx(Box::new(claims)), end)
        }
    };
    let reference = matching(&hardware, &manifest, &bound)?;
    let mesh_ca = mesh::authority(&document.mesh_ca, at)?;
    Ok(Verified::new(ContrastClaims {
        hardware,
        reference,
        root_ca_sha256: sha256(&[&document.root_ca]),
        coordinator_policy: policy,
        policies: policy_documents(&manifest, &document.policies),
        report_data: data,
        not_after: end.min(mesh_ca.not_after()),
        manifest,
        mesh_ca,
        verified_at: at,
        custom_root: roots.is_custom(),
    }))
}

/// Exactly one manifest was ever set, and it is the expected one.
fn expected_manifest(document: &ContrastDocument, expected: &[u8]) -> Result<Manifest> {
    let [active] = document.manifests.as_slice() else {
        let found = format!("{} manifests", document.manifests.len());
        return Err(Error::new(Code::ManifestHistory)
            .at(checks::HISTORY)
            .expected("1 manifest")
            .found(found));
    };
    if active.as_slice() != expected {
        let digest = |bytes: &[u8]| hex::encode(&sha256(&[bytes]));
        let error = Error::new(Code::ManifestMismatch)
            .at(checks::MANIFEST)
            .expected(digest(expected))
            .found(digest(active));
        return Err(match differences(expected, active) {
            Ok(found) => match found.as_slice() {
                [first, ..] if first.path.is_empty() => error.context("Only the form of the text differs."),
                [first, rest @ ..] => {
                    error.context(format!("{} differs, and {} members more.", first.path, rest.len()))
                }
                [] => error,
            },
            Err(_) => error.context("One of the two is not a valid manifest."),
        });
    }
    Manifest::parse(active)
}

fn has_reference(none: bool, kind: &str) -> Result<()> {
    if none {
        let expected = format!("a reference value for {kind}");
        return Err(Error::new(Code::MeasurementRefused)
            .at(checks::REFERENCE)
            .expected(expected)
            .found("none"));
    }
    Ok(())
}

/// Verifies the report under what was fetched, and under what came with it where nothing was.
fn verify_snp(
    evidence: &SnpAttestation,
    collateral: &Collateral<'_>,
    roots: &TrustRoots,
    at: u64,
) -> Result<SnpClaims> {
    if let Some(vek) = collateral.vek
        && fits(vek, evidence, at)
    {
        return snp::verify(&evidence.report, vek, roots, at).map(|claims| claims.get().clone());
    }
    let own = &evidence.endorsements;
    let given = collateral.snp.cloned().unwrap_or_default();
    let endorsements = SnpEndorsements {
        vcek: given.vcek.or_else(|| own.vcek.clone()),
        vlek: given.vlek.or_else(|| own.vlek.clone()),
        crl: given.crl.or_else(|| own.crl.clone()),
        issuer: given.issuer,
        root: given.root,
    };
    snp::verify_with_raw_endorsements(&evidence.report, &endorsements, roots, at)
        .map(|claims| claims.get().clone())
}

/// Whether a kept certificate is for this report and would be verified to the same again.
fn fits(vek: &VerifiedVek, evidence: &SnpAttestation, at: u64) -> bool {
    let current = vek.facts_at(at).list_expires_at.is_some();
    let wanted =
        snp::Report::parse(&evidence.report).and_then(|report| report.kds_requests(Some(vek.product())));
    current && wanted.is_ok_and(|wanted| wanted == vek.kds_requests())
}

/// Last second of certificates and revocation list.
fn snp_end(claims: &SnpClaims) -> u64 {
    let list = claims.vek.list_expires_at.map_or(u64::MAX, |end| end.saturating_sub(1));
    claims.vek.not_after.min(list)
}

fn verify_tdx(quote: &[u8], collateral: &Collateral<'_>, roots: &TrustRoots, at: u64) -> Result<TdxClaims> {
    let claims = match (collateral.tdx_verified, collateral.tdx) {
        (Some(verified), _) => tdx::verify(quote, verified, roots, at),
        (None, Some(raw)) => tdx::verify_with_raw_collateral(quote, raw, roots, at),
        (None, None) => {
            // What is wrong with the quote is said before what is missing to judge it.
            tdx::Quote::parse(quote)?.platform()?;
            Err(Error::new(Code::CollateralMissing)
                .at("tdx.tcb_info_signature")
                .expected("Intel's collateral for this platform"))
        }
    };
    claims.map(|claims| claims.get().clone())
}

/// Place of the first reference value that the hardware meets. Otherwise the error is that of the value that got furthest.
fn matching(hardware: &ContrastHardwareClaims, manifest: &Manifest, bound: &Bound<'_>) -> Result<usize> {
    let mut furthest: Option<(usize, Error)> = None;
    let mut tried = 0_usize;
    while let Some(findings) = evaluate(hardware, manifest, tried, bound) {
        let Some((place, failed)) = first_failure(&findings) else { return Ok(tried) };
        if furthest.as_ref().is_none_or(|(other, _)| place > *other) {
            furthest = Some((place, failed.error()));
        }
        tried = tried.saturating_add(1);
    }
    let (_, error) =
        furthest.unwrap_or_else(|| (0, Error::new(Code::MeasurementRefused).at(checks::REFERENCE)));
    Err(error.context(format!("Reference values of the manifest that were tried: {tried}.")))
}

/// Each policy with the delivered document that has its hash.
fn policy_documents(manifest: &Manifest, documents: &[Vec<u8>]) -> Vec<PolicyDocument> {
    let mut delivered: Vec<([u8; 32], &Vec<u8>)> =
        documents.iter().map(|document| (sha256(&[document]), document)).collect();
    delivered.sort_unstable_by_key(|(hash, _)| *hash);
    let find = |hash: &[u8; 32]| {
        let place = delivered.binary_search_by_key(hash, |(hash, _)| *hash).ok()?;
        delivered.get(place).map(|(_, document)| (*document).clone())
    };
    manifest
        .policies
        .iter()
        .map(|policy| PolicyDocument { hash: policy.hash, document: find(&policy.hash) })
        .collect()
}
