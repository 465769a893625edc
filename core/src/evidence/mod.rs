//! Untrusted bundles as received: evidence and the vendor collateral needed to judge it.
//!
//! Owns their file and wire forms and size limits. Nothing here is verified; `attest` does that.

mod contrast;
mod nvidia;
mod nvidia_file;
mod snp;
mod tdx;

pub use contrast::{ContrastDocument, ContrastHardware, SecretAnswer, SnpAttestation};
pub use nvidia::{GpuEndorsements, NrasAnswer, RimDocument};
pub use snp::{KdsRequests, SnpEndorsements};
pub use tdx::{CaKind, CollateralRequests, PcsResponses, TdxCollateral};
