//! Response signatures (protocols/venice.md 5): who signed, and whether it covers the bytes that were exchanged.
//!
//! Venice re-serialises request and answer, so through it the hashes do not match (5.6). Then the signature says only that the
//! attested enclave signed an answer with this id, and that is all that the verdict says.

use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::SIGNATURE_RESPONSE_MAX_BYTES;
use crate::provider::node::keys::{address_of, parse_address, parse_ed25519_key};
use crate::secret::constant_time_eq;
use crate::wire::hex;
use crate::wire::json::Json;

/// The key that the evidence bound, in the form that signatures name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Address of a secp256k1 key.
    Ecdsa([u8; 20]),
    /// An ed25519 key.
    Ed25519([u8; 32]),
}

/// The provider's answer to a signature request, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseSignature {
    /// The signed text.
    pub text: String,
    /// The signature in hex, `0x` optional.
    pub signature: String,
    /// The address (or ed25519 key) that the answer names.
    pub signing_address: String,
    /// `ecdsa` or `ed25519`; absent means `ecdsa`.
    pub signing_algo: Option<String>,
}

/// Whether the hashes in the signed text must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The signer saw exactly these bytes: another hash is an error.
    Direct,
    /// A relay re-serialises the bytes: another hash is expected and weakens the verdict.
    ThroughRelay,
}

/// What a valid signature by the attested key shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It covers exactly the request and response bytes that were exchanged.
    SignedBodyMatches,
    /// Signed by the attested enclave for this id; the bytes that it covers are not the ones exchanged, so the answer itself is
    /// not proven by it.
    SignedBodyNotVerifiable,
    /// Signed by the attested enclave; no bytes were given to compare.
    SignedBodyNotCompared,
}

impl Verdict {
    /// One sentence for reports, never more than was shown.
    pub const fn sentence(self) -> &'static str {
        match self {
            Verdict::SignedBodyMatches => "Signed by the attested enclave over exactly the bytes exchanged.",
            Verdict::SignedBodyNotVerifiable => {
                "Signed by the attested enclave for this id; body binding not verifiable."
            }
            Verdict::SignedBodyNotCompared => "Signed by the attested enclave; the bytes were not compared.",
        }
    }
}

/// Reads the answer to a signature request.
///
/// Errors: `limit_exceeded`, `malformed_response`; `signature_unavailable` when the server answers with its own error object.
pub fn parse_signature(body: &[u8]) -> Result<ResponseSignature> {
    if body.len() > SIGNATURE_RESPONSE_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("signature answer"));
    }
    let malformed = || Error::new(Code::MalformedResponse).at("signature answer");
    let answer = Json::parse(body).map_err(|_| malformed())?;
    let text = |name: &str| answer.get(name).and_then(Json::as_str).map(str::to_owned);
    if answer.get("error_code").is_some_and(|code| !code.is_null()) {
        let error = Error::new(Code::SignatureUnavailable);
        return Err(match text("message") {
            Some(message) => error.found(message),
            None => error,
        });
    }
    Ok(ResponseSignature {
        text: text("text").ok_or_else(malformed)?,
        signature: text("signature").ok_or_else(malformed)?,
        signing_address: text("signing_address").ok_or_else(malformed)?,
        signing_algo: text("signing_algo"),
    })
}

/// Checks a signature against the attested key, then the signed text against the SHA-256 of request and response body.
///
/// Errors: `signature_invalid` (form or mathematics), `signer_mismatch` (made by, or naming, another key than `attested`),
/// `text_mismatch` (no such text, or hashes that differ under [`Binding::Direct`]).
pub fn check_signature(
    answer: &ResponseSignature,
    attested: &Signer,
    bodies: Option<(&[u8; 32], &[u8; 32])>,
    binding: Binding,
) -> Result<Verdict> {
    check_signer(answer, attested)?;
    let signed = SignedText::parse(&answer.text)
        .ok_or_else(|| Error::new(Code::TextMismatch).at("signed text").expected("[model:]hash:hash"))?;
    let Some((request, response)) = bodies else {
        return Ok(Verdict::SignedBodyNotCompared);
    };
    let matches = constant_time_eq(&signed.request, request) && constant_time_eq(&signed.response, response);
    match (matches, binding) {
        (true, _) => Ok(Verdict::SignedBodyMatches),
        (false, Binding::ThroughRelay) => Ok(Verdict::SignedBodyNotVerifiable),
        (false, Binding::Direct) => {
            let part =
                if constant_time_eq(&signed.request, request) { "response hash" } else { "request hash" };
            Err(Error::new(Code::TextMismatch).at(part))
        }
    }
}

