//! Layout of TDX quotes, versions 4 and 5 (`protocols/attestation.md` 2.1). Parsing borrows and trusts nothing.

use super::checks;
use super::pck;
use crate::claims::TdBody;
use crate::error::{Code, Error, Result};
use crate::evidence::{CaKind, CollateralRequests};
use crate::limits::TDX_QUOTE_MAX_BYTES;
use crate::pki::{Certificate, pem};
use crate::wire::{Reader, base64, hex};

/// Attestation key type ECDSA P-256.
const KEY_TYPE_P256: u16 = 2;
/// TEE type TDX; SGX is 0.
const TEE_TYPE_TDX: u32 = 0x81;
/// Quoting enclave vendor id of Intel.
const VENDOR_INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// Certification data type: quoting enclave report with its own certification data.
const CERTIFICATION_QE_REPORT: u16 = 6;
/// Certification data type: PEM chain of the platform's certificate.
const CERTIFICATION_PCK_CHAIN: u16 = 5;

/// Kind of TD report in a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// TDX 1.0, 584 bytes; the only kind in version 4.
    Td10,
    /// TDX 1.5, 648 bytes.
    Td15,
}

/// A parsed quote. Its layout is exact and nothing in it is verified.
///
/// | part | bytes |
/// | --- | --- |
/// | header | 48 |
/// | version 5 only: body type, body size | 2 + 4 |
/// | body | 584 or 648 |
/// | length of signature data | 4 |
/// | signature data | as stated |
/// | padding | the rest |
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    version: u16,
    reserved: [u8; 4],
    user_data: [u8; 20],
    body_type: BodyType,
    body: TdBody,
    signed: &'a [u8],
    signature_data: &'a [u8],
    padding: &'a [u8],
}

/// What selects the collateral for a quote. Not verified: good enough to ask for collateral, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Platform type.
    pub fmspc: [u8; 6],
    /// Issuer of the platform's certificate.
    pub ca: CaKind,
}

/// The signature data of a quote.
pub(super) struct SignatureData<'a> {
    pub quote_signature: &'a [u8; 64],
    pub attestation_key: &'a [u8; 64],
    pub qe_report: &'a [u8; 384],
    pub qe_report_signature: &'a [u8; 64],
    pub qe_auth_data: &'a [u8],
    pub pck_chain: &'a [u8],
}

impl<'a> Quote<'a> {
    /// Parses a quote of at most 16 KiB. Fails with `not_tdx` for other TEE types, `quote_body_type` for body types that are not
    /// accepted, and `quote_malformed` otherwise.
    pub fn parse(bytes: &'a [u8]) -> Result<Quote<'a>> {
        if bytes.len() > TDX_QUOTE_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("TDX quote"));
        }
        let mut reader = Reader::new(bytes);
        let header = read_header(&mut reader)?;
        let (body_type, prefix_length) = match header.version {
            4 => (BodyType::Td10, 0usize),
            _ => (read_body_type(&mut reader)?, 6),
        };
        let body = read_body(&mut reader, body_type).ok_or_else(short)?;
        let body_length = if body_type == BodyType::Td10 { 584usize } else { 648 };
        let signed_length = body_length.saturating_add(prefix_length).saturating_add(48);
        let length = reader.u32_le().and_then(|length| usize::try_from(length).ok()).ok_or_else(short)?;
        let signature_data = reader.bytes(length).ok_or_else(short)?;
        Ok(Quote {
            version: header.version,
            reserved: header.reserved,
            user_data: header.user_data,
            body_type,
            body,
            signed: bytes.get(..signed_length).ok_or_else(short)?,
            signature_data,
            padding: reader.rest(),
        })
    }

    /// Format version: 4 or 5.
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// Header bytes 8 to 11, zero in every quote seen; signed, without agreed meaning.
    pub const fn reserved(&self) -> &[u8; 4] {
        &self.reserved
    }

    /// User data of the header.
    pub const fn user_data(&self) -> &[u8; 20] {
        &self.user_data
    }

    /// Kind of body.
    pub const fn body_type(&self) -> BodyType {
        self.body_type
    }

    /// The TD report.
    pub const fn body(&self) -> &TdBody {
        &self.body
    }

    /// What follows the quote. Not signed: verification refuses it unless it is all zero, and it must never be part of a cache
    /// key or of a hash of record.
    pub const fn padding(&self) -> &'a [u8] {
        self.padding
    }

    /// Platform type and issuer from the certificate chain in the quote.
    pub fn platform(&self) -> Result<Platform> {
        let data = self.read_signature_data()?;
        let chain = pem::certificates(data.pck_chain).map_err(pck::chain_error)?;
        let (Some(leaf), Some(ca)) = (chain.first(), chain.get(1)) else {
            return Err(pck::chain_error(crate::pki::Problem::ChainShape));
        };
        let leaf = Certificate::parse(leaf).map_err(pck::chain_error)?;
        let ca = Certificate::parse(ca).map_err(pck::chain_error)?;
        let ca = ca.common_name().and_then(CaKind::from_common_name);
        let extension = pck::read_extension(&leaf)?;
        Ok(Platform {
            fmspc: extension.fmspc,
            ca: ca.ok_or_else(|| pck::chain_error(crate::pki::Problem::Name))?,
        })
    }

    /// Addresses of the collateral for this quote, relative to a provisioning service.
    pub fn collateral_requests(&self) -> Result<CollateralRequests> {
        self.platform().map(|platform| CollateralRequests::new(&platform.fmspc, platform.ca))
    }

    /// The bytes under the attestation key's signature: header to end of body.
    pub(super) const fn signed(&self) -> &'a [u8] {
        self.signed
    }

    /// Splits the signature data; every length must be exact.
    pub(super) fn read_signature_data(&self) -> Result<SignatureData<'a>> {
        let mut outer = Reader::new(self.signature_data);
        let quote_signature = outer.array().ok_or_else(short)?;
        let attestation_key = outer.array().ok_or_else(short)?;
        let certification = certification_data(&mut outer, CERTIFICATION_QE_REPORT)?;
        let mut inner = Reader::new(certification);
        let qe_report = inner.array().ok_or_else(short)?;
        let qe_report_signature = inner.array().ok_or_else(short)?;
        let auth_length = inner.u16_le().ok_or_else(short)?;
        let qe_auth_data = inner.bytes(usize::from(auth_length)).ok_or_else(short)?;
        let pck_chain = certification_data(&mut inner, CERTIFICATION_PCK_CHAIN)?;
        Ok(SignatureData {
            quote_signature,
            attestation_key,
            qe_report,
            qe_report_signature,
            qe_auth_data,
            pck_chain,
        })
    }
}

