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
    /// Something did not work that is not needed, such as the collateral cache.
    Warning(String),
}

/// Called from whatever thread does the work; must return quickly.
pub type Observer = Arc<dyn Fn(&Notice) + Send + Sync>;

/// An observer that ignores everything.
pub(crate) fn silent() -> Observer {
    Arc::new(|_| ())
}
