//! Intel TDX: a quote and Intel's collateral in, [`TdxClaims`] out.
//!
//! Source: `protocols/attestation.md` section 2. The order of checks is that of [`CHECKS`]: the quote by itself (layout, PCK chain,
//! quoting enclave, attestation key, signature), the collateral by itself, then the platform judged by the collateral. Tests on
//! the accepted facts (debug bit, patch status, measurements) are in [`rules`]. Why this is our own code: docs/adr/0002.

mod checks;
mod collateral;
mod fields;
mod kept;
mod pck;
mod qe;
mod quote;
pub mod rules;
mod tcb;
mod verify;

pub use crate::claims::{PckFacts, SgxType, TcbAssessment, TcbStatus, TdBody, TdxClaims};
pub use checks::{CHECKS, position};
pub use collateral::VerifiedCollateral;
pub(super) use kept::Kept;
pub use quote::{BodyType, Platform, Quote, decode_quote_text};
pub use verify::{verify, verify_with_raw_collateral};
