//! Authenticated facts: what signed evidence says, once every signature in it led to a trusted root.
//!
//! Owns the vocabulary ([`TdxClaims`], [`SnpClaims`], [`DstackClaims`], [`GpuClaims`], [`ContrastClaims`]) and [`Verified`], the mark that a value came out of `attest`. Whether the facts are
//! acceptable is not decided here: that is policy.

mod contrast;
mod dstack;
mod gpu;
mod nras;
mod snp;
mod tdx;

pub use contrast::{
    ContrastClaims, ContrastHardwareClaims, GuestPolicy, Manifest, ManifestPolicy, PlatformRules,
    PolicyDocument, SnpReference, TdxReference,
};
pub use dstack::{DstackClaims, KeyProvider, MrConfig, RuntimeEvent};
pub use gpu::{
    Architecture, ConfidentialMode, DeviceDetails, DeviceKind, GpuClaims, GpuMode, ReferenceState,
    RevocationState,
};
pub use nras::{NrasClaims, NrasDevice};
pub use snp::{
    Cpuid, FirmwareVersion, Product, Revocation, SigningKey, SnpClaims, SnpReport, SnpSigner, SnpTcb,
    TcbParts, VekFacts,
};
pub use tdx::{PckFacts, SgxType, TcbAssessment, TcbStatus, TdBody, TdxClaims};

use std::fmt;
use std::ops::Deref;

/// A value whose evidence was verified to a trusted root.
///
/// Only `attest` makes one: there is no public constructor, no `Clone`, no `Default` and no deserialisation, so holding one means
/// that the checks ran.
///
/// ```compile_fail,E0423
/// use proveil_core::claims::Verified;
/// let forged = Verified("facts"); // the field is private, and so is every constructor
/// ```
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Marks a value as verified. For `attest` alone.
    pub(crate) const fn new(value: T) -> Verified<T> {
        Verified(value)
    }

    /// The same facts with more of them known. For `attest` alone.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Verified<U> {
        Verified(change(self.0))
    }

    /// The facts.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.0).finish()
    }
}
