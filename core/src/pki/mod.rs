//! X.509 certificates, revocation lists and pinned vendor roots, judged at a given time.
//!
//! Owns: [`Certificate`] (parsed, not yet trusted), [`Authority`] (a certificate that leads to a trusted root and may issue),
//! [`RevocationList`], [`ocsp`], [`jwt`], [`pem`], [`time`] and the pinned [`roots`]. Chains are taken as given, in one line from the leaf to a pinned
//! root: there is no path building (threats T20, T21). Signatures are checked over the received bytes.
//! Source: RFC 5280; `protocols/attestation.md` 2.2, 2.3, 3.2 and 5. Knows nothing about a vendor's own extensions.

mod certificate;
mod crl;
pub mod jwt;
pub mod ocsp;
pub mod pem;
pub mod roots;
#[cfg(test)]
mod tests;
pub mod time;

pub use certificate::{Authority, Certificate, PublicKey, Serial};
pub use crl::RevocationList;

use std::fmt;

/// Why a certificate, chain or revocation list was not accepted. The caller knows which object it was and gives it a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not the expected encoding, or over a size limit.
    Malformed,
    /// Too many or too few certificates, or in another order.
    ChainShape,
    /// A critical extension that is not understood, or an extension twice.
    Extension,
    /// An algorithm or key type that is not accepted.
    Algorithm,
    /// Issuer and subject names or key identifiers do not meet.
    Name,
    /// The certificate may not be used for this: CA flag, path length or key usage.
    Usage,
    /// After the last moment of validity.
    Expired,
    /// Before the first moment of validity.
    NotYetValid,
    /// The signature is wrong.
    Signature,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Malformed => "It is not well-formed.",
            Problem::ChainShape => "The chain does not have the expected certificates in the expected order.",
            Problem::Extension => "It has an extension that is repeated or not understood.",
            Problem::Algorithm => "It uses an algorithm that is not accepted.",
            Problem::Name => "Its names do not fit its issuer or its role.",
            Problem::Usage => "It may not be used for this purpose.",
            Problem::Expired => "It has expired.",
            Problem::NotYetValid => "It is not valid yet.",
            Problem::Signature => "Its signature is wrong.",
        })
    }
}
