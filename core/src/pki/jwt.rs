//! Signed tokens (JWT, RFC 7515 and 7519) with ES384 alone, and the key lists (JWKS, RFC 7517) that they are checked with.
//!
//! The algorithm is fixed here and never taken from the token; neither is the key. A header that brings a key or an address of one is
//! refused (threats T14). A key of a list counts only through its certificate, which an authority pinned by digest must have issued:
//! how the list was fetched shows nothing.

use super::{Authority, Certificate, Problem, PublicKey};
use crate::crypto;
use crate::limits::{JWKS_MAX_BYTES, JWKS_MAX_KEYS, JWT_MAX_BYTES};
use crate::wire::base64;
use crate::wire::json::Json;

/// Why a token or a key list was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtProblem {
    /// Not a compact token, or not a key list, or over a size limit.
    Malformed,
    /// Signed with another algorithm than ES384, or with none.
    Algorithm,
    /// The header brings a key, an address of one, or a critical extension; or it names no key.
    Header,
    /// The key list has no such key.
    UnknownKey,
    /// The key's certificate does not lead to a pinned authority.
    Chain(Problem),
    /// The signature is wrong.
    Signature,
}

/// A token taken apart. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Jwt<'a> {
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    kid: String,
}

impl<'a> Jwt<'a> {
    /// Takes a compact token apart and checks its header.
    pub fn parse(token: &'a str) -> Result<Jwt<'a>, JwtProblem> {
        if token.len() > JWT_MAX_BYTES {
            return Err(JwtProblem::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtProblem::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtProblem::Malformed)?;
        let header = base64::decode_url(header).ok_or(JwtProblem::Malformed)?;
        let header = Json::parse(&header).map_err(|_| JwtProblem::Malformed)?;
        let members = header.as_object().ok_or(JwtProblem::Malformed)?;
        if header.get("alg").and_then(Json::as_str) != Some("ES384") {
            return Err(JwtProblem::Algorithm);
        }
        if members.iter().any(|(name, _)| !matches!(name.as_str(), "alg" | "kid" | "typ")) {
            return Err(JwtProblem::Header);
        }
        let kid = header.get("kid").and_then(Json::as_str).ok_or(JwtProblem::Header)?.to_owned();
        let payload = base64::decode_url(payload).ok_or(JwtProblem::Malformed)?;
        let signature = base64::decode_url(signature).ok_or(JwtProblem::Malformed)?;
        Ok(Jwt { signed, payload, signature, kid })
    }

    /// The key that it says it was signed with.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks the signature by a key (P-384, uncompressed) and gives the claims: a strict JSON object.
    pub fn verify(&self, key: &[u8; 97]) -> Result<Json, JwtProblem> {
        if !crypto::p384_verify_fixed(key, self.signed.as_bytes(), &self.signature) {
            return Err(JwtProblem::Signature);
        }
        let claims = Json::parse(&self.payload).map_err(|_| JwtProblem::Malformed)?;
        if claims.as_object().is_some() { Ok(claims) } else { Err(JwtProblem::Malformed) }
    }
}

/// One key of a list. Nothing in it is verified.
#[derive(Clone, Debug)]
struct Jwk {
    kid: String,
    key: [u8; 97],
    chain: Vec<Vec<u8>>,
}

/// A list of signing keys on P-384. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct JwkSet(Vec<Jwk>);

impl JwkSet {
    /// Reads a list of at most 64 keys with different ids. Keys of other types are left out.
    pub fn parse(bytes: &[u8]) -> Result<JwkSet, JwtProblem> {
        if bytes.len() > JWKS_MAX_BYTES {
            return Err(JwtProblem::Malformed);
        }
        let list = Json::parse(bytes).map_err(|_| JwtProblem::Malformed)?;
        let keys = list.get("keys").and_then(Json::as_array).ok_or(JwtProblem::Malformed)?;
        if keys.len() > JWKS_MAX_KEYS {
            return Err(JwtProblem::Malformed);
        }
        let mut set: Vec<Jwk> = Vec::new();
        for key in keys {
            let is = |name, value| key.get(name).and_then(Json::as_str) == Some(value);
            if !is("kty", "EC") || !is("crv", "P-384") {
                continue;
            }
            let jwk = Jwk::read(key).ok_or(JwtProblem::Malformed)?;
            if set.iter().any(|other| other.kid == jwk.kid) {
                return Err(JwtProblem::Malformed);
            }
            set.push(jwk);
        }
        Ok(JwkSet(set))
    }

    /// The key with this id, once its certificate was issued by an authority whose certificate has one of these SHA-256 digests, and
    /// both are valid at the time `at`. Also gives the last second at which they are.
    pub fn key(&self, kid: &str, pins: &[[u8; 32]], at: u64) -> Result<([u8; 97], u64), JwtProblem> {
        let jwk = self.0.iter().find(|jwk| jwk.kid == kid).ok_or(JwtProblem::UnknownKey)?;
        let [leaf, issuer] = jwk.chain.as_slice() else { return Err(JwtProblem::Chain(Problem::ChainShape)) };
        if !pins.contains(&crypto::sha256(&[issuer])) {
            return Err(JwtProblem::Chain(Problem::Name));
        }
        let issuer = Authority::pinned(issuer).map_err(JwtProblem::Chain)?;
        let check = || {
            issuer.valid_at(at)?;
            let leaf = Certificate::parse(leaf)?;
            leaf.end_entity()?;
            leaf.valid_at(at)?;
            leaf.issued_by(&issuer)?;
            // The list repeats the key beside the certificate; only the certified one counts.
            if *leaf.key() == PublicKey::P384(jwk.key) { Ok(leaf.not_after()) } else { Err(Problem::Name) }
        };
        let not_after = check().map_err(JwtProblem::Chain)?;
        Ok((jwk.key, not_after.min(issuer.not_after())))
    }
}

impl Jwk {
    fn read(key: &Json) -> Option<Jwk> {
        let text = |name| key.get(name).and_then(Json::as_str);
        let coordinate = |name| text(name).and_then(base64::decode_url).filter(|bytes| bytes.len() == 48);
        let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
        let chain = key.get("x5c").and_then(Json::as_array)?.iter();
        Some(Jwk {
            kid: text("kid")?.to_owned(),
            key: point.try_into().ok()?,
            chain: chain.map(|der| der.as_str().and_then(base64::decode)).collect::<Option<_>>()?,
        })
    }
}
