//! Untrusted bundles as received: evidence and the vendor collateral needed to judge it.
//!
//! Owns their file and wire forms and size limits. Nothing here is verified; `attest` does that.

mod snp;
mod tdx;

pub use snp::{KdsRequests, SnpEndorsements};
pub use tdx::{CaKind, CollateralRequests, PcsResponses, TdxCollateral};
