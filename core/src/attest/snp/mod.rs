//! AMD SEV-SNP: a report and the certificates of its signing key in, [`SnpClaims`] out.
//!
//! Source: `protocols/attestation.md` section 1. The order of checks is that of [`CHECKS`]: the report's layout, the certificate chain to
//! the trusted root, the certificate's profile, the signature, the certificate against the report. Tests on the accepted facts
//! (guest policy, patch levels, report data) are in [`rules`].

mod checks;
mod kds;
mod report;
mod roots;
pub mod rules;
mod tcb;
mod vek;
mod verify;

pub use crate::claims::{
    Cpuid, FirmwareVersion, Product, Revocation, SigningKey, SnpClaims, SnpReport, SnpSigner, SnpTcb,
    TcbParts, VekFacts,
};
pub use checks::{CHECKS, position, steps};
pub use report::{REPORT_LEN, Report};
pub use roots::{AmdRoot, AmdRoots};
pub use vek::VerifiedVek;
pub use verify::{verify, verify_with_raw_endorsements};
