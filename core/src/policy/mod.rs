//! What must hold before anything is sent, as a JSON document that is the same in every language (`proveil.policy/v1`).
//!
//! A policy can be stricter than a preset, or name relaxations one by one; each relaxation is listed in every report. No policy can
//! relax a signature, a certificate chain, the freshness or the key binding: those ids are not accepted in `advisory_checks`. The
//! document's schema is `docs/schema/proveil.policy.v1.json`.

mod appraisal;
mod compare;
mod document;
mod gpu;
mod measured;

pub use crate::wire::time;
pub use appraisal::Accepted;
pub(crate) use appraisal::{Appraisal, Bare, Subject};
pub use compare::{Difference, Effect};

use crate::attest::nvidia::rules::GpuPolicy;
use crate::attest::snp::rules::SnpPolicy;
use crate::attest::tdx::TcbStatus;
use crate::attest::tdx::rules::TdxPolicy;
use crate::crypto;
use crate::error::Result;
use crate::limits::VERDICT_MAX_AGE_S;
use crate::report::Enforcement;

/// How GPU evidence is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuRule {
    /// It must be there and verify.
    Required,
    /// If it is there it must verify.
    IfPresent,
    /// It is not looked at.
    Off,
}

impl GpuRule {
    /// Name in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            GpuRule::Required => "required",
            GpuRule::IfPresent => "if_present",
            GpuRule::Off => "off",
        }
    }
}

/// Reference values for the measured software. An empty list means that the value is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Accepted MRTD values (48 bytes each).
    pub mr_td: Vec<Vec<u8>>,
    /// Accepted RTMR0 to RTMR3 values (48 bytes each). RTMR3 of a dstack guest also holds its instance's id.
    pub rtmr: [Vec<Vec<u8>>; 4],
    /// Accepted SHA-256 values of the application description (32 bytes each).
    pub compose_hash: Vec<Vec<u8>>,
    /// Accepted OS image hashes (32 bytes each).
    pub os_image_hash: Vec<Vec<u8>>,
    /// Accepted application ids (20 bytes each).
    pub app_id: Vec<Vec<u8>>,
}

impl References {
    /// True when there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        *self == References::default()
    }
}

/// Providers with presets of their own.
const PROVIDERS: &[&str] = &["venice", "privatemode"];

/// Lowest evaluation number of Intel's collateral among honest captures (attestation.md 2.3: 17 in 2025-06).
const MIN_EVALUATION_NUMBER: u32 = 17;

/// What must hold. Immutable; its canonical hash is in every report.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    name: String,
    max_age_s: u64,
    not_after: Option<u64>,
    tdx: TdxPolicy,
    snp: SnpPolicy,
    references: References,
    require_reference: bool,
    software_enforces_gpu: bool,
    gpu: GpuRule,
    gpu_minimum: usize,
    require_gpu_measurements: bool,
    gpu_rules: GpuPolicy,
    advisory_checks: Vec<String>,
    enforced_checks: Vec<String>,
    allow_clear_stop: bool,
    allow_whitespace_plaintext: bool,
}

impl Policy {
    /// The strongest policy that the honest deployments known today meet: current patch level, fresh, key bound, GPU evidence for the
    /// same challenge. Software identity is reported, not required.
    pub fn standard() -> Policy {
        Policy {
            name: "standard".to_owned(),
            max_age_s: VERDICT_MAX_AGE_S,
            not_after: None,
            tdx: TdxPolicy { min_evaluation_number: MIN_EVALUATION_NUMBER, ..TdxPolicy::default() },
            snp: SnpPolicy::default(),
            references: References::default(),
            require_reference: false,
            software_enforces_gpu: false,
            gpu: GpuRule::Required,
            gpu_minimum: 1,
            require_gpu_measurements: false,
            gpu_rules: GpuPolicy::default(),
            advisory_checks: Vec::new(),
            enforced_checks: Vec::new(),
            allow_clear_stop: false,
            allow_whitespace_plaintext: false,
        }
    }

    /// [`Policy::standard`], and reference values for the software and GPU measurements are required.
    pub fn strict() -> Policy {
        Policy {
            name: "strict".to_owned(),
            snp: SnpPolicy::strict(),
            require_reference: true,
            require_gpu_measurements: true,
            ..Policy::standard()
        }
    }

    /// The preset of this name: `standard` or `strict`, or either for one provider (`venice/standard`). A provider's `standard` is the
    /// strongest policy that its honest deployment meets.
    pub fn preset(name: &str) -> Option<Policy> {
        let rules = match name.split_once('/') {
            // What is known of these deployments today is what the general presets ask for. No evidence about GPUs reaches a client of
            // Privatemode: its appraisal does not ask for any.
            Some((provider, rules)) if PROVIDERS.contains(&provider) => rules,
            Some(_) => return None,
            None => name,
        };
        let policy = match rules {
            "standard" => Policy::standard(),
            "strict" => Policy::strict(),
            _ => return None,
        };
        let mut policy = policy;
        if name.starts_with("privatemode/") {
            // Its guests allow multithreading, and its manifests demand that the platform has it off: that is compared for each report.
            policy.snp.allow_smt = true;
        }
        Some(policy.named(name))
    }

