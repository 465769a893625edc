//! The one form of XML signature that reference manifests have: enveloped, over the whole document, Canonical XML 1.1, SHA-384,
//! ECDSA P-384 by a certificate that leads to the trusted root (`attestation.md` 3.3; XML-Signature 1.1).
//!
//! Everything else is refused: a signature elsewhere than directly under the root, a second one, other references, transforms or
//! algorithms, keys outside the certificate chain, objects. What was signed is handed on as canonical bytes, to be read from those
//! and never from the document as it came.

use super::checks::{RIM_ALGORITHM, RIM_CHAIN, RIM_EXPIRED, RIM_REFERENCE, RIM_SIGNATURE, RIM_XML};
use super::xml::{self, Binding, Element};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::{CERTIFICATE_MAX_BYTES, CHAIN_MAX_CERTIFICATES};
use crate::pki::{Authority, Certificate, Problem, PublicKey, Serial};
use crate::wire::base64;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N11: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// A document whose signature is good.
pub(super) struct Signed {
    /// Canonical bytes of what was signed: the document without its signature.
    pub canonical: Vec<u8>,
    /// Who signed it.
    pub signer: Signer,
}

/// The verified chain behind a signature.
pub(super) struct Signer {
    /// Serial number of the signing certificate.
    pub serial: Serial,
    /// Authorities from the one that issued the signing certificate to the root.
    pub authorities: Vec<Authority>,
    /// Last second at which every certificate of the chain is valid.
    pub not_after: u64,
}

/// Verifies a document. With `allow_expired`, certificates may be past their end: each must still have been valid at some time not
/// before its start, and nothing else is relaxed.
pub(super) fn verify(bytes: &[u8], root: &Authority, at: u64, allow_expired: bool) -> Result<Signed> {
    let document = xml::parse(bytes)
        .ok_or_else(|| Error::new(Code::CollateralMalformed).at(RIM_XML).context("It is not strict XML."))?;
    let parts = Parts::find(&document)?;
    let (signer, key) = verify_chain(&parts.certificates, root, at, allow_expired)?;
    let around: Vec<Binding<'_>> =
        document.declarations.iter().chain(&parts.signature.declarations).cloned().collect();
    let signed_info = parts.signed_info.canonical(None, &around);
    if !crypto::p384_verify_fixed(&key, &signed_info, &parts.value) {
        return Err(refused(RIM_SIGNATURE, "The signature is wrong."));
    }
    let canonical = document.canonical(Some(parts.signature), &[]);
    if crypto::sha384(&[&canonical]) != parts.digest {
        return Err(refused(RIM_SIGNATURE, "The content differs from what was signed."));
    }
    Ok(Signed { canonical, signer })
}

fn refused(check: &'static str, why: &str) -> Error {
    Error::new(Code::CollateralSignature).at(check).context(why)
}

/// What a signature consists of, once its structure is right.
struct Parts<'e, 'a> {
    signature: &'e Element<'a>,
    signed_info: &'e Element<'a>,
    digest: [u8; 48],
    value: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl<'e, 'a> Parts<'e, 'a> {
    fn find(document: &'e Element<'a>) -> Result<Parts<'e, 'a>> {
        let mut signatures = document.elements().filter(|element| element.is(DS, "Signature"));
        let signature = signatures.next();
        let mut count = 0usize;
        document.walk(&mut |element| {
            count = count.saturating_add(usize::from(element.is(DS, "Signature")));
        });
        let signature = signature
            .filter(|_| count == 1)
            .ok_or_else(|| refused(RIM_REFERENCE, "There must be one signature, directly under the root."))?;
        let structure = || refused(RIM_REFERENCE, "The signature does not have the expected parts.");
        let [signed_info, value, key_info] =
            children(signature, ["SignedInfo", "SignatureValue", "KeyInfo"]).ok_or_else(structure)?;
        let [canonicalization, method, reference] =
            children(signed_info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])
                .ok_or_else(structure)?;
        // The empty URI is the whole document; with any other, something else would be signed than what is read.
        let [("URI", "")] = attributes(reference).as_slice() else {
            return Err(refused(RIM_REFERENCE, "The reference must be to the whole document."));
        };
        let [transforms, digest_method, digest_value] =
            children(reference, ["Transforms", "DigestMethod", "DigestValue"]).ok_or_else(structure)?;
        let [enveloped, canonical] =
            children(transforms, ["Transform", "Transform"]).ok_or_else(structure)?;
        for (element, expected) in [
            (canonicalization, C14N11),
            (method, ECDSA_SHA384),
            (enveloped, ENVELOPED),
            (canonical, C14N11),
            (digest_method, SHA384),
        ] {
            let plain = attributes(element) == [("Algorithm", expected)] && element.text() == Some("");
            if !plain {
                return Err(
                    refused(RIM_ALGORITHM, "An algorithm is not the expected one.").expected(expected)
                );
            }
        }
        for element in [signature, signed_info, transforms, digest_value, value, key_info] {
            if !element.attributes.is_empty() {
                return Err(structure());
            }
        }
        let malformed =
            || refused(RIM_SIGNATURE, "A value of the signature is not base64 of the right length.");
        let digest = binary(digest_value).and_then(|digest| digest.try_into().ok()).ok_or_else(malformed)?;
        let value = binary(value).ok_or_else(malformed)?;
        let certificates = certificates(key_info).ok_or_else(|| {
            refused(RIM_CHAIN, "The key must come as a chain of certificates and as nothing else.")
        })?;
        Ok(Parts { signature, signed_info, digest, value, certificates })
    }
}

