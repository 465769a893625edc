//! Intel's collateral, verified once and kept: signatures, dates and revocation lists (`protocols/attestation.md` 2.3).

use super::checks;
use super::pck;
use super::qe::QeIdentity;
use super::tcb::TcbInfo;
use crate::attest::TrustRoots;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::{CaKind, TdxCollateral};
use crate::pki::{Authority, Certificate, Problem, PublicKey, RevocationList, Serial, pem};
use crate::wire::time::rfc3339;

/// Common name of the signer of TCB info and QE identity.
const SIGNER_NAME: &str = "Intel SGX TCB Signing";

/// Collateral whose signatures all led to the trusted Intel root. Keep it until [`VerifiedCollateral::expires_at`]: a quote under
/// it needs three signature checks instead of nine.
#[derive(Debug)]
pub struct VerifiedCollateral {
    root: Vec<u8>,
    pub(super) ca: Authority,
    ca_kind: CaKind,
    pub(super) tcb_info: TcbInfo,
    pub(super) qe_identity: QeIdentity,
    root_crl: RevocationList,
    pck_crl: RevocationList,
    starts_at: u64,
    expires_at: u64,
}

impl VerifiedCollateral {
    /// Verifies collateral at the time `at` (seconds). Fails with a 3xx code when it is expired, not yet valid or not readable,
    /// and with a 2xx code when a signature is wrong or it is of another kind.
    pub fn verify(collateral: &TdxCollateral, roots: &TrustRoots, at: u64) -> Result<VerifiedCollateral> {
        VerifiedCollateral::verify_knowing(collateral, roots, at, None)
    }

    /// The same, with an authority below the same root that was verified at the same time and need not be verified again.
    pub(super) fn verify_knowing(
        collateral: &TdxCollateral,
        roots: &TrustRoots,
        at: u64,
        known: Option<&Authority>,
    ) -> Result<VerifiedCollateral> {
        let root = roots
            .intel_sgx()
            .ok_or_else(|| signing_error(Problem::ChainShape).context("No Intel root is trusted."))?;
        root.valid_at(at).map_err(signing_error)?;
        let signer = Signer::verify(&collateral.tcb_info_issuer_chain, root, at)?;
        let qe_signer = if collateral.qe_identity_issuer_chain == collateral.tcb_info_issuer_chain {
            None
        } else {
            Some(Signer::verify(&collateral.qe_identity_issuer_chain, root, at)?)
        };
        let qe_signer = qe_signer.as_ref().unwrap_or(&signer);
        signer.check(&collateral.tcb_info, &collateral.tcb_info_signature, checks::TCB_INFO_SIGNATURE)?;
        qe_signer.check(
            &collateral.qe_identity,
            &collateral.qe_identity_signature,
            checks::QE_IDENTITY_SIGNATURE,
        )?;
        let tcb_info = TcbInfo::read(&collateral.tcb_info)?;
        let qe_identity = QeIdentity::read(&collateral.qe_identity)?;
        check_window(&tcb_info, &qe_identity, at)?;

        let (ca, ca_kind) = crl_issuer(&collateral.pck_crl_issuer_chain, root, at, known)?;
        let root_crl = current_crl(&collateral.root_ca_crl, root, at)?;
        let pck_crl = current_crl(&collateral.pck_crl, &ca, at)?;
        for serial in [signer.serial, qe_signer.serial] {
            if root_crl.revokes(serial) {
                return Err(Error::new(Code::CollateralSignature)
                    .at(checks::TCB_SIGNING_CHAIN)
                    .context("The signer's certificate is revoked."));
            }
        }
        let starts = [
            tcb_info.issued_at,
            qe_identity.issued_at,
            root_crl.this_update(),
            pck_crl.this_update(),
            signer.not_before,
            qe_signer.not_before,
            ca.not_before(),
            root.not_before(),
        ];
        let ends = [
            tcb_info.next_update,
            qe_identity.next_update,
            root_crl.next_update(),
            pck_crl.next_update(),
            signer.not_after.saturating_add(1),
            qe_signer.not_after.saturating_add(1),
            ca.not_after().saturating_add(1),
            root.not_after().saturating_add(1),
        ];
        Ok(VerifiedCollateral {
            root: root.der().to_vec(),
            ca,
            ca_kind,
            tcb_info,
            qe_identity,
            root_crl,
            pck_crl,
            starts_at: starts.into_iter().max().unwrap_or(u64::MAX),
            expires_at: ends.into_iter().min().unwrap_or(0),
        })
    }

