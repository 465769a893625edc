//! Contrast: a coordinator's attestation document in, [`ContrastClaims`] out; and what its mesh authority vouches for, the key service.
//!
//! Source: `protocols/privatemode.md` sections 3 and 4.2. Hardware is judged through [`super::snp`] and [`super::tdx`] alone; here it is
//! compared with the reference values of the manifest that the caller expects. Ask [`needs`] what to fetch, then [`verify`].

mod binding;
mod checks;
mod difference;
mod id_block;
mod manifest;
mod mesh;
mod needs;
pub mod rules;
mod verify;

pub use crate::claims::{
    ContrastClaims, ContrastHardwareClaims, GuestPolicy, Manifest, ManifestPolicy, PlatformRules,
    PolicyDocument, SnpReference, TdxReference,
};
pub use binding::{report_data, transition_digest};
pub use checks::{CHECKS, position};
pub use difference::{ManifestDifference, describe, differences};
pub use id_block::{id_block, id_key, id_key_digest};
pub(crate) use mesh::authority;
pub use mesh::{KeyService, SecretServiceNames, verify_key_service, verify_secret_answer};
pub use needs::{Need, choose, needs};
pub use verify::{Collateral, Expectations, verify};
