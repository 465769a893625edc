//! Everything that an appraisal used, in one object: the evidence, the vendors' statements, the policy, the trust roots and the time.
//! Judging it again gives the same report, byte for byte, without network.
//!
//! Two forms, both `proveil.evidence/v1` (docs/captures.md, docs/schema/proveil.evidence.v1.json): one JSON text, and a directory in
//! which `evidence.json` names the parts as files. A bundle holds no key, no prompt and no answer to one. It is somebody's word until
//! it was appraised: the policy in it is used unless the caller gives one, the trust roots in it never (README decision 4, threats T27
//! and T68).

mod collateral;
mod files;
mod members;
mod parts;
mod read;
mod write;

use crate::appraise::{
    self, CAPTURED_ROOTS, NvidiaInput, Rules, SnpExpectations, TdxExpectations, recheck_command,
};
use crate::attest::TrustRoots;
use crate::attest::nvidia::Device;
use crate::error::Result;
use crate::evidence::{GpuEndorsements, SnpEndorsements, TdxCollateral};
use crate::policy::Policy;
use crate::provider::{Exchange, ProviderEvidence};
use crate::report::Report;

/// Name of the JSON form.
pub const SCHEMA: &str = "proveil.evidence/v1";
/// The file of the directory form that names all others.
pub const INDEX_FILE: &str = "evidence.json";
/// Where the directory form keeps the policy.
pub const POLICY_FILE: &str = "policy.json";
/// Where the directory form keeps trust roots that are not the vendors'.
pub const ROOTS_FILE: &str = "roots.json";

/// What was judged.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// A provider's endpoint.
    Provider(ProviderEvidence),
    /// An AMD SEV-SNP guest.
    Snp {
        /// The attestation report.
        report: Vec<u8>,
        /// Certificates and revocation list.
        endorsements: SnpEndorsements,
        /// Values that the caller knows.
        expected: SnpExpectations,
    },
    /// An Intel TDX guest.
    Tdx {
        /// The quote.
        quote: Vec<u8>,
        /// Intel's collateral; sets for other platforms do not matter.
        collateral: Vec<TdxCollateral>,
        /// Values that the caller knows.
        expected: Box<TdxExpectations>,
    },
    /// NVIDIA GPUs and switches of one system.
    Nvidia {
        /// Report and certificate chain of each.
        devices: Vec<Device>,
        /// The 32-byte challenge.
        nonce: [u8; 32],
        /// What NVIDIA says about them.
        endorsements: GpuEndorsements,
    },
}

impl Evidence {
    /// `provider`, `snp`, `tdx` or `nvidia`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Evidence::Provider(_) => "provider",
            Evidence::Snp { .. } => "snp",
            Evidence::Tdx { .. } => "tdx",
            Evidence::Nvidia { .. } => "nvidia",
        }
    }
}

/// Evidence with everything that it is judged by.
#[derive(Clone, Debug)]
pub struct EvidenceBundle {
    evidence: Evidence,
    policy: Policy,
    roots: TrustRoots,
    /// Roots that a file says were used. Nothing is judged by them unless the caller asks for it.
    recorded_roots: Option<TrustRoots>,
    at: u64,
}

/// One file of the directory form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// Lowercase letters, digits, dots and hyphens; no folders.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Gives the file of a name, which may be that many bytes long.
pub type ReadFile<'f> = dyn FnMut(&str, usize) -> Result<Vec<u8>> + 'f;

impl EvidenceBundle {
    /// Evidence with rules and the time to judge by, in seconds since 1970-01-01T00:00:00Z.
    pub const fn new(evidence: Evidence, policy: Policy, roots: TrustRoots, at: u64) -> EvidenceBundle {
        EvidenceBundle { evidence, policy, roots, recorded_roots: None, at }
    }

    /// What a verification used, once its outcome is there, whatever it was.
    pub fn of_exchange(exchange: &Exchange) -> Option<EvidenceBundle> {
        let (evidence, at) = exchange.capture()?;
        let (policy, roots) = exchange.rules();
        Some(EvidenceBundle::new(Evidence::Provider(evidence), policy.clone(), roots.clone(), at))
    }