/// Exactly these children of the signature namespace in this order, and no text.
fn children<'e, 'a, const N: usize>(
    element: &'e Element<'a>,
    names: [&str; N],
) -> Option<[&'e Element<'a>; N]> {
    let found: [&Element<'a>; N] = element.elements().collect::<Vec<_>>().try_into().ok()?;
    let right = found.iter().zip(names).all(|(child, name)| child.is(DS, name));
    (right && element.has_only_elements()).then_some(found)
}

/// Attributes without namespace as pairs; one in a namespace gets a name that nothing expects.
fn attributes<'e>(element: &'e Element<'_>) -> Vec<(&'e str, &'e str)> {
    let name =
        |attribute: &'e xml::Attribute<'_>| if attribute.namespace.is_empty() { attribute.local } else { "" };
    element.attributes.iter().map(|attribute| (name(attribute), attribute.value.as_ref())).collect()
}

/// Base64 text, broken into lines or not.
fn binary(element: &Element<'_>) -> Option<Vec<u8>> {
    let compact: String =
        element.text()?.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')).collect();
    base64::decode(&compact)
}

fn certificates(key_info: &Element<'_>) -> Option<Vec<Vec<u8>>> {
    let [data] = children(key_info, ["X509Data"])?;
    if !data.attributes.is_empty() || !data.has_only_elements() {
        return None;
    }
    let mut certificates = Vec::new();
    for element in data.elements() {
        let fits = element.is(DS, "X509Certificate") && element.attributes.is_empty();
        if !fits || certificates.len() >= CHAIN_MAX_CERTIFICATES {
            return None;
        }
        certificates.push(binary(element).filter(|der| der.len() <= CERTIFICATE_MAX_BYTES)?);
    }
    Some(certificates)
}

/// Verifies a chain from the signer to the trusted root, in this order; gives it and the signer's key.
fn verify_chain(
    chain: &[Vec<u8>],
    root: &Authority,
    at: u64,
    allow_expired: bool,
) -> Result<(Signer, [u8; 97])> {
    let problem = |problem: Problem| match problem {
        Problem::Expired => Error::new(Code::CollateralExpired).at(RIM_EXPIRED),
        Problem::NotYetValid => Error::new(Code::CollateralNotYetValid).at(RIM_EXPIRED),
        other => refused(RIM_CHAIN, &other.to_string()),
    };
    let [leaf, intermediates @ .., last] = chain else { return Err(problem(Problem::ChainShape)) };
    // A root that is also in the middle would count as issued by itself.
    if last != root.der() || intermediates.iter().any(|der| der == last) {
        return Err(problem(Problem::ChainShape));
    }
    let time = |end: u64| if allow_expired { at.min(end) } else { at };
    root.valid_at(time(root.not_after())).map_err(problem)?;
    let mut not_after = root.not_after();
    let mut authorities = vec![root.clone()];
    let mut issuer = root.clone();
    for der in intermediates.iter().rev() {
        let certificate = Certificate::parse(der).map_err(problem)?;
        issuer = Authority::below(&issuer, &certificate, time(certificate.not_after())).map_err(problem)?;
        not_after = not_after.min(issuer.not_after());
        authorities.insert(0, issuer.clone());
    }
    let leaf = Certificate::parse(leaf).map_err(problem)?;
    leaf.end_entity().map_err(problem)?;
    leaf.issued_by(&issuer).map_err(problem)?;
    leaf.valid_at(time(leaf.not_after())).map_err(problem)?;
    let PublicKey::P384(key) = leaf.key() else { return Err(problem(Problem::Algorithm)) };
    let signer = Signer { serial: leaf.serial(), authorities, not_after: not_after.min(leaf.not_after()) };
    Ok((signer, *key))
}
