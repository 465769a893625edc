//! One rule per provider profile: what REPORTDATA must hold, and which challenge the devices must have answered (attestation.md 4.1 and
//! 4.2 item 2).
//!
//! The profile follows from who was asked. Nothing in an answer chooses another one, and no second rule is tried when the first fails.

use super::identity::{Identity, check_report_data, optional_text};
use super::{NodeInput, devices, instance};
use crate::attest::nvidia::GpuEvidence;
use crate::attest::tdx;
use crate::claims::TdxClaims;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::pki::{Certificate, pem};
use crate::policy::Appraisal;
use crate::wire::hex;
use crate::wire::json::Json;

/// The rule of a provider's profile.
#[derive(Clone, Debug)]
pub(crate) enum BindingRule<'a> {
    /// A guest alone: nothing is bound, and no challenge was sent.
    Unbound,
    /// Venice, NEAR AI, NanoGPT: the node's address or key (with the TLS key's hash where the node names one), then the challenge.
    /// The devices answer the challenge.
    SigningKey,
    /// Chutes: a hash of challenge and encryption key, then the hash of the TLS key. The devices answer the first hash.
    InstanceKey {
        /// The instance's encryption key exactly as the instance list has it, or why it is not known.
        key: Result<&'a str>,
    },
    /// Tinfoil's third format: one hash of TLS key, encryption key, challenge and device evidence. The devices answer the challenge.
    KeysAndDevices {
        /// The document exactly as received: the evidence's own bytes are hashed.
        document: &'a str,
    },
}

impl BindingRule<'_> {
    /// The node's one quote, from where the profile has it.
    pub fn quote(&self, answer: &Json) -> Result<Vec<u8>> {
        match self {
            BindingRule::Unbound | BindingRule::SigningKey => super::quote_bytes(answer),
            BindingRule::InstanceKey { .. } => quote_text(optional_text(answer, "quote")?),
            BindingRule::KeysAndDevices { .. } => devices::quote(answer),
        }
    }

    /// The devices' evidence, from where the profile has it.
    pub fn device_evidence(&self, input: &NodeInput<'_>) -> Result<GpuEvidence> {
        match self {
            BindingRule::Unbound | BindingRule::SigningKey => {
                GpuEvidence::read(input.answer.get("nvidia_payload"))
            }
            BindingRule::InstanceKey { .. } => GpuEvidence::read_list(input.answer.get("gpu_evidence")),
            BindingRule::KeysAndDevices { .. } => devices::evidence(input),
        }
    }

    /// Whether device evidence states the challenge beside the signed reports, where a difference is a contradiction.
    pub const fn states_challenge(&self) -> bool {
        matches!(self, BindingRule::SigningKey)
    }

    /// The checks that tie a verified quote to keys and challenge.
    pub const fn checks(&self) -> &'static [&'static str] {
        match self {
            BindingRule::Unbound => &[],
            BindingRule::SigningKey => &["binding.key", "nonce.cpu"],
            BindingRule::InstanceKey { .. } => &["binding.key", "nonce.cpu", "binding.tls"],
            BindingRule::KeysAndDevices { .. } => &["binding.report_data", "binding.key", "nonce.cpu"],
        }
    }
}

/// What the answer states before its quote is looked at.
pub(super) enum Stated {
    /// Nothing that is bound.
    Unbound,
    /// The signing identity, if it is usable.
    SigningKey(Option<Identity>),
    /// The hash of challenge and key, if the key is known.
    InstanceKey(Option<[u8; 32]>),
    /// The keys and hashes, if they can be read.
    KeysAndDevices(Option<devices::Stated>),
}

/// Reads the statements of the profile and makes the checks that need no quote.
pub(super) fn read(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>) -> Stated {
    match input.rule {
        BindingRule::Unbound => Stated::Unbound,
        BindingRule::SigningKey => Stated::SigningKey(read_identity(appraisal, input)),
        BindingRule::InstanceKey { key } => Stated::InstanceKey(instance::read(appraisal, input, key)),
        BindingRule::KeysAndDevices { document } => {
            Stated::KeysAndDevices(devices::read(appraisal, input, document))
        }
    }
}

impl Stated {
    /// Compares the signed REPORTDATA with what the rule says it must be.
    pub fn check(&self, appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>, claims: &TdxClaims) {
        let report_data = &claims.body.report_data;
        match self {
            Stated::Unbound => {}
            Stated::SigningKey(identity) => {
                check_identity(appraisal, input, identity.as_ref(), report_data);
            }
            Stated::InstanceKey(hash) => instance::check(appraisal, input, hash.as_ref(), report_data),
            Stated::KeysAndDevices(stated) => devices::check(appraisal, input, stated.as_ref(), report_data),
        }
        if matches!(self, Stated::Unbound | Stated::SigningKey(_)) {
            appraisal.record(input.scope, "binding.report_data", check_copies(input.answer, report_data));
        }
    }