    /// The newest issue date among the items, in seconds. A clock before it is wrong (threats T22).
    pub fn issued_at(&self) -> u64 {
        let dates = [
            self.tcb_info.issued_at,
            self.qe_identity.issued_at,
            self.root_crl.this_update(),
            self.pck_crl.this_update(),
        ];
        dates.into_iter().max().unwrap_or(u64::MAX)
    }

    /// The first second at which it must not be used any more: the earliest end of any item or certificate.
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Whether verifying it anew at `at` would give the same.
    pub(super) const fn is_usable(&self, at: u64) -> bool {
        self.starts_at <= at && at < self.expires_at
    }

    /// Platform type that it describes.
    pub const fn fmspc(&self) -> &[u8; 6] {
        &self.tcb_info.fmspc
    }

    /// Authority whose platforms it describes.
    pub const fn ca_kind(&self) -> CaKind {
        self.ca_kind
    }

    /// The lower of the two evaluation numbers. Keep the highest seen for each platform type and refuse to go back (threats T16).
    pub fn evaluation_number(&self) -> u32 {
        self.tcb_info.evaluation_number.min(self.qe_identity.evaluation_number)
    }

    /// CRL numbers of the root and of the intermediate, big-endian, for the same purpose.
    pub fn crl_numbers(&self) -> [&[u8]; 2] {
        [self.root_crl.number(), self.pck_crl.number()]
    }

    /// Checks that it may still be used at `at`.
    pub fn check_current(&self, at: u64) -> Result<()> {
        check_window(&self.tcb_info, &self.qe_identity, at)?;
        for list in [&self.root_crl, &self.pck_crl] {
            list.current_at(at).map_err(crl_error)?;
        }
        if at >= self.expires_at {
            return Err(expired(self.expires_at, at));
        }
        Ok(())
    }

    /// Refuses collateral that was verified under other roots than those asked for now.
    pub(super) fn check_root(&self, root: &Authority) -> Result<()> {
        if self.root == root.der() {
            return Ok(());
        }
        Err(Error::new(Code::CollateralMismatch)
            .at(checks::TCB_SIGNING_CHAIN)
            .context("The collateral was verified under another root."))
    }

    /// Refuses a platform whose certificate or authority is revoked, or whose authority the lists do not cover.
    pub(super) fn check_revocation(&self, ca: &Authority, leaf: Serial) -> Result<()> {
        if ca.subject() != self.ca.subject() || ca.key() != self.ca.key() {
            return Err(Error::new(Code::CollateralMismatch)
                .at(checks::CRL)
                .expected(ca.common_name())
                .found(self.ca.common_name()));
        }
        let revoked = |what: &str| Err(Error::new(Code::PckRevoked).at(checks::PCK_REVOKED).found(what));
        if self.root_crl.revokes(ca.serial()) {
            return revoked("intermediate authority");
        }
        if self.pck_crl.revokes(leaf) {
            return revoked("platform certificate");
        }
        Ok(())
    }
}

/// The TCB signing certificate.
struct Signer {
    key: [u8; 65],
    serial: Serial,
    not_before: u64,
    not_after: u64,
}

