//! Revocation of the certificates behind devices and manifests, by OCSP answers (`attestation.md` 3.4).
//!
//! Of a device's chain everything between its own certificate, which is made anew at each boot and known to nobody, and the root is
//! asked about; of a manifest's chain everything below the root.

use super::checks::OCSP;
use super::reference::Rims;
use super::rim::Rim;
use crate::claims::{GpuClaims, RevocationState};
use crate::error::{Code, Error, Result};
use crate::limits::{OCSP_MAX_AGE_S, OCSP_MAX_ANSWERS};
use crate::pki::Authority;
use crate::pki::ocsp::{Answer, CERTIFICATE_HOLD, OcspProblem, Query, Statement, Status};

/// Certificates of a device to ask about: each authority above it by the one above that.
pub(super) fn device_queries(device: &GpuClaims) -> Vec<Query<'_>> {
    chain(&device.authorities)
}

/// Certificates of a manifest's signer to ask about.
pub(super) fn rim_queries(rim: &Rim) -> Vec<Query<'_>> {
    let leaf = rim.authorities.first().map(|issuer| Query::new(issuer, rim.signer_serial));
    leaf.into_iter().chain(chain(&rim.authorities)).collect()
}

fn chain(authorities: &[Authority]) -> Vec<Query<'_>> {
    let pairs = authorities.iter().zip(authorities.iter().skip(1));
    pairs.map(|(subject, issuer)| Query::new(issuer, subject.serial())).collect()
}

/// OCSP answers at hand, and the rules they are judged by.
pub struct Revocation<'a> {
    answers: Vec<Answer<'a>>,
    nonce: Option<[u8; 32]>,
    at: u64,
    allow_hold: bool,
}

impl<'a> Revocation<'a> {
    /// Takes answers apart. `nonce` is what the requests had; `allow_hold` accepts certificates on hold. Fails with
    /// `collateral_malformed` when one is no OCSP answer, and with `limit_exceeded`.
    pub fn new(
        answers: &'a [Vec<u8>],
        nonce: Option<[u8; 32]>,
        at: u64,
        allow_hold: bool,
    ) -> Result<Revocation<'a>> {
        if answers.len() > OCSP_MAX_ANSWERS {
            return Err(Error::new(Code::LimitExceeded).at("OCSP answers"));
        }
        let answers = answers.iter().map(|bytes| Answer::parse(bytes).map_err(problem));
        Ok(Revocation { answers: answers.collect::<Result<_>>()?, nonce, at, allow_hold })
    }

    /// The state of a device: good when every certificate is. Fails with `gpu_revoked`, with `collateral_missing` when no answer is
    /// about one of them or the responder does not know it, and as an answer that does not count.
    pub fn device(&self, device: &GpuClaims) -> Result<RevocationState> {
        self.all(&device_queries(device))
    }

    /// The same for the signers of manifests.
    pub fn rims(&self, rims: &Rims) -> Result<RevocationState> {
        let queries: Vec<Query<'_>> = rims.iter().flat_map(|rim| rim_queries(rim.get())).collect();
        self.all(&queries)
    }

    fn all(&self, queries: &[Query<'_>]) -> Result<RevocationState> {
        let (mut since, mut until) = (u64::MAX, u64::MAX);
        for query in queries {
            let statement = self.statement(query)?;
            match statement.status {
                Status::Good => {}
                Status::Revoked { reason: Some(CERTIFICATE_HOLD), .. } if self.allow_hold => {}
                Status::Revoked { at, reason } => {
                    let reason =
                        reason.map_or_else(|| "no reason".to_owned(), |reason| format!("reason {reason}"));
                    return Err(Error::new(Code::GpuRevoked)
                        .at(OCSP)
                        .expected("good")
                        .found(format!("revoked at {at}, {reason}")));
                }
                Status::Unknown => {
                    return Err(Error::new(Code::CollateralMissing)
                        .at(OCSP)
                        .context("The responder does not know a certificate.")
                        .expected("good")
                        .found("unknown"));
                }
            }
            since = since.min(statement.this_update);
            until = until.min(statement.until);
        }
        Ok(RevocationState::Good { since, until })
    }

    /// The statement about one certificate: the first answer about it decides.
    fn statement(&self, query: &Query<'_>) -> Result<Statement> {
        let answer = self.answers.iter().find(|answer| answer.is_about(query)).ok_or_else(|| {
            Error::new(Code::CollateralMissing)
                .at(OCSP)
                .context("No OCSP answer is about one of the certificates.")
        })?;
        answer.verify(query, self.nonce.as_ref(), self.at, OCSP_MAX_AGE_S).map_err(problem)
    }
}

fn problem(problem: OcspProblem) -> Error {
    let at = |code| Error::new(code).at(OCSP);
    match problem {
        OcspProblem::Malformed => at(Code::CollateralMalformed).context("It is not an OCSP answer."),
        OcspProblem::Unsuccessful(status) => at(Code::CollateralMissing)
            .context("The OCSP responder reports trouble.")
            .found(status.to_string()),
        OcspProblem::OtherCertificate => {
            at(Code::CollateralMissing).context("The OCSP answer is about others.")
        }
        OcspProblem::Responder(problem) => at(Code::CollateralSignature)
            .context(format!("Nobody who may speak for the issuer signed the OCSP answer. {problem}")),
        OcspProblem::Signature => {
            at(Code::CollateralSignature).context("The OCSP answer's signature is wrong.")
        }
        OcspProblem::Nonce => at(Code::CollateralMismatch).context("The OCSP answer is to another request."),
        OcspProblem::NotYetValid => {
            at(Code::CollateralNotYetValid).context("The OCSP answer is from the future.")
        }
        OcspProblem::Expired => at(Code::CollateralExpired).context("The OCSP answer is too old."),
    }
}
