//! What must hold, and whose signatures count.

use std::sync::Arc;

use proveil_bindings_support::core::attest;
use proveil_bindings_support::core::policy;
use proveil_bindings_support::hex;

use crate::error::{Outcome, guarded};

/// What must hold before anything is sent. Immutable.
#[derive(uniffi::Object)]
pub struct Policy(policy::Policy);

impl From<policy::Policy> for Policy {
    fn from(policy: policy::Policy) -> Policy {
        Policy(policy)
    }
}

#[uniffi::export]
impl Policy {
    /// The strongest policy that the honest deployments known today meet; the default everywhere.
    #[uniffi::constructor]
    pub fn standard() -> Arc<Policy> {
        Arc::new(Policy(policy::Policy::standard()))
    }

    /// As standard, and software and GPU measurements must equal reference values.
    #[uniffi::constructor]
    pub fn strict() -> Arc<Policy> {
        Arc::new(Policy(policy::Policy::strict()))
    }

    /// Reads a `proveil.policy/v1` document; fails with `policy_invalid`, naming the member.
    #[uniffi::constructor]
    pub fn from_json(json: String) -> Outcome<Arc<Policy>> {
        guarded(|| Ok(Arc::new(Policy(policy::Policy::from_json(json.as_bytes())?))))
    }

    /// The complete document, canonical.
    pub fn to_json(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_json()))
    }

    /// Name of the preset or document.
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// SHA-256 of the rules without the name, hex.
    pub fn sha256(&self) -> Outcome<String> {
        guarded(|| Ok(hex(&self.0.sha256())))
    }
}

/// Roots for labs and simulators. Every signature is still checked, and every report then says CUSTOM roots.
#[derive(uniffi::Object)]
pub struct TrustRoots(attest::TrustRoots);

impl From<attest::TrustRoots> for TrustRoots {
    fn from(roots: attest::TrustRoots) -> TrustRoots {
        TrustRoots(roots)
    }
}

#[uniffi::export]
impl TrustRoots {
    /// Reads a `proveil.trust-roots/v1` document; fails with `trust_roots_invalid`.
    #[uniffi::constructor]
    pub fn from_json(json: String) -> Outcome<Arc<TrustRoots>> {
        guarded(|| Ok(Arc::new(TrustRoots(attest::TrustRoots::from_json(json.as_bytes())?))))
    }
}

/// The rules behind an optional object.
pub fn policy_of(policy: Option<Arc<Policy>>) -> Option<policy::Policy> {
    policy.map(|policy| policy.0.clone())
}

/// The roots behind an optional object.
pub fn roots_of(roots: Option<Arc<TrustRoots>>) -> Option<attest::TrustRoots> {
    roots.map(|roots| roots.0.clone())
}
