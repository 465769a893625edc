//! Reports, policies and trust roots.

use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;
use proveil_bindings_support::core::attest::TrustRoots;
use proveil_bindings_support::core::policy::Policy;
use proveil_bindings_support::core::{Code, Error, Result, report};
use proveil_bindings_support::{EvidenceOptions, hex};

use crate::answer::{Answer, Work, answer, work};
use crate::values::{copies, seconds};

/// The result of one appraisal.
#[napi]
pub struct Report(report::Report);

impl From<report::Report> for Report {
    fn from(report: report::Report) -> Report {
        Report(report)
    }
}

#[napi]
impl Report {
    /// `proveil.report/v1` JSON.
    #[napi]
    pub fn json(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_json()))
    }

    /// For a terminal of 80 columns.
    #[napi]
    pub fn text(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_text()))
    }

    /// One HTML page.
    #[napi]
    pub fn html(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_html()))
    }

    /// A card as one SVG image.
    #[napi]
    pub fn svg(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_svg()))
    }

    /// An EAT attestation result.
    #[napi]
    pub fn ear_json(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_ear_json()))
    }
}

/// What the TypeScript class shows of a policy; its JSON form is what crosses back.
#[napi(object, object_from_js = false)]
pub struct PolicyFields {
    /// Canonical `proveil.policy/v1` JSON.
    pub json: String,
    /// Name.
    pub name: String,
    /// Hash of the rules.
    pub sha256: String,
}

impl From<&Policy> for PolicyFields {
    fn from(policy: &Policy) -> PolicyFields {
        PolicyFields { json: policy.to_json(), name: policy.name().to_owned(), sha256: hex(&policy.sha256()) }
    }
}

/// The preset of this name.
#[napi]
pub fn policy_preset(name: String) -> Answer<PolicyFields> {
    answer(|| {
        let unknown =
            || Error::new(Code::InvalidArgument).at("name").expected("standard or strict").found(&name);
        Ok(PolicyFields::from(&Policy::preset(&name).ok_or_else(unknown)?))
    })
}

/// Reads a policy document.
#[napi]
pub fn policy_from_json(json: String) -> Answer<PolicyFields> {
    answer(|| Ok(PolicyFields::from(&Policy::from_json(json.as_bytes())?)))
}

/// Checks a trust roots document; the JSON text is what crosses back.
#[napi]
pub fn trust_roots_check(json: String) -> Answer<bool> {
    answer(|| Ok(TrustRoots::from_json(json.as_bytes())?.is_custom()))
}

/// Captured evidence, as the TypeScript layer gives it.
#[napi(object, object_to_js = false)]
pub struct EvidenceFields {
    /// Provider name.
    pub provider: String,
    /// Attestation answer.
    pub response: Uint8Array,
    /// Challenge.
    pub nonce: Uint8Array,
    /// Collateral documents.
    pub collateral: Vec<Uint8Array>,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub at: Option<f64>,
    /// Model id.
    pub model: Option<String>,
    /// Policy document.
    pub policy: Option<String>,
    /// Trust roots document.
    pub trust_roots: Option<String>,
}

/// Judges captured evidence.
#[napi]
pub fn verify_evidence(given: EvidenceFields) -> AsyncTask<Work<Report>> {
    // Copied here: the caller may change its arrays while the pool works.
    let (response, nonce, collateral) =
        (given.response.to_vec(), given.nonce.to_vec(), copies(&given.collateral));
    work(move || {
        let options = EvidenceOptions {
            provider: given.provider,
            response,
            nonce,
            collateral,
            at: seconds("at", given.at)?,
            model: given.model,
            policy: policy(given.policy)?,
            trust_roots: trust_roots(given.trust_roots)?,
        };
        options.appraise().map(Report)
    })
}

/// The policy behind a document.
pub fn policy(json: Option<String>) -> Result<Option<Policy>> {
    json.map(|json| Policy::from_json(json.as_bytes())).transpose()
}

/// The roots behind a document.
pub fn trust_roots(json: Option<String>) -> Result<Option<TrustRoots>> {
    json.map(|json| TrustRoots::from_json(json.as_bytes())).transpose()
}