    /// Reads the JSON form, at most 32 MiB. Strict: unknown, missing and repeated members are refused. Fails with `evidence_invalid`,
    /// naming the member and for an unknown one the nearest, `limit_exceeded`, `policy_invalid` or `trust_roots_invalid`.
    pub fn from_json(bytes: &[u8]) -> Result<EvidenceBundle> {
        read::read(bytes, None)
    }

    /// Reads the directory form. `read` gives the file of a name, which is at most that many bytes long; it is asked for
    /// [`INDEX_FILE`] first and then for plain names in the same folder only. Fails as [`EvidenceBundle::from_json`] does, and with
    /// what `read` fails with.
    pub fn from_files(read: &mut ReadFile<'_>) -> Result<EvidenceBundle> {
        let index = read(INDEX_FILE, crate::limits::EVIDENCE_BUNDLE_MAX_BYTES)?;
        read::read(&index, Some(read))
    }

    /// The JSON form: deterministic, one text for one bundle.
    pub fn to_json(&self) -> String {
        write::json(self)
    }

    /// The directory form: [`INDEX_FILE`] first, then what it names. Deterministic.
    pub fn to_files(&self) -> Vec<BundleFile> {
        write::files(self)
    }

    /// What was judged.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// `provider`, `snp`, `tdx` or `nvidia`.
    pub const fn kind(&self) -> &'static str {
        self.evidence.kind()
    }

    /// The policy that was used.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Roots other than the vendors' that were used: those given to [`EvidenceBundle::new`], or those that a file says were. To judge
    /// a file by them, hand them to [`EvidenceBundle::appraise`].
    pub fn custom_roots(&self) -> Option<&TrustRoots> {
        self.recorded_roots.as_ref().or(Some(&self.roots)).filter(|roots| roots.is_custom())
    }

    /// When it was captured or is to be judged, in seconds since 1970-01-01T00:00:00Z.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Judges the evidence, by default as it was judged when the bundle was made: by its own policy and at its own time. Roots that
    /// come from a file are not used unless the caller hands them in: by default a bundle that was read is judged by the vendors'.
    ///
    /// The error, when the verdict is not `verified`, is that of the first check that counts and did not pass, and carries the report.
    pub fn appraise(
        &self,
        policy: Option<&Policy>,
        roots: Option<&TrustRoots>,
        at: Option<u64>,
    ) -> (Report, Result<()>) {
        let policy = policy.unwrap_or(&self.policy);
        let roots = roots.unwrap_or(&self.roots);
        let at = at.unwrap_or(self.at);
        let recheck = self.recheck(policy, roots, at);
        let rules = || Rules { policy, roots, at, recheck: Some(recheck.clone()) };
        match &self.evidence {
            Evidence::Provider(evidence) => evidence.appraise(policy, roots, at, recheck),
            Evidence::Snp { report, endorsements, expected } => {
                appraise::snp::appraise(report, endorsements, expected, &rules())
            }
            Evidence::Tdx { quote, collateral, expected } => {
                appraise::tdx::appraise(quote, collateral, expected, &rules())
            }
            Evidence::Nvidia { devices, nonce, endorsements } => {
                appraise::nvidia::appraise(&NvidiaInput { devices, nonce, endorsements }, &rules())
            }
        }
    }

    /// The command that judges the stored bundle by these rules.
    fn recheck(&self, policy: &Policy, roots: &TrustRoots, at: u64) -> String {
        let captured = self.custom_roots().and_then(TrustRoots::to_json);
        let roots = match roots.to_json() {
            None => None,
            own if own == captured => Some(CAPTURED_ROOTS),
            Some(_) => Some("ROOTS.json"),
        };
        let preset = Policy::preset(policy.name()).filter(|preset| preset == policy);
        let named = preset.as_ref().map_or("POLICY.json", Policy::name);
        recheck_command(roots, (*policy != self.policy).then_some(named), at)
    }
}
