//! What a Contrast coordinator and its key service answer (`protocols/privatemode.md` 2.2, 2.3, 3.1): JSON around base64 around JSON, and
//! inside it a report or quote as a Protocol Buffers message.
//!
//! Unknown members are ignored, as every client of the protocol does; a member that is there twice is not.

mod snp;
mod tdx;

pub use snp::SnpAttestation;

use crate::error::{Code, Error, Result};
use crate::limits::{
    CONTRAST_ANSWER_MAX_BYTES, CONTRAST_MANIFEST_MAX_BYTES, CONTRAST_MAX_MANIFESTS, CONTRAST_MAX_POLICIES,
    SECRET_ANSWER_MAX_BYTES,
};
use crate::wire::base64;
use crate::wire::json::Json;
use crate::wire::protobuf::{Message, Value};

/// The check that failures of this module name.
const FORMAT: &str = "contrast.document";
/// Kinds of evidence by object identifier (privatemode.md 3.1).
const TYPES: [([u64; 5], Kind); 2] = [([1, 3, 9901, 2, 1], Kind::Snp), ([1, 3, 9901, 2, 2], Kind::Tdx)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Snp,
    Tdx,
}

/// A coordinator's attestation document. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContrastDocument {
    /// The coordinator's version in its own words; nothing vouches for it.
    pub version: Option<String>,
    /// The hardware's evidence.
    pub hardware: ContrastHardware,
    /// Every manifest that was ever set, oldest first: at least one.
    pub manifests: Vec<Vec<u8>>,
    /// Policy documents of the manifests.
    pub policies: Vec<Vec<u8>>,
    /// Certificate of the root, PEM.
    pub root_ca: Vec<u8>,
    /// Certificate of the mesh authority, PEM.
    pub mesh_ca: Vec<u8>,
}

/// A coordinator's hardware evidence, in the hardware's own layout again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContrastHardware {
    /// AMD SEV-SNP.
    Snp(Box<SnpAttestation>),
    /// Intel TDX: a quote of version 4.
    Tdx(Vec<u8>),
}

impl ContrastDocument {
    /// Reads the gateway's answer, `{"AttestationDoc": base64}` around the document. Fails with `contrast_malformed` or `limit_exceeded`.
    pub fn from_answer(answer: &[u8]) -> Result<ContrastDocument> {
        let answer = object(answer, CONTRAST_ANSWER_MAX_BYTES)?;
        ContrastDocument::from_json(&bytes(&answer, "AttestationDoc")?)
    }

    /// Reads the coordinator's own answer. Fails with `contrast_malformed` or `limit_exceeded`; the failure names the coordinator's
    /// version if that can be read.
    pub fn from_json(document: &[u8]) -> Result<ContrastDocument> {
        let document = object(document, CONTRAST_ANSWER_MAX_BYTES)?;
        let version = document.get("version").and_then(Json::as_str).map(str::to_owned);
        ContrastDocument::read(&document, version.clone()).map_err(|error| match version {
            Some(version) if error.code() == Code::ContrastMalformed => {
                let text = error.context_text().unwrap_or_default().to_owned();
                error.context(
                    format!("{text} The coordinator calls itself {version}.").trim_start().to_owned(),
                )
            }
            _ => error,
        })
    }

    fn read(document: &Json, version: Option<String>) -> Result<ContrastDocument> {
        let kind = kind(document)?;
        let hardware = ContrastHardware::read(&bytes(document, "raw_attestation_doc")?, kind)?;
        let manifests = list(document, "manifests", CONTRAST_MAX_MANIFESTS)?;
        if manifests.is_empty() {
            return Err(malformed("It has no manifest.").expected("manifests"));
        }
        if manifests.iter().any(|manifest| manifest.len() > CONTRAST_MANIFEST_MAX_BYTES) {
            return Err(Error::new(Code::LimitExceeded).at("Contrast manifest"));
        }
        Ok(ContrastDocument {
            version,
            hardware,
            manifests,
            policies: list(document, "policies", CONTRAST_MAX_POLICIES)?,
            root_ca: bytes(document, "root_ca")?,
            mesh_ca: bytes(document, "mesh_ca")?,
        })
    }
}

impl ContrastHardware {
    /// Without a stated kind, the kind whose layout fits exactly; no bytes fit both.
    fn read(raw: &[u8], kind: Option<Kind>) -> Result<ContrastHardware> {
        let snp = || SnpAttestation::read(raw).map(|found| ContrastHardware::Snp(Box::new(found)));
        let tdx = || tdx::quote(raw).map(ContrastHardware::Tdx);
        match kind {
            Some(Kind::Snp) => snp().ok_or_else(|| malformed("It is not an SEV-SNP report as a message.")),
            Some(Kind::Tdx) => {
                tdx().ok_or_else(|| malformed("It is not a TDX quote of version 4 as a message."))
            }
            None => snp()
                .or_else(tdx)
                .ok_or_else(|| malformed("It is neither an SEV-SNP report nor a TDX quote.")),
        }
    }
}

/// The stated kind of evidence; older coordinators state none.
fn kind(document: &Json) -> Result<Option<Kind>> {
    let arcs = match document.get("attestation_type") {
        None | Some(Json::Null) => return Ok(None),
        Some(value) => {
            value.as_array().and_then(|arcs| arcs.iter().map(Json::as_u64).collect::<Option<Vec<_>>>())
        }
    };
    let known =
        arcs.as_ref().and_then(|arcs| TYPES.iter().find(|(oid, _)| oid.as_slice() == arcs.as_slice()));
    match known {
        Some((_, kind)) => Ok(Some(*kind)),
        None => Err(malformed("It is of another kind.").expected("attestation_type of SEV-SNP or TDX")),
    }
}

