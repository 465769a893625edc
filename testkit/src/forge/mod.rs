//! The evidence forge: a throw-away world of roots, platforms, enclaves and GPUs, and evidence signed under them.
//!
//! Layouts: attestation.md sections 1 (SEV-SNP), 2 (TDX), 3 (NVIDIA) and 4.2 (dstack, compose manager), privatemode.md section 3 (Contrast); certificate profiles as in
//! real certificates of the same kind. Everything follows from one [`Random`] source, so a fixed seed gives fixed bytes (ECDSA is
//! deterministic, RFC 6979); only AMD-shaped certificates, whose RSA keys the crypto library makes anew in each process, differ. Every field that a verifier looks at is a public knob, so that a test can make any defect *signed*
//! instead of only damaged.

pub mod collateral;
pub mod contrast;
pub mod der;
pub mod dstack;
pub mod gpu;
pub mod intel;
pub mod keys;
pub mod nras;
pub mod ocsp;
pub mod quote;
mod random;
pub mod rim;
pub mod snp;
mod text;
pub mod world;
pub mod x509;

pub use collateral::{Collateral, CollateralSpec, QeIdentitySpec, Signer, TcbInfoSpec, TcbLevel};
pub use contrast::{Deployment, DocumentSpec, Hardware, MeshPki};
pub use dstack::{AppSpec, DigestVersion, Event, EventLog};
pub use gpu::{Gpu, GpuReportSpec, Model, NvidiaPki};
pub use intel::{Certified, IntelPki, Platform, PlatformSpec};
pub use keys::{EcKey, EnclaveKey};
pub use nras::{ClaimsVersion, NrasPki, NrasSpec};
pub use ocsp::{CertStatus, OcspSpec};
pub use quote::{QuoteSpec, TdBody};
pub use random::Random;
pub use rim::{RimPki, RimSpec};
pub use snp::{SnpDefect, SnpEvidence, SnpReportSpec, SnpSpec};
pub use text::{object, pem, pem_chain, rfc3339, string};
pub use world::{World, WorldSpec};

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;
