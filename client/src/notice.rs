//! What a client tells its host while it works, so that a program can show progress. Never holds a prompt, key or header value.

use std::sync::Arc;

/// Something worth showing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A request goes out: `model list`, `attestation`, `Intel TCB info`, `chat`, ...
    Sending(&'static str),
    /// The same request or verification is tried once more.
    Retrying {
        /// Why, in a few words.
        why: &'static str,
    },
    /// A deployment was proven to run another manifest than the last time. Whether that is right is for pins, an expected manifest or a
    /// person to say.
    ManifestChanged {
        /// SHA-256 of the manifest before, hex.
        old_sha256: String,
        /// SHA-256 of the manifest now, hex.
        new_sha256: String,
        /// What differs, in lines for people.
        difference: String,
    },
    /// Something did not work that is not needed, such as the collateral cache.
    Warning(String),
}

/// Called from whatever thread does the work; must return quickly.
pub type Observer = Arc<dyn Fn(&Notice) + Send + Sync>;

/// An observer that ignores everything.
pub(crate) fn silent() -> Observer {
    Arc::new(|_| ())
}