    /// What the devices must have been asked; `None` when the rule's own inputs are not known.
    pub const fn device_challenge(&self, input: &NodeInput<'_>) -> Option<[u8; 32]> {
        match self {
            Stated::InstanceKey(hash) => *hash,
            _ => Some(*input.nonce),
        }
    }

    /// The signing identity, if the profile has one and it is usable.
    pub fn into_identity(self) -> Option<Identity> {
        match self {
            Stated::SigningKey(identity) => identity,
            _ => None,
        }
    }
}

/// The quote in a text member.
pub(super) fn quote_text(text: Option<&str>) -> Result<Vec<u8>> {
    let text = text.ok_or_else(|| Error::new(Code::QuoteMissing).at("quote.present"))?;
    tdx::decode_quote_text(text)
}

/// Compares the SHA-256 of a DER certificate's public key (SubjectPublicKeyInfo) with the bound one.
pub(super) fn check_tls_key(certificate: &[u8], bound: &[u8]) -> Result<()> {
    let certificate = Certificate::parse(certificate)
        .map_err(|_| Error::new(Code::MalformedField).at("binding.tls").expected("a certificate"))?;
    let spki = crypto::sha256(&[certificate.spki()]);
    if spki == bound {
        Ok(())
    } else {
        Err(Error::new(Code::TlsKeyMismatch)
            .at("binding.tls")
            .expected(hex::short(bound))
            .found(hex::short(&spki)))
    }
}

/// The same for the first certificate of a PEM text.
pub(super) fn check_tls_certificate(pem: &Json, bound: &[u8; 32]) -> Result<()> {
    let malformed = || Error::new(Code::MalformedField).at("binding.tls");
    let text = pem.as_str().ok_or_else(malformed)?;
    let chain = pem::certificates(text.as_bytes()).map_err(|_| malformed())?;
    check_tls_key(chain.first().ok_or_else(malformed)?, bound)
}

fn read_identity(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>) -> Option<Identity> {
    let read = Identity::read(input.answer).and_then(|(identity, address)| {
        if input.seals && identity.sealing_key().is_none() {
            let error = Error::new(Code::NoSigningKey).at("binding.signing_key");
            return Err(error.expected("a secp256k1 public key"));
        }
        Ok((identity, address))
    });
    let Some((identity, address)) = appraisal.record(input.scope, "binding.signing_key", read) else {
        let error = Error::new(Code::AddressMismatch).at("binding.address").found("no usable key");
        appraisal.fail(input.scope, "binding.address", error);
        return None;
    };
    appraisal.record(input.scope, "binding.address", address);
    Some(identity)
}

fn check_identity(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    identity: Option<&Identity>,
    report_data: &[u8; 64],
) {
    let scope = input.scope;
    let Some(identity) = identity else {
        appraisal.not_checked(scope, "binding.key", "the answer names no usable key");
        appraisal.not_checked(scope, "nonce.cpu", "the answer names no usable key");
        return;
    };
    match tls_fingerprint(input.answer) {
        Ok(fingerprint) => {
            let (key, fresh) = check_report_data(
                report_data,
                identity,
                fingerprint.as_ref().map(|f| f.as_slice()),
                input.nonce,
            );
            match key {
                Ok(binding) => appraisal.pass_with(scope, "binding.key", binding.name()),
                Err(error) => appraisal.fail(scope, "binding.key", error),
            }
            appraisal.record(scope, "nonce.cpu", fresh);
            if let (Some(fingerprint), Some(pem)) = (fingerprint, input.answer.get("tls_certificate")) {
                appraisal.record(scope, "binding.tls", check_tls_certificate(pem, &fingerprint));
            }
        }
        Err(error) => appraisal.fail(scope, "binding.key", error),
    }
}

/// `tls_cert_fingerprint`, 32 bytes in hex; where a node names one, REPORTDATA holds a hash over it.
pub(crate) fn tls_fingerprint(answer: &Json) -> Result<Option<[u8; 32]>> {
    optional_text(answer, "tls_cert_fingerprint")?
        .map(|text| {
            hex::decode_array(text).ok_or_else(|| Error::new(Code::MalformedField).at("tls_cert_fingerprint"))
        })
        .transpose()
}

/// Copies of REPORTDATA outside the quote must equal it (venice.md 2.4 step 9); they are never used instead.
pub(crate) fn check_copies(answer: &Json, report_data: &[u8; 64]) -> Result<()> {
    let attestation = answer.get("attestation");
    let evidence = attestation.and_then(|attestation| attestation.get("evidence"));
    let holders =
        [(Some(answer), "report_data"), (attestation, "report_data"), (evidence, "quote_report_data")];
    for (holder, name) in holders {
        let Some(text) = holder.map(|holder| optional_text(holder, name)).transpose()?.flatten() else {
            continue;
        };
        let copy = hex::decode_prefixed(text).unwrap_or_default();
        if copy != report_data {
            return Err(Error::new(Code::ConflictingFields)
                .at("binding.report_data")
                .expected(hex::short(report_data))
                .found(hex::short(&copy)));
        }
    }
    Ok(())
}