struct Header {
    version: u16,
    reserved: [u8; 4],
    user_data: [u8; 20],
}

fn read_header(reader: &mut Reader<'_>) -> Result<Header> {
    let mut header = Reader::new(reader.bytes(48).ok_or_else(short)?);
    let version = header.u16_le().ok_or_else(short)?;
    let key_type = header.u16_le().ok_or_else(short)?;
    let tee_type = header.u32_le().ok_or_else(short)?;
    let reserved = *header.array().ok_or_else(short)?;
    let vendor: &[u8; 16] = header.array().ok_or_else(short)?;
    let user_data = *header.array().ok_or_else(short)?;
    let malformed = |id: &str| Error::new(Code::QuoteMalformed).at(id);
    if !matches!(version, 4 | 5) {
        return Err(malformed(checks::VERSION).expected("4 or 5").found(version.to_string()));
    }
    if tee_type != TEE_TYPE_TDX {
        let found = format!("{tee_type:#x}");
        return Err(Error::new(Code::NotTdx).at(checks::TEE_TYPE).expected("0x81").found(found));
    }
    if key_type != KEY_TYPE_P256 {
        return Err(malformed(checks::ATT_KEY_TYPE).expected("2 (ECDSA P-256)").found(key_type.to_string()));
    }
    if *vendor != VENDOR_INTEL {
        let expected = hex::encode(&VENDOR_INTEL);
        return Err(malformed(checks::QE_VENDOR).expected(expected).found(hex::encode(vendor)));
    }
    Ok(Header { version, reserved, user_data })
}

fn read_body_type(reader: &mut Reader<'_>) -> Result<BodyType> {
    let kind = reader.u16_le().ok_or_else(short)?;
    let size = reader.u32_le().ok_or_else(short)?;
    match (kind, size) {
        (2, 584) => Ok(BodyType::Td10),
        (3, 648) => Ok(BodyType::Td15),
        _ => Err(Error::new(Code::QuoteBodyType)
            .at(checks::PARSE)
            .expected("type 2 with 584 bytes or type 3 with 648")
            .found(format!("type {kind} with {size} bytes"))),
    }
}

fn read_body(reader: &mut Reader<'_>, kind: BodyType) -> Option<TdBody> {
    Some(TdBody {
        tee_tcb_svn: *reader.array()?,
        mr_seam: *reader.array()?,
        mr_signer_seam: *reader.array()?,
        seam_attributes: *reader.array()?,
        td_attributes: *reader.array()?,
        xfam: *reader.array()?,
        mr_td: *reader.array()?,
        mr_config_id: *reader.array()?,
        mr_owner: *reader.array()?,
        mr_owner_config: *reader.array()?,
        rtmr: [*reader.array()?, *reader.array()?, *reader.array()?, *reader.array()?],
        report_data: *reader.array()?,
        tee_tcb_svn2: if kind == BodyType::Td15 { Some(*reader.array()?) } else { None },
        mr_service_td: if kind == BodyType::Td15 { Some(*reader.array()?) } else { None },
    })
}

/// Type, size and content of certification data that must be of one type and end its container.
fn certification_data<'a>(reader: &mut Reader<'a>, wanted: u16) -> Result<&'a [u8]> {
    let kind = reader.u16_le().ok_or_else(short)?;
    let size = reader.u32_le().and_then(|size| usize::try_from(size).ok()).ok_or_else(short)?;
    if kind != wanted {
        return Err(Error::new(Code::QuoteMalformed)
            .at(checks::CERT_TYPE)
            .expected(wanted.to_string())
            .found(kind.to_string()));
    }
    let content = reader.bytes(size).ok_or_else(short)?;
    if reader.is_empty() { Ok(content) } else { Err(short()) }
}

fn short() -> Error {
    Error::new(Code::QuoteMalformed).at(checks::PARSE).context("A length inside it does not fit.")
}

/// Bytes of a quote given as text: hex, `0x` and hex, base64 or base64url. Fails with `quote_malformed`.
pub fn decode_quote_text(text: &str) -> Result<Vec<u8>> {
    // Twice the limit for hex and its prefix; base64 is shorter.
    if text.len() > TDX_QUOTE_MAX_BYTES.saturating_mul(2).saturating_add(2) {
        return Err(Error::new(Code::LimitExceeded).at("TDX quote"));
    }
    hex::decode_prefixed(text)
        .or_else(|| base64::decode_any(text))
        .ok_or_else(|| Error::new(Code::QuoteMalformed).at(checks::PARSE).expected("hex or base64"))
}
