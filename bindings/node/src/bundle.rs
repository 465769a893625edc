//! Evidence bundles.

use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;
use proveil_bindings_support::HardwareOptions;
use proveil_bindings_support::core::attest::TrustRoots;
use proveil_bindings_support::core::bundle;
use proveil_bindings_support::core::{Code, Error, Result};

use crate::answer::{Answer, Work, answer, work};
use crate::report::{PolicyFields, Report, policy, trust_roots};
use crate::values::{copies, seconds};

/// Everything that an appraisal used.
#[napi]
pub struct EvidenceBundle(bundle::EvidenceBundle);

impl From<bundle::EvidenceBundle> for EvidenceBundle {
    fn from(bundle: bundle::EvidenceBundle) -> EvidenceBundle {
        EvidenceBundle(bundle)
    }
}

/// What the TypeScript class shows of a bundle.
#[napi(object, object_from_js = false)]
pub struct BundleFields {
    /// `provider`, `snp`, `tdx` or `nvidia`.
    pub kind: &'static str,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub at: f64,
    /// The policy.
    pub policy: PolicyFields,
    /// Trust roots document.
    pub custom_roots: Option<String>,
}

#[napi]
impl EvidenceBundle {
    /// What can be seen of it.
    #[napi]
    pub fn fields(&self) -> Answer<BundleFields> {
        answer(|| {
            Ok(BundleFields {
                kind: self.0.kind(),
                #[allow(clippy::cast_precision_loss, reason = "times are far below 2^53")]
                at: self.0.at() as f64,
                policy: PolicyFields::from(self.0.policy()),
                custom_roots: self.0.custom_roots().and_then(TrustRoots::to_json).map(str::to_owned),
            })
        })
    }

    /// `proveil.evidence/v1` JSON.
    #[napi]
    pub fn json(&self) -> Answer<String> {
        answer(|| Ok(self.0.to_json()))
    }

    /// Judges the evidence; absent arguments stand for the bundle's own.
    #[napi]
    pub fn appraise(
        &self,
        policy_json: Option<String>,
        roots_json: Option<String>,
        at: Option<f64>,
    ) -> AsyncTask<Work<Report>> {
        let bundle = self.0.clone();
        work(move || {
            let (policy, roots) = (policy(policy_json)?, trust_roots(roots_json)?);
            let at = seconds("at", at)?;
            Ok(Report::from(bundle.appraise(policy.as_ref(), roots.as_ref(), at).0))
        })
    }
}

/// Bare hardware evidence, as the TypeScript layer gives it.
#[napi(object, object_to_js = false)]
pub struct HardwareFields {
    /// `snp`, `tdx` or `nvidia`.
    pub kind: String,
    /// Files in any order.
    pub files: Vec<Uint8Array>,
    /// Challenge.
    pub nonce: Option<Uint8Array>,
    /// Report data.
    pub report_data: Option<Uint8Array>,
    /// Measurement.
    pub measurement: Option<Uint8Array>,
    /// Host data.
    pub host_data: Option<Uint8Array>,
    /// MRTD.
    pub mr_td: Option<Uint8Array>,
    /// MRSEAM.
    pub mr_seam: Option<Uint8Array>,
    /// MRCONFIGID.
    pub mr_config_id: Option<Uint8Array>,
    /// MROWNER.
    pub mr_owner: Option<Uint8Array>,
    /// MROWNERCONFIG.
    pub mr_owner_config: Option<Uint8Array>,
    /// RTMR0.
    pub rtmr0: Option<Uint8Array>,
    /// RTMR1.
    pub rtmr1: Option<Uint8Array>,
    /// RTMR2.
    pub rtmr2: Option<Uint8Array>,
    /// RTMR3.
    pub rtmr3: Option<Uint8Array>,
    /// Policy document.
    pub policy: Option<String>,
    /// Trust roots document.
    pub trust_roots: Option<String>,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub at: Option<f64>,
}

/// Reads a bundle.
#[napi]
pub fn bundle_from_json(json: Uint8Array) -> Answer<EvidenceBundle> {
    answer(|| Ok(EvidenceBundle(bundle::EvidenceBundle::from_json(&json)?)))
}

/// Makes a bundle of hardware evidence.
#[napi]
pub fn bundle_of_hardware(given: HardwareFields) -> Answer<EvidenceBundle> {
    answer(|| hardware(given).map(EvidenceBundle))
}

fn hardware(given: HardwareFields) -> Result<bundle::EvidenceBundle> {
    let copy = |array: Option<Uint8Array>| array.map(|array| array.to_vec());
    let options = HardwareOptions {
        files: copies(&given.files),
        report_data: copy(given.report_data),
        measurement: copy(given.measurement),
        host_data: copy(given.host_data),
        mr_td: copy(given.mr_td),
        mr_seam: copy(given.mr_seam),
        mr_config_id: copy(given.mr_config_id),
        mr_owner: copy(given.mr_owner),
        mr_owner_config: copy(given.mr_owner_config),
        rtmr0: copy(given.rtmr0),
        rtmr1: copy(given.rtmr1),
        rtmr2: copy(given.rtmr2),
        rtmr3: copy(given.rtmr3),
        policy: policy(given.policy)?,
        trust_roots: trust_roots(given.trust_roots)?,
        at: seconds("at", given.at)?,
    };
    match given.kind.as_str() {
        "snp" => options.snp(),
        "tdx" => options.tdx(),
        "nvidia" => options.nvidia(&copy(given.nonce).unwrap_or_default()),
        _ => Err(Error::new(Code::InvalidArgument).at("kind")),
    }
}