impl Signer {
    /// Verifies a chain `signer, root`. The signer must be issued by the root itself: any other leaf under the root, such as a
    /// platform's own key, must not be able to sign collateral.
    fn verify(chain: &str, root: &Authority, at: u64) -> Result<Signer> {
        let chain = pem::certificates(chain.as_bytes()).map_err(signing_error)?;
        let [leaf, last] = chain.as_slice() else { return Err(signing_error(Problem::ChainShape)) };
        if last != root.der() {
            return Err(signing_error(Problem::ChainShape).context("It ends at another root."));
        }
        let leaf = Certificate::parse(leaf).map_err(signing_error)?;
        if leaf.common_name() != Some(SIGNER_NAME) {
            return Err(signing_error(Problem::Name).expected(SIGNER_NAME));
        }
        leaf.end_entity().map_err(signing_error)?;
        if !leaf.states_usage() {
            return Err(signing_error(Problem::Usage));
        }
        leaf.issued_by(root).map_err(signing_error)?;
        leaf.valid_at(at).map_err(signing_error)?;
        let PublicKey::P256(key) = leaf.key() else { return Err(signing_error(Problem::Algorithm)) };
        Ok(Signer {
            key: *key,
            serial: leaf.serial(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
        })
    }

    fn check(&self, text: &str, signature: &[u8], check: &'static str) -> Result<()> {
        if signature.len() == 64 && crypto::p256_verify_fixed(&self.key, text.as_bytes(), signature) {
            Ok(())
        } else {
            Err(Error::new(Code::CollateralSignature).at(check))
        }
    }
}

fn check_window(tcb_info: &TcbInfo, qe_identity: &QeIdentity, at: u64) -> Result<()> {
    for issued in [tcb_info.issued_at, qe_identity.issued_at] {
        if at < issued {
            return Err(Error::new(Code::CollateralNotYetValid)
                .at(checks::NOT_YET_VALID)
                .expected(format!("a time from {} on", rfc3339(issued)))
                .found(rfc3339(at)));
        }
    }
    for end in [tcb_info.next_update, qe_identity.next_update] {
        if at >= end {
            return Err(expired(end, at));
        }
    }
    Ok(())
}

fn expired(end: u64, at: u64) -> Error {
    Error::new(Code::CollateralExpired)
        .at(checks::EXPIRED)
        .expected(format!("a time before {}", rfc3339(end)))
        .found(rfc3339(at))
}

/// The authority that issued the platform revocation list, from the chain `intermediate, root`.
fn crl_issuer(
    chain: &str,
    root: &Authority,
    at: u64,
    known: Option<&Authority>,
) -> Result<(Authority, CaKind)> {
    let chain = pem::certificates(chain.as_bytes()).map_err(crl_error)?;
    let [intermediate, last] = chain.as_slice() else { return Err(crl_error(Problem::ChainShape)) };
    if last != root.der() {
        return Err(crl_error(Problem::ChainShape).context("The list's chain ends at another root."));
    }
    let ca = match known {
        Some(known) if known.der() == intermediate.as_slice() => known.clone(),
        _ => {
            let certificate = Certificate::parse(intermediate).map_err(crl_error)?;
            pck::authority(root, &certificate, at).map_err(crl_error)?
        }
    };
    let kind = CaKind::from_common_name(ca.common_name()).ok_or_else(|| crl_error(Problem::Name))?;
    Ok((ca, kind))
}

fn current_crl(der: &[u8], issuer: &Authority, at: u64) -> Result<RevocationList> {
    let list = RevocationList::verify(der, issuer).map_err(crl_error)?;
    list.current_at(at).map_err(crl_error)?;
    Ok(list)
}

fn crl_error(problem: Problem) -> Error {
    let code = match problem {
        Problem::Expired | Problem::NotYetValid => Code::CrlExpired,
        Problem::Malformed => Code::CollateralMalformed,
        Problem::Name | Problem::ChainShape => Code::CollateralMismatch,
        _ => Code::CollateralSignature,
    };
    Error::new(code).at(checks::CRL).context(problem.to_string())
}

fn signing_error(problem: Problem) -> Error {
    let code = match problem {
        Problem::Expired => Code::CollateralExpired,
        Problem::NotYetValid => Code::CollateralNotYetValid,
        _ => Code::CollateralSignature,
    };
    Error::new(code).at(checks::TCB_SIGNING_CHAIN).context(problem.to_string())
}