/// What the key service answers to a public key. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretAnswer {
    /// What the service encapsulated to the key.
    pub encapsulated_key: Vec<u8>,
    /// Its signature, DER.
    pub signature: Vec<u8>,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

impl SecretAnswer {
    /// Reads the gateway's answer, `{"EncapsulatedKey": base64, "Signature": base64, "MeshCert": base64}`. Fails with
    /// `malformed_response` or `limit_exceeded`.
    pub fn from_json(answer: &[u8]) -> Result<SecretAnswer> {
        let shape = |error: Error| match error.code() {
            Code::ContrastMalformed => {
                let wanted = error.expected_value().unwrap_or("a JSON object").to_owned();
                Error::new(Code::MalformedResponse).at("contrast.secret").expected(wanted)
            }
            _ => error,
        };
        let read = || {
            let answer = object(answer, SECRET_ANSWER_MAX_BYTES)?;
            Ok(SecretAnswer {
                encapsulated_key: bytes(&answer, "EncapsulatedKey")?,
                signature: bytes(&answer, "Signature")?,
                certificate: bytes(&answer, "MeshCert")?,
            })
        };
        read().map_err(shape)
    }
}

fn object(text: &[u8], limit: usize) -> Result<Json> {
    if text.len() > limit {
        return Err(Error::new(Code::LimitExceeded)
            .at("Contrast answer")
            .expected(format!("at most {limit} bytes")));
    }
    let json = Json::parse(text).map_err(|_| malformed("It is not strict JSON."))?;
    if json.as_object().is_some() { Ok(json) } else { Err(malformed("It is not a JSON object.")) }
}

fn bytes(object: &Json, name: &str) -> Result<Vec<u8>> {
    let text = object.get(name).and_then(Json::as_str);
    text.and_then(base64::decode)
        .ok_or_else(|| malformed("A member is missing or not base64.").expected(name))
}

/// A list of base64 texts; one that is not there is empty, as Go writes it.
fn list(object: &Json, name: &str, max: usize) -> Result<Vec<Vec<u8>>> {
    let wrong = || malformed("A member is not a list of base64 texts.").expected(name);
    let elements = match object.get(name) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(value) => value.as_array().ok_or_else(wrong)?,
    };
    if elements.len() > max {
        return Err(Error::new(Code::LimitExceeded).at(name).expected(format!("at most {max}")));
    }
    elements.iter().map(|element| element.as_str().and_then(base64::decode).ok_or_else(wrong)).collect()
}

fn malformed(context: &str) -> Error {
    Error::new(Code::ContrastMalformed).at(FORMAT).context(context)
}

/// Where the value of a field stands in a layout of fixed offsets.
#[derive(Clone, Copy)]
enum Place {
    /// A number of so many bytes, little-endian.
    Number(usize, usize),
    /// Exactly so many bytes.
    Bytes(usize, usize),
}

/// Writes the fields of a message to their places. A number that is absent is zero and the last of several counts (proto3); bytes of
/// another length, absent bytes, numbers too large and other wire types give `None`. Fields without a place are skipped.
fn fill(message: &[u8], places: &[(u32, Place)], out: &mut [u8]) -> Option<()> {
    let mut reader = Message::new(message);
    let mut missing: Vec<u32> = places
        .iter()
        .filter(|(_, place)| matches!(place, Place::Bytes(..)))
        .map(|(field, _)| *field)
        .collect();
    while let Some((field, value)) = reader.field().ok()? {
        let Some((_, place)) = places.iter().find(|(known, _)| *known == field) else { continue };
        match (*place, value) {
            (Place::Number(offset, length), Value::Number(number)) => {
                let number = number.to_le_bytes();
                let (digits, rest) = number.split_at_checked(length)?;
                if rest.iter().any(|byte| *byte != 0) {
                    return None;
                }
                put(out, offset, digits)?;
            }
            (Place::Bytes(offset, length), Value::Bytes(bytes)) if bytes.len() == length => {
                put(out, offset, bytes)?;
                missing.retain(|other| *other != field);
            }
            _ => return None,
        }
    }
    missing.is_empty().then_some(())
}

fn put(out: &mut [u8], offset: usize, bytes: &[u8]) -> Option<()> {
    out.get_mut(offset..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// The bytes of a field that is at most once in a message: twice would mean that readers disagree on which counts.
fn only(message: &[u8], wanted: u32) -> Option<Option<&[u8]>> {
    let mut reader = Message::new(message);
    let mut found = None;
    while let Some((field, value)) = reader.field().ok()? {
        if field != wanted {
            continue;
        }
        let Value::Bytes(bytes) = value else { return None };
        if found.replace(bytes).is_some() {
            return None;
        }
    }
    Some(found)
}

/// The last bytes of a field (proto3); empty bytes count as absent.
fn last(message: &[u8], wanted: u32) -> Option<Option<&[u8]>> {
    let mut reader = Message::new(message);
    let mut found = None;
    while let Some((field, value)) = reader.field().ok()? {
        match value {
            _ if field != wanted => {}
            Value::Bytes(bytes) => found = Some(bytes),
            _ => return None,
        }
    }
    Some(found.filter(|bytes| !bytes.is_empty()))
}

/// The last number of a field (proto3), zero when it is absent.
fn number(message: &[u8], wanted: u32) -> Option<u64> {
    let mut reader = Message::new(message);
    let mut found = 0;
    while let Some((field, value)) = reader.field().ok()? {
        match value {
            _ if field != wanted => {}
            Value::Number(number) => found = number,
            _ => return None,
        }
    }
    Some(found)
}