/// The signer by mathematics, the signer that the answer names and the attested one must be the same, as bytes. A signature that is
/// checked only against the address it carries proves nothing.
fn check_signer(answer: &ResponseSignature, attested: &Signer) -> Result<()> {
    let invalid = |what: &str| Error::new(Code::SignatureInvalid).at(what);
    let other_key = |found: &[u8], expected: &[u8]| {
        Error::new(Code::SignerMismatch).expected(hex::short(expected)).found(hex::short(found))
    };
    let signature = hex::decode_prefixed(&answer.signature).ok_or_else(|| invalid("signature"))?;
    match (answer.signing_algo.as_deref().unwrap_or("ecdsa"), attested) {
        ("ecdsa", Signer::Ecdsa(expected)) => {
            let named = parse_address(&answer.signing_address).ok_or_else(|| invalid("signing_address"))?;
            let recovered = recover_address(&answer.text, &signature)?;
            for found in [recovered, named] {
                if !constant_time_eq(&found, expected) {
                    return Err(other_key(&found, expected));
                }
            }
        }
        ("ed25519", Signer::Ed25519(expected)) => {
            let named = parse_ed25519_key(&answer.signing_address).map_err(|_| invalid("signing_address"))?;
            if !constant_time_eq(&named, expected) {
                return Err(other_key(&named, expected));
            }
            if !crypto::ed25519_verify(expected, answer.text.as_bytes(), &signature) {
                return Err(invalid("ed25519"));
            }
        }
        ("ecdsa" | "ed25519", _) => {
            return Err(Error::new(Code::SignerMismatch).at("signing_algo"));
        }
        (other, _) => return Err(invalid("signing_algo").found(other)),
    }
    Ok(())
}

/// The address that made an EIP-191 signature (`r || s || v`, v 27 or 28, or 0 or 1).
fn recover_address(text: &str, signature: &[u8]) -> Result<[u8; 20]> {
    let invalid = |what: &str| Error::new(Code::SignatureInvalid).at(what);
    let Some(([v], fixed)) = signature.split_last().map(|(v, fixed)| ([*v], fixed)) else {
        return Err(invalid("length"));
    };
    let fixed: &[u8; 64] = fixed.try_into().map_err(|_| invalid("length"))?;
    let recovery = match v {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return Err(invalid("recovery id")),
    };
    let length = text.len().to_string();
    let digest = crypto::keccak256(&[b"\x19Ethereum Signed Message:\n", length.as_bytes(), text.as_bytes()]);
    let key = crypto::secp256k1_recover(&digest, fixed, recovery).ok_or_else(|| invalid("signature"))?;
    Ok(address_of(&key))
}

/// `<request hash>:<response hash>`, or the same after a model name, which may contain colons itself.
struct SignedText {
    request: [u8; 32],
    response: [u8; 32],
}

impl SignedText {
    fn parse(text: &str) -> Option<SignedText> {
        let mut parts = text.rsplitn(3, ':');
        let response = lowercase_hash(parts.next()?)?;
        let request = lowercase_hash(parts.next()?)?;
        if parts.next().is_some_and(str::is_empty) {
            return None;
        }
        Some(SignedText { request, response })
    }
}