    /// The name of every preset.
    pub fn preset_names() -> impl Iterator<Item = &'static str> {
        [
            "standard",
            "strict",
            "venice/standard",
            "venice/strict",
            "privatemode/standard",
            "privatemode/strict",
        ]
        .into_iter()
    }

    /// Reads a `proveil.policy/v1` document. Members that are absent keep the value of the preset that `extends` names (default
    /// `standard`). Fails with `policy_invalid`, naming the member with its line and column and, for an unknown one, the nearest known.
    pub fn from_json(json: &[u8]) -> Result<Policy> {
        document::read(json)
    }

    /// The complete document, every member present, canonical (RFC 8785).
    pub fn to_json(&self) -> String {
        document::write(self)
    }

    /// SHA-256 of [`Policy::to_json`] without the name, so that equal rules have equal hashes.
    pub fn sha256(&self) -> [u8; 32] {
        let unnamed = Policy { name: String::new(), ..self.clone() };
        crypto::sha256(&[unnamed.to_json().as_bytes()])
    }

    /// Name of the preset or document.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Longest life of a verdict in seconds, at most 30 minutes.
    pub const fn max_age_s(&self) -> u64 {
        self.max_age_s
    }

    /// From this second on (since 1970-01-01T00:00:00Z) the policy is not to be used any more; `None` means never.
    pub const fn not_after(&self) -> Option<u64> {
        self.not_after
    }

    /// Rules for Intel TDX.
    pub const fn tdx(&self) -> &TdxPolicy {
        &self.tdx
    }

    /// Rules for AMD SEV-SNP.
    pub const fn snp(&self) -> &SnpPolicy {
        &self.snp
    }

    /// Reference values for the software.
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// Whether software without a matching reference value is refused.
    pub const fn require_reference(&self) -> bool {
        self.require_reference
    }

    /// Whether the software that the reference values name is known, to whoever wrote the policy, to check its own GPUs and to refuse to
    /// work without them. Nothing else ties a GPU to an enclave.
    pub const fn software_enforces_gpu(&self) -> bool {
        self.software_enforces_gpu
    }

    /// How GPU evidence is treated.
    pub const fn gpu(&self) -> GpuRule {
        self.gpu
    }

    /// Fewest distinct GPUs.
    pub const fn gpu_minimum(&self) -> usize {
        self.gpu_minimum
    }

    /// Whether GPU measurements must equal the vendor's, compared here or by NVIDIA's attestation service.
    pub const fn require_gpu_measurements(&self) -> bool {
        self.require_gpu_measurements
    }

    /// Further demands on GPUs.
    pub const fn gpu_rules(&self) -> &GpuPolicy {
        &self.gpu_rules
    }

    /// Whether `stop` sequences may travel in clear.
    pub const fn allow_clear_stop(&self) -> bool {
        self.allow_clear_stop
    }

    /// Whether white space in clear is tolerated in an encrypted answer.
    pub const fn allow_whitespace_plaintext(&self) -> bool {
        self.allow_whitespace_plaintext
    }

    /// The same policy with another name, for reports.
    pub fn named(mut self, name: &str) -> Policy {
        self.name = name.chars().filter(|c| !c.is_control()).take(64).collect();
        self
    }

    /// What the policy says about whether a check counts, by its id without scope; `None` where the catalogue decides.
    pub(crate) fn enforcement(&self, id: &str) -> Option<Enforcement> {
        let named = |list: &[String]| list.iter().any(|named| named == id);
        if named(&self.enforced_checks) {
            Some(Enforcement::Enforced)
        } else if named(&self.advisory_checks) {
            Some(Enforcement::Advisory)
        } else {
            None
        }
    }

    /// True when checks of the policy's own choice count or do not count.
    pub(crate) fn changes_checks(&self) -> bool {
        !self.enforced_checks.is_empty() || !self.advisory_checks.is_empty()
    }

    /// Ids of the checks that must pass whatever the catalogue says, sorted.
    pub fn enforced_checks(&self) -> &[String] {
        &self.enforced_checks
    }

    /// Ids of the checks that are reported only, sorted.
    pub fn advisory_checks(&self) -> &[String] {
        &self.advisory_checks
    }

    /// Every way in which this policy accepts more than the preset `standard`, in words.
    pub fn relaxations(&self) -> Vec<String> {
        let standard = Policy::standard();
        let mut out: Vec<String> =
            self.advisory_checks.iter().map(|id| format!("check {id} is advisory")).collect();
        let tdx = &self.tdx;
        for status in &tdx.accepted_statuses {
            if *status != TcbStatus::UpToDate {
                out.push(format!("TCB status {} is accepted", status.word()));
            }
        }
        if !tdx.accepted_advisories.is_empty() {
            out.push(format!("advisories accepted: {}", tdx.accepted_advisories.join(" ")));
        }
        if tdx.min_evaluation_number < MIN_EVALUATION_NUMBER {
            out.push(format!(
                "collateral from evaluation number {} on is accepted",
                tdx.min_evaluation_number
            ));
        }
        for (relaxed, words) in [
            (!tdx.require_sept_ve_disable, "SEPT_VE_DISABLE is not required"),
            (tdx.allow_perfmon, "performance counters are accepted"),
            (tdx.allow_service_td, "a service TD is accepted"),
        ] {
            if relaxed {
                out.push(words.to_owned());
            }
        }
        out.extend(document::snp::relaxations(&self.snp));
        if self.gpu != GpuRule::Required {
            out.push(format!("GPU evidence is {}", self.gpu.name()));
        }
        if self.gpu_minimum < standard.gpu_minimum {
            out.push("no GPU is asked for".to_owned());
        }
        out.extend(self.gpu_rules.relaxations());
        if self.allow_clear_stop {
            out.push("stop sequences may travel in clear".to_owned());
        }
        if self.allow_whitespace_plaintext {
            out.push("white space in clear is tolerated in answers".to_owned());
        }
        out
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::standard()
    }
}
