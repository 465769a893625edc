//! What an appraisal of a deployment used beside the attestation answer, so that it can be made again.

use super::appraise::{Appraised, Input, KeyExchange, ManifestOrigin, appraise};
use super::options::Leniency;
use crate::attest::TrustRoots;
use crate::attest::contrast::SecretServiceNames;
use crate::error::Result;
use crate::evidence::SnpEndorsements;
use crate::policy::Policy;
use crate::provider::ProviderEvidence;
use crate::report::Report;

/// The provider's own part of a capture. It holds no key and no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivatemodeEvidence {
    /// The expected manifest.
    pub manifest: Vec<u8>,
    /// Who named it.
    pub origin: ManifestOrigin,
    /// What was fetched from AMD.
    pub endorsements: Option<SnpEndorsements>,
    /// Names that the key service's certificate must have.
    pub names: SecretServiceNames,
    /// The key exchange, if it was made.
    pub exchange: Option<CapturedExchange>,
    /// What the client accepted beyond the default.
    pub leniency: Leniency,
}

/// A key exchange as it went over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedExchange {
    /// Our public key, 1216 bytes.
    pub public_key: Vec<u8>,
    /// The key service's answer as received.
    pub answer: Vec<u8>,
    /// When it was asked, in seconds since 1970-01-01T00:00:00Z.
    pub asked_at: u64,
}

impl<'a> From<&'a CapturedExchange> for KeyExchange<'a> {
    fn from(captured: &'a CapturedExchange) -> KeyExchange<'a> {
        KeyExchange {
            public_key: &captured.public_key,
            answer: &captured.answer,
            asked_at: captured.asked_at,
        }
    }
}

/// Appraises a capture as of `at`.
pub(crate) fn appraise_capture(
    evidence: &ProviderEvidence,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
    recheck: &str,
) -> (Report, Result<()>) {
    // Without its own part there is nothing to judge; a bundle cannot be read without it.
    let nothing = PrivatemodeEvidence::default();
    let own = evidence.privatemode.as_deref().unwrap_or(&nothing);
    let Appraised { report, accepted, .. } = appraise(&Input {
        model: evidence.model.as_deref().unwrap_or("(not given)"),
        base_url: &evidence.base_url,
        manifest: &own.manifest,
        origin: own.origin,
        nonce: &evidence.nonce,
        response: &evidence.response,
        endorsements: own.endorsements.as_ref(),
        collateral: &evidence.collateral,
        failure: evidence.collateral_failure.as_ref(),
        exchange: own.exchange.as_ref().map(KeyExchange::from),
        names: &own.names,
        leniency: own.leniency,
        pin: evidence.pin.as_ref(),
        policy,
        roots,
        at,
        recheck: Some(recheck),
    });
    (report, accepted.map(drop))
}