fn lowercase_hash(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_array(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // From tests/vectors/venice/signatures.json, case ecdsa-two-part.
    const REQUEST: &str = "fdfefbf237b1c00f6518a5384bce86ce7c6e8289826efdb9f8cf38a0e91153f8";
    const RESPONSE: &str = "b769640fb253b35c5b16723b7397eed6a38ca651578b5cccf7929d5941798119";
    const SIGNATURE: &str = "0x5222fe40ca5169f7eb214ebdcdb2406e25be74715b232d1d490f97db288366d8523802d055c8864507e9e33f090f1c7bed1e108ce696760480f340a18dfa1a661c";
    const ADDRESS: &str = "0xdbd9d4d3b19a37612520b21b6498a25934720875";

    fn answer() -> ResponseSignature {
        ResponseSignature {
            text: format!("{REQUEST}:{RESPONSE}"),
            signature: SIGNATURE.into(),
            signing_address: ADDRESS.into(),
            signing_algo: None,
        }
    }

    fn hash(text: &str) -> [u8; 32] {
        hex::decode_array(text).unwrap()
    }

    #[test]
    fn verdicts_say_no_more_than_was_shown() {
        let attested = Signer::Ecdsa(parse_address(ADDRESS).unwrap());
        let (request, response, other) = (hash(REQUEST), hash(RESPONSE), [1; 32]);
        let bodies = Some((&request, &response));
        let changed = [Some((&other, &response)), Some((&request, &other))];
        assert_eq!(
            check_signature(&answer(), &attested, bodies, Binding::Direct),
            Ok(Verdict::SignedBodyMatches)
        );
        assert_eq!(
            check_signature(&answer(), &attested, None, Binding::Direct),
            Ok(Verdict::SignedBodyNotCompared)
        );
        for bodies in changed {
            let error = check_signature(&answer(), &attested, bodies, Binding::Direct).unwrap_err();
            assert_eq!(error.code(), Code::TextMismatch);
            let verdict = check_signature(&answer(), &attested, bodies, Binding::ThroughRelay);
            assert_eq!(verdict, Ok(Verdict::SignedBodyNotVerifiable));
            assert!(verdict.unwrap().sentence().contains("body binding not verifiable"));
        }
    }

    #[test]
    fn another_signer_is_refused() {
        let attested = Signer::Ecdsa(parse_address(ADDRESS).unwrap());
        let mut other = parse_address(ADDRESS).unwrap();
        other[19] ^= 1;
        let named_other = ResponseSignature { signing_address: hex::encode(&other), ..answer() };
        let algorithm = |name: &str| ResponseSignature { signing_algo: Some(name.into()), ..answer() };
        let signature = |text: &str| ResponseSignature { signature: text.into(), ..answer() };
        let cases = [
            // The signature verifies against the address that it carries, but that is not the attested one.
            (answer(), Signer::Ecdsa(other), Code::SignerMismatch),
            (named_other, attested, Code::SignerMismatch),
            (answer(), Signer::Ed25519([0; 32]), Code::SignerMismatch),
            (algorithm("ed25519"), attested, Code::SignerMismatch),
            (algorithm("ES256K"), attested, Code::SignatureInvalid),
            (signature(""), attested, Code::SignatureInvalid),
            (signature("zz"), attested, Code::SignatureInvalid),
            (signature(&"00".repeat(65)), attested, Code::SignatureInvalid),
            (
                ResponseSignature { signing_address: "0x12".into(), ..answer() },
                attested,
                Code::SignatureInvalid,
            ),
        ];
        for (answer, attested, code) in cases {
            let error = check_signature(&answer, &attested, None, Binding::ThroughRelay).unwrap_err();
            assert_eq!(error.code(), code, "{answer:?}");
        }
    }

    #[test]
    fn signed_texts() {
        for (text, valid) in [
            (format!("{REQUEST}:{RESPONSE}"), true),
            (format!("model:{REQUEST}:{RESPONSE}"), true),
            (format!("org/model:with:colons:{REQUEST}:{RESPONSE}"), true),
            (format!(":{REQUEST}:{RESPONSE}"), false),
            (format!("{REQUEST}:{RESPONSE}:"), false),
            (format!("{REQUEST}-{RESPONSE}"), false),
            (REQUEST.to_owned(), false),
            (format!("{}:{RESPONSE}", REQUEST.to_uppercase()), false),
            (format!("{}:{RESPONSE}", &REQUEST[..62]), false),
            (String::new(), false),
        ] {
            assert_eq!(SignedText::parse(&text).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn answers() {
        let good = br#"{"text":"t","signature":"s","signing_address":"a","signing_algo":"ecdsa","more":1}"#;
        assert_eq!(parse_signature(good).unwrap().signing_algo.as_deref(), Some("ecdsa"));
        let error =
            parse_signature(br#"{"error_code":"not_found","message":"no signature yet"}"#).unwrap_err();
        assert_eq!(
            (error.code(), error.found_value()),
            (Code::SignatureUnavailable, Some("no signature yet"))
        );
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"text":1,"signature":"s","signing_address":"a"}"#,
            r#"{"text":"t","text":"t"}"#,
        ] {
            assert_eq!(parse_signature(bad.as_bytes()).unwrap_err().code(), Code::MalformedResponse, "{bad}");
        }
        let long = vec![b' '; SIGNATURE_RESPONSE_MAX_BYTES + 1];
        assert_eq!(parse_signature(&long).unwrap_err().code(), Code::LimitExceeded);
    }
}
