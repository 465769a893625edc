//! Who an attested node says it is: its signing key, the address derived from it, and the rule by which REPORTDATA binds both
//! (venice.md 2.3, 2.4 steps 4, 5 and 8).

use super::keys::{address_of, parse_ed25519_key, parse_key};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::secret::constant_time_eq;
use crate::wire::hex;
use crate::wire::json::Json;

/// A signing identity as REPORTDATA can hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// secp256k1: the uncompressed point and its 20-byte address. The point is absent where a node names only its address.
    Ecdsa { public: Option<[u8; 65]>, address: [u8; 20] },
    /// Ed25519: the key is its own address.
    Ed25519([u8; 32]),
}

/// The rule that REPORTDATA followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Address and 12 zero bytes, then the nonce.
    AddressPadded,
    /// Ed25519 key, then the nonce.
    Ed25519Key,
    /// SHA-256 of address (or key) and TLS key hash, then the nonce.
    AddressAndTls,
}

impl Binding {
    /// Name of the variant (venice.md 2.3).
    pub const fn name(self) -> &'static str {
        match self {
            Binding::AddressPadded => "address_padded",
            Binding::Ed25519Key => "ed25519_key",
            Binding::AddressAndTls => "sha256_address_spki",
        }
    }
}

impl Identity {
    /// Address or key as bytes.
    pub fn address(&self) -> &[u8] {
        match self {
            Identity::Ecdsa { address, .. } => address,
            Identity::Ed25519(key) => key,
        }
    }

    /// The secp256k1 key that requests can be sealed to.
    pub const fn sealing_key(&self) -> Option<&[u8; 65]> {
        match self {
            Identity::Ecdsa { public: Some(public), .. } => Some(public),
            _ => None,
        }
    }

    /// Reads `signing_key` and `signing_public_key` (aliases, either or both), `signing_address` and `signing_algo`. The first error is
    /// the key's (`binding.signing_key`), the second the address's (`binding.address`), whose check comes after.
    pub fn read(answer: &Json) -> Result<(Identity, Result<()>)> {
        let at = |error: Error| error.at("binding.signing_key");
        let ed25519 = match optional_text(answer, "signing_algo")? {
            None | Some("ecdsa") => false,
            Some("ed25519") => true,
            Some(other) => {
                return Err(at(Error::new(Code::KeyInvalid)).found(other).expected("ecdsa or ed25519"));
            }
        };
        let mut keys = Vec::new();
        for name in ["signing_key", "signing_public_key"] {
            if let Some(text) = optional_text(answer, name)? {
                keys.push(normalise(text, ed25519).map_err(at)?);
            }
        }
        if let [first, second] = keys.as_slice()
            && first != second
        {
            return Err(at(Error::new(Code::ConflictingFields))
                .expected(hex::short(first.address()))
                .found(hex::short(second.address())));
        }
        let address = optional_text(answer, "signing_address")?;
        match (keys.into_iter().next(), address) {
            (Some(identity), None) => Ok((identity, Ok(()))),
            (Some(identity), Some(text)) => {
                let verdict = match hex::decode_prefixed(text) {
                    Some(bytes) if bytes == identity.address() => Ok(()),
                    Some(bytes) => Err(Error::new(Code::AddressMismatch)
                        .expected(hex::short(identity.address()))
                        .found(hex::short(&bytes))),
                    None => Err(Error::new(Code::AddressMismatch).found("not hex")),
                };
                Ok((identity, verdict.map_err(|error| error.at("binding.address"))))
            }
            (None, Some(text)) => Identity::from_address(text, ed25519).map(|identity| (identity, Ok(()))),
            (None, None) => Err(at(Error::new(Code::NoSigningKey))),
        }
    }

    fn from_address(text: &str, ed25519: bool) -> Result<Identity> {
        let bytes = hex::decode_prefixed(text).unwrap_or_default();
        let identity = if ed25519 {
            bytes.try_into().ok().map(Identity::Ed25519)
        } else {
            bytes.try_into().ok().map(|address| Identity::Ecdsa { public: None, address })
        };
        identity.ok_or_else(|| Error::new(Code::KeyInvalid).at("binding.address").found(text))
    }
}

/// One canonical form of a public key.
fn normalise(text: &str, ed25519: bool) -> Result<Identity> {
    if ed25519 {
        parse_ed25519_key(text).map(Identity::Ed25519)
    } else {
        parse_key(text).map(|public| Identity::Ecdsa { address: address_of(&public), public: Some(public) })
    }
}

/// Compares REPORTDATA with the one rule that the answer's members select: never several in turn (attestation.md 4.2 item 2).
pub(crate) fn check_report_data(
    report_data: &[u8; 64],
    identity: &Identity,
    tls_fingerprint: Option<&[u8]>,
    nonce: &[u8],
) -> (Result<Binding>, Result<()>) {
    let (head, tail) = report_data.split_at(32);
    let mismatch = |expected: &[u8], found: &[u8]| {
        Err(Error::new(Code::ReportDataIdentityMismatch)
            .at("binding.key")
            .expected(hex::short(expected))
            .found(hex::short(found)))
    };
    let key = match (tls_fingerprint, identity) {
        (Some(fingerprint), identity) => {
            let expected = crypto::sha256(&[identity.address(), fingerprint]);
            if constant_time_eq(&expected, head) {
                Ok(Binding::AddressAndTls)
            } else {
                mismatch(&expected, head)
            }
        }
        (None, Identity::Ed25519(key)) => {
            if constant_time_eq(key, head) {
                Ok(Binding::Ed25519Key)
            } else {
                mismatch(key, head)
            }
        }
        (None, Identity::Ecdsa { address, .. }) => {
            let (found, padding) = head.split_at(20);
            if !constant_time_eq(address, found) {
                mismatch(address, found)
            } else if padding.iter().any(|byte| *byte != 0) {
                Err(Error::new(Code::ReportDataPaddingNonzero).at("binding.key").found(hex::short(padding)))
            } else {
                Ok(Binding::AddressPadded)
            }
        }
    };
    let fresh = if constant_time_eq(nonce, tail) {
        Ok(())
    } else {
        Err(Error::new(Code::ReportDataNonceMismatch)
            .at("nonce.cpu")
            .expected(hex::short(nonce))
            .found(hex::short(tail)))
    };
    (key, fresh)
}

/// A text member; absent and `null` are the same, any other type is `malformed_field`.
pub(crate) fn optional_text<'a>(object: &'a Json, name: &str) -> Result<Option<&'a str>> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::new(Code::MalformedField).at(name).expected("a text")),
    }
}
