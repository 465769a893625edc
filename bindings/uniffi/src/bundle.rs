//! Everything that an appraisal used, to be kept and judged again without network; and bare hardware evidence.

use std::sync::Arc;

use proveil_bindings_support::HardwareOptions as Options;
use proveil_bindings_support::core::bundle;

use crate::error::{Outcome, guarded};
use crate::policy::{Policy, TrustRoots, policy_of, roots_of};
use crate::report::Report;

/// What is expected of hardware evidence, and what it is judged by. A value for another kind of evidence is refused.
#[derive(Default, uniffi::Record)]
pub struct HardwareOptions {
    /// SEV-SNP: 64 bytes; TDX: the first 1 to 64 bytes.
    #[uniffi(default = None)]
    pub report_data: Option<Vec<u8>>,
    /// SEV-SNP: measurement of the guest, 48 bytes.
    #[uniffi(default = None)]
    pub measurement: Option<Vec<u8>>,
    /// SEV-SNP: what the host put into the report, 32 bytes.
    #[uniffi(default = None)]
    pub host_data: Option<Vec<u8>>,
    /// TDX: measurement of the first content, 48 bytes, as all registers.
    #[uniffi(default = None)]
    pub mr_td: Option<Vec<u8>>,
    /// TDX: measurement of the module.
    #[uniffi(default = None)]
    pub mr_seam: Option<Vec<u8>>,
    /// TDX: configuration that the host chose.
    #[uniffi(default = None)]
    pub mr_config_id: Option<Vec<u8>>,
    /// TDX: owner that the host chose.
    #[uniffi(default = None)]
    pub mr_owner: Option<Vec<u8>>,
    /// TDX: owner's configuration that the host chose.
    #[uniffi(default = None)]
    pub mr_owner_config: Option<Vec<u8>>,
    /// TDX: run-time register 0.
    #[uniffi(default = None)]
    pub rtmr0: Option<Vec<u8>>,
    /// TDX: run-time register 1.
    #[uniffi(default = None)]
    pub rtmr1: Option<Vec<u8>>,
    /// TDX: run-time register 2.
    #[uniffi(default = None)]
    pub rtmr2: Option<Vec<u8>>,
    /// TDX: run-time register 3.
    #[uniffi(default = None)]
    pub rtmr3: Option<Vec<u8>>,
    /// What must hold; default is `Policy.standard`.
    #[uniffi(default = None)]
    pub policy: Option<Arc<Policy>>,
    /// Whose signatures count; default is the hardware vendors'.
    #[uniffi(default = None)]
    pub trust_roots: Option<Arc<TrustRoots>>,
    /// When to judge, in seconds since 1970-01-01T00:00:00Z; default is now.
    #[uniffi(default = None)]
    pub at: Option<u64>,
}

fn options(files: Vec<Vec<u8>>, given: Option<HardwareOptions>) -> Options {
    let given = given.unwrap_or_default();
    Options {
        files,
        report_data: given.report_data,
        measurement: given.measurement,
        host_data: given.host_data,
        mr_td: given.mr_td,
        mr_seam: given.mr_seam,
        mr_config_id: given.mr_config_id,
        mr_owner: given.mr_owner,
        mr_owner_config: given.mr_owner_config,
        rtmr0: given.rtmr0,
        rtmr1: given.rtmr1,
        rtmr2: given.rtmr2,
        rtmr3: given.rtmr3,
        policy: policy_of(given.policy),
        trust_roots: roots_of(given.trust_roots),
        at: given.at,
    }
}

/// Evidence, what the vendors say, policy, trust roots and time of one appraisal. Judged again it gives the same report, byte for byte.
/// Immutable.
#[derive(uniffi::Object)]
pub struct EvidenceBundle(bundle::EvidenceBundle);

impl From<bundle::EvidenceBundle> for EvidenceBundle {
    fn from(bundle: bundle::EvidenceBundle) -> EvidenceBundle {
        EvidenceBundle(bundle)
    }
}

#[uniffi::export]
impl EvidenceBundle {
    /// Reads a `proveil.evidence/v1` document; fails with `evidence_invalid`, naming the member, or `limit_exceeded`.
    #[uniffi::constructor]
    pub fn from_json(json: String) -> Outcome<Arc<EvidenceBundle>> {
        guarded(|| Ok(Arc::new(bundle::EvidenceBundle::from_json(json.as_bytes())?.into())))
    }

    /// An SEV-SNP report (1184 bytes) with certificates and revocation list, in any order.
    #[uniffi::constructor(default(options = None))]
    pub fn snp(files: Vec<Vec<u8>>, options: Option<HardwareOptions>) -> Outcome<Arc<EvidenceBundle>> {
        guarded(|| Ok(Arc::new(self::options(files, options).snp()?.into())))
    }

    /// A TDX quote with Intel's collateral in the form of nine texts, in any order.
    #[uniffi::constructor(default(options = None))]
    pub fn tdx(files: Vec<Vec<u8>>, options: Option<HardwareOptions>) -> Outcome<Arc<EvidenceBundle>> {
        guarded(|| Ok(Arc::new(self::options(files, options).tdx()?.into())))
    }

    /// GPUs and switches of one system that were asked with `nonce` (32 bytes): reports and chains, manifests, OCSP answers, tokens and
    /// key list of NVIDIA's attestation service, in any order.
    #[uniffi::constructor(default(options = None))]
    pub fn nvidia(
        files: Vec<Vec<u8>>,
        nonce: Vec<u8>,
        options: Option<HardwareOptions>,
    ) -> Outcome<Arc<EvidenceBundle>> {
        guarded(|| Ok(Arc::new(self::options(files, options).nvidia(&nonce)?.into())))
    }

    /// Judges the evidence, by default by the bundle's own policy and at its own time. Trust roots that a document names are not used
    /// unless they are handed in: see `custom_roots`. All three verdicts are a report.
    #[uniffi::method(default(policy = None, trust_roots = None, at = None))]
    pub fn appraise(
        &self,
        policy: Option<Arc<Policy>>,
        trust_roots: Option<Arc<TrustRoots>>,
        at: Option<u64>,
    ) -> Outcome<Arc<Report>> {
        guarded(|| {
            let (policy, roots) = (policy_of(policy), roots_of(trust_roots));
            Ok(Arc::new(self.0.appraise(policy.as_ref(), roots.as_ref(), at).0.into()))
        })
    }

    /// The `proveil.evidence/v1` document, deterministic.
    pub fn to_json(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_json()))
    }

    /// `provider`, `snp`, `tdx` or `nvidia`.
    pub fn kind(&self) -> String {
        self.0.kind().to_owned()
    }

    /// When it was captured or is to be judged, in seconds since 1970-01-01T00:00:00Z.
    pub fn at(&self) -> u64 {
        self.0.at()
    }

    /// The policy that was used.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::new(self.0.policy().clone().into())
    }

    /// Trust roots other than the vendors' that were used, or that the document says were.
    pub fn custom_roots(&self) -> Option<Arc<TrustRoots>> {
        self.0.custom_roots().map(|roots| Arc::new(roots.clone().into()))
    }
}
