//! One X.509 certificate: strict parse, and issue by an authority that is already trusted.

use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate, X509Name, X509Version};

use super::Problem;
use crate::crypto;
use crate::limits::CERTIFICATE_MAX_BYTES;
use crate::wire::der::{self, Der};

/// A serial number of at most 20 bytes (RFC 5280, 4.1.2.2), left-padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(pub [u8; 20]);

impl Serial {
    /// From the content of an INTEGER; leading zeros do not count.
    pub fn new(content: &[u8]) -> Option<Serial> {
        let start = content.iter().position(|byte| *byte != 0).unwrap_or(content.len());
        let digits = content.get(start..)?;
        let mut serial = [0; 20];
        let place = serial.len().checked_sub(digits.len())?;
        serial.get_mut(place..)?.copy_from_slice(digits);
        Some(Serial(serial))
    }

    /// Content of the INTEGER: shortest form of a positive number.
    pub fn to_integer(self) -> Vec<u8> {
        let mut digits: Vec<u8> = self.0.iter().copied().skip_while(|byte| *byte == 0).collect();
        if digits.first().is_none_or(|first| first & 0x80 != 0) {
            digits.insert(0, 0);
        }
        digits
    }

    /// The number in decimal digits.
    pub fn to_decimal(self) -> String {
        let mut digits: Vec<u8> = vec![0];
        for byte in self.0 {
            let mut carry = u32::from(byte);
            for digit in &mut digits {
                let value = u32::from(*digit).saturating_mul(256).saturating_add(carry);
                *digit = u8::try_from(value % 10).unwrap_or(0);
                carry = value / 10;
            }
            while carry > 0 {
                digits.push(u8::try_from(carry % 10).unwrap_or(0));
                carry /= 10;
            }
        }
        digits.iter().rev().map(|digit| char::from(digit.saturating_add(b'0'))).collect()
    }
}

/// A public key: on a named curve, SEC1 uncompressed, or RSA as AMD and NVIDIA use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// P-256; signs with SHA-256.
    P256([u8; 65]),
    /// P-384; signs with SHA-384.
    P384([u8; 97]),
    /// RSA of exactly 2048 bits with exponent 65537: the modulus, big-endian. Signs with PKCS #1 v1.5 and SHA-256.
    Rsa2048(Box<[u8; 256]>),
    /// RSA of exactly 4096 bits with exponent 65537: the modulus, big-endian. Signs with RSASSA-PSS, SHA-384 and a salt of 48 bytes.
    Rsa4096(Box<[u8; 512]>),
}

/// SubjectPublicKeyInfo up to the first byte of an uncompressed P-256 point (RFC 5480).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same for P-384.
const SPKI_P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
/// SubjectPublicKeyInfo up to the first byte of a modulus of 2048 bits (RFC 8017 A.1.1; parameters NULL).
const SPKI_RSA_2048: &[u8] = &[
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00,
];
/// The same for 4096 bits.
const SPKI_RSA_4096: &[u8] = &[
    0x30, 0x82, 0x02, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x02, 0x0f, 0x00, 0x30, 0x82, 0x02, 0x0a, 0x02, 0x82, 0x02, 0x01, 0x00,
];
/// What follows either modulus: the exponent 65537.
const SPKI_EXPONENT: &[u8] = &[0x02, 0x03, 0x01, 0x00, 0x01];
/// AlgorithmIdentifier sha256WithRSAEncryption (RFC 8017 A.2.4; parameters NULL).
const RSA_SHA256: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// AlgorithmIdentifier ecdsa-with-SHA256 (RFC 5758): without parameters.
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// AlgorithmIdentifier ecdsa-with-SHA384.
const ECDSA_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// AlgorithmIdentifier RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (RFC 8017 A.2.3), in DER: the trailer field,
/// which has its default value, is left out.
const RSA_PSS_SHA384: &[u8] = &[
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c,
    0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
];
/// The same as AMD's older certificates have it: the trailer field 1 is written out, although DER leaves out defaults.
const RSA_PSS_SHA384_TRAILER: &[u8] = &[
    0x30, 0x46, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x39, 0xa0, 0x0f,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c,
    0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30, 0xa3,
    0x03, 0x02, 0x01, 0x01,
];

impl PublicKey {
    fn from_spki(spki: &[u8]) -> Result<PublicKey, Problem> {
        let point = |prefix| spki.strip_prefix(prefix).filter(|point: &&[u8]| point.first() == Some(&4));
        if let Some(point) = point(SPKI_P256) {
            return point.try_into().map(PublicKey::P256).map_err(|_| Problem::Malformed);
        }
        if let Some(point) = point(SPKI_P384) {
            return point.try_into().map(PublicKey::P384).map_err(|_| Problem::Malformed);
        }
        if let Some(modulus) = modulus(spki, SPKI_RSA_2048)? {
            return Ok(PublicKey::Rsa2048(modulus));
        }
        if let Some(modulus) = modulus(spki, SPKI_RSA_4096)? {
            return Ok(PublicKey::Rsa4096(modulus));
        }
        Err(Problem::Algorithm)
    }

    /// The point (65 or 97 bytes), or the modulus of an RSA key (256 or 512 bytes).
    pub fn point(&self) -> &[u8] {
        match self {
            PublicKey::P256(point) => point,
            PublicKey::P384(point) => point,
            PublicKey::Rsa2048(modulus) => modulus.as_slice(),
            PublicKey::Rsa4096(modulus) => modulus.as_slice(),
        }
    }

    /// Checks a signature by this key: DER for the curves, as long as the modulus for RSA. `algorithm` is the encoded
    /// AlgorithmIdentifier; it must be the one of the key.
    pub(crate) fn verify(&self, algorithm: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Problem> {
        let valid = match self {
            PublicKey::P256(point) if algorithm == ECDSA_SHA256 => {
                crypto::p256_verify_der(point, message, signature)
            }
            PublicKey::P384(point) if algorithm == ECDSA_SHA384 => {
                crypto::p384_verify_der(point, message, signature)
            }
            PublicKey::Rsa2048(modulus) if algorithm == RSA_SHA256 => {
                crypto::rsa_pkcs1_sha256_verify(modulus.as_slice(), message, signature)
            }
            PublicKey::Rsa4096(modulus)
                if algorithm == RSA_PSS_SHA384 || algorithm == RSA_PSS_SHA384_TRAILER =>
            {
                crypto::rsa_pss_sha384_verify(modulus.as_slice(), message, signature)
            }
            _ => return Err(Problem::Algorithm),
        };
        if valid { Ok(()) } else { Err(Problem::Signature) }
    }
}

/// The modulus of an RSA key whose SubjectPublicKeyInfo starts in this way, when it has exactly `N` bytes.
fn modulus<const N: usize>(spki: &[u8], prefix: &[u8]) -> Result<Option<Box<[u8; N]>>, Problem> {
    let modulus = spki.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(SPKI_EXPONENT));
    let Some(modulus) = modulus.and_then(|modulus| <&[u8; N]>::try_from(modulus).ok()) else {
        return Ok(None);
    };
    // The prefix holds a zero byte before the modulus, which is DER only if the modulus starts with a set bit: so it has 8 N bits.
    let exact = modulus.first().is_some_and(|first| first & 0x80 != 0);
    if exact { Ok(Some(Box::new(*modulus))) } else { Err(Problem::Malformed) }
}

/// The three parts of a signed X.509 object, as received.
pub(super) struct Signed<'a> {
    pub content: &'a [u8],
    pub tbs: &'a [u8],
    pub algorithm: &'a [u8],
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Splits `SEQUENCE { tbs SEQUENCE, algorithm SEQUENCE, signature BIT STRING }` that takes up all of `der`.
    pub(super) fn split(bytes: &'a [u8]) -> Option<Signed<'a>> {
        let mut outer = Der::new(bytes);
        let mut parts = outer.inside(der::SEQUENCE)?;
        let tbs = parts.value().filter(|value| value.tag == der::SEQUENCE)?;
        let algorithm = parts.value().filter(|value| value.tag == der::SEQUENCE)?;
        let (unused_bits, signature) = parts.expect(der::BIT_STRING)?.split_first()?;
        let complete = outer.is_empty() && parts.is_empty() && *unused_bits == 0;
        complete.then_some(Signed {
            content: tbs.content,
            tbs: tbs.encoded,
            algorithm: algorithm.encoded,
            signature,
        })
    }
}

/// A parsed certificate. Nothing in it is to be believed before [`Certificate::issued_by`] succeeded.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    common_name: Option<&'a str>,
    serial: Serial,
    not_before: u64,
    not_after: u64,
    spki: &'a [u8],
    key: PublicKey,
    ca: bool,
    path_length: Option<u32>,
    usage: Option<Usage>,
    extended_usage: Option<ExtendedUsage>,
    key_id: Option<&'a [u8]>,
    authority_key_id: Option<&'a [u8]>,
    other: Vec<(Vec<u8>, &'a [u8])>,
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    digital_signature: bool,
    sign_certificates: bool,
    sign_crls: bool,
}

/// Extended key usage. A critical one limits what the certificate is for, so it counts only where that purpose is asked for.
#[derive(Clone, Copy, Debug)]
struct ExtendedUsage {
    critical: bool,
    ocsp_signing: bool,
    server: bool,
}

impl<'a> Certificate<'a> {
    /// Parses one certificate of at most 16 KiB that takes up all of `der`: version 3, an EC, RSA-2048 or RSA-4096 key, inner and outer
    /// algorithm equal, no extension twice, no critical extension other than basicConstraints, keyUsage and extendedKeyUsage.
    pub fn parse(der: &'a [u8]) -> Result<Certificate<'a>, Problem> {
        if der.len() > CERTIFICATE_MAX_BYTES {
            return Err(Problem::Malformed);
        }
        let signed = Signed::split(der).ok_or(Problem::Malformed)?;
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Problem::Malformed)?;
        let tbs = &parsed.tbs_certificate;
        if !rest.is_empty()
            || tbs.version != X509Version::V3
            || tbs.issuer_uid.is_some()
            || tbs.subject_uid.is_some()
        {
            return Err(Problem::Malformed);
        }
        if parsed.signature_algorithm != tbs.signature {
            return Err(Problem::Algorithm);
        }
        let seconds = |time: i64| u64::try_from(time).map_err(|_| Problem::Malformed);
        let mut certificate = Certificate {
            der,
            tbs: signed.tbs,
            algorithm: signed.algorithm,
            signature: signed.signature,
            issuer: tbs.issuer.as_raw(),
            subject: tbs.subject.as_raw(),
            common_name: common_name(&tbs.subject),
            serial: Serial::new(tbs.raw_serial()).ok_or(Problem::Malformed)?,
            not_before: seconds(tbs.validity.not_before.timestamp())?,
            not_after: seconds(tbs.validity.not_after.timestamp())?,
            spki: tbs.subject_pki.raw,
            key: PublicKey::from_spki(tbs.subject_pki.raw)?,
            ca: false,
            path_length: None,
            usage: None,
            extended_usage: None,
            key_id: None,
            authority_key_id: None,
            other: Vec::new(),
        };
        certificate.read_extensions(&parsed)?;
        Ok(certificate)
    }

    fn read_extensions(&mut self, parsed: &X509Certificate<'a>) -> Result<(), Problem> {
        let extensions = parsed.tbs_certificate.extensions();
        for (i, extension) in extensions.iter().enumerate() {
            if extensions.iter().take(i).any(|earlier| earlier.oid == extension.oid) {
                return Err(Problem::Extension);
            }
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    self.ca = constraints.ca;
                    self.path_length = constraints.path_len_constraint;
                }
                ParsedExtension::KeyUsage(usage) => {
                    self.usage = Some(Usage {
                        digital_signature: usage.digital_signature(),
                        sign_certificates: usage.key_cert_sign(),
                        sign_crls: usage.crl_sign(),
                    });
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    self.extended_usage = Some(ExtendedUsage {
                        critical: extension.critical,
                        ocsp_signing: usage.ocsp_signing,
                        server: usage.server_auth || usage.any,
                    });
                }
                ParsedExtension::ParseError { .. } => return Err(Problem::Malformed),
                _ if extension.critical => return Err(Problem::Extension),
                ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0);
                }
                _ => self.other.push((extension.oid.as_bytes().to_vec(), extension.value)),
            }
        }
        Ok(())
    }

    /// The whole certificate as received.
    pub const fn der(&self) -> &'a [u8] {
        self.der
    }

    /// SubjectPublicKeyInfo as received.
    pub const fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// The subject's common name, when it has exactly one.
    pub const fn common_name(&self) -> Option<&'a str> {
        self.common_name
    }

    /// Encoded issuer name.
    pub const fn issuer(&self) -> &'a [u8] {
        self.issuer
    }

    /// Encoded subject name.
    pub const fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// Serial number.
    pub const fn serial(&self) -> Serial {
        self.serial
    }

    /// The key it certifies.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// First second of validity.
    pub const fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity.
    pub const fn not_after(&self) -> u64 {
        self.not_after
    }

    /// True when it is marked as a certification authority.
    pub const fn is_ca(&self) -> bool {
        self.ca
    }

    /// Every extension that this module does not judge: encoded OID and content (without tag and length), in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&[u8], &'a [u8])> {
        self.other.iter().map(|(oid, value)| (oid.as_slice(), *value))
    }

    /// Content of the extension with this encoded OID (without tag and length).
    pub fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.other.iter().find(|(other, _)| other == oid).map(|(_, value)| *value)
    }

    /// Checks that `at` lies inside the validity, both ends included.
    pub const fn valid_at(&self, at: u64) -> Result<(), Problem> {
        window(self.not_before, self.not_after, at)
    }

    /// Checks that it is an end entity that may sign data and nothing else. Without a key usage extension any use is allowed
    /// (RFC 5280, 4.2.1.3); a profile that always has one asks with [`Certificate::states_usage`] too.
    pub fn end_entity(&self) -> Result<(), Problem> {
        if self.limited() {
            return Err(Problem::Extension);
        }
        self.signs_data()
    }

    /// Checks that it may sign OCSP answers for the authority that issued it (RFC 6960, 4.2.2.2): an end entity with the extended
    /// key usage for that.
    pub fn ocsp_signer(&self) -> Result<(), Problem> {
        if !self.extended_usage.is_some_and(|usage| usage.ocsp_signing) {
            return Err(Problem::Usage);
        }
        self.signs_data()
    }

    /// Checks that it may authenticate a server: an end entity whose extended key usage, if it has one, contains that or any use.
    pub fn server(&self) -> Result<(), Problem> {
        if self.extended_usage.is_some_and(|usage| !usage.server) {
            return Err(Problem::Usage);
        }
        self.signs_data()
    }

    /// The DNS names of its alternative names, in order; empty without that extension. `Malformed` when it has names of another kind.
    pub fn dns_names(&self) -> Result<Vec<&'a str>, Problem> {
        /// id-ce-subjectAltName, 2.5.29.17.
        const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
        /// Tag `[2]` primitive: dNSName.
        const DNS_NAME: u8 = 0x82;
        let Some(content) = self.extension(ALTERNATIVE_NAME) else { return Ok(Vec::new()) };
        let mut outer = Der::new(content);
        let mut list = outer.inside(der::SEQUENCE).filter(|_| outer.is_empty()).ok_or(Problem::Malformed)?;
        let mut names = Vec::new();
        while !list.is_empty() {
            let name = list.expect(DNS_NAME).filter(|name| name.is_ascii()).ok_or(Problem::Malformed)?;
            names.push(std::str::from_utf8(name).map_err(|_| Problem::Malformed)?);
        }
        Ok(names)
    }

    fn signs_data(&self) -> Result<(), Problem> {
        let fits = self
            .usage
            .is_none_or(|usage| usage.digital_signature && !usage.sign_certificates && !usage.sign_crls);
        if fits && !self.ca { Ok(()) } else { Err(Problem::Usage) }
    }

    /// True when a critical extension limits it to purposes that nobody asked for.
    fn limited(&self) -> bool {
        self.extended_usage.is_some_and(|usage| usage.critical)
    }

    /// True when it has a key usage extension.
    pub const fn states_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Checks names, key identifiers and signature against an authority. Dates and purpose are asked separately.
    pub fn issued_by(&self, issuer: &Authority) -> Result<(), Problem> {
        if self.issuer != issuer.subject {
            return Err(Problem::Name);
        }
        if let (Some(wanted), Some(have)) = (self.authority_key_id, &issuer.key_id)
            && wanted != have
        {
            return Err(Problem::Name);
        }
        issuer.key.verify(self.algorithm, self.tbs, self.signature)
    }
}

/// A certification authority that leads to a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    der: Vec<u8>,
    subject: Vec<u8>,
    common_name: String,
    serial: Serial,
    key: PublicKey,
    key_id: Option<Vec<u8>>,
    not_before: u64,
    not_after: u64,
    path_length: Option<u32>,
    sign_crls: bool,
}

impl Authority {
    /// A root that the caller has decided to trust. Its signature over itself proves nothing and is not checked.
    pub fn root(der: &[u8]) -> Result<Authority, Problem> {
        let certificate = Certificate::parse(der)?;
        if certificate.issuer != certificate.subject {
            return Err(Problem::Name);
        }
        Authority::new(&certificate, certificate.path_length)
    }

    /// An authority that the caller has decided to trust by its bytes, wherever it was issued. Checks only that it may issue.
    pub fn pinned(der: &[u8]) -> Result<Authority, Problem> {
        let certificate = Certificate::parse(der)?;
        Authority::new(&certificate, certificate.path_length)
    }

    /// An authority below `issuer`: checks names, key identifiers, path length, CA flag, key usage, signature and dates.
    pub fn below(issuer: &Authority, certificate: &Certificate<'_>, at: u64) -> Result<Authority, Problem> {
        certificate.valid_at(at)?;
        let room = match issuer.path_length {
            Some(length) => Some(length.checked_sub(1).ok_or(Problem::Usage)?),
            None => None,
        };
        let path_length = match (room, certificate.path_length) {
            (Some(room), Some(own)) => Some(room.min(own)),
            (room, own) => room.or(own),
        };
        let authority = Authority::new(certificate, path_length)?;
        certificate.issued_by(issuer)?;
        Ok(authority)
    }

    fn new(certificate: &Certificate<'_>, path_length: Option<u32>) -> Result<Authority, Problem> {
        if certificate.limited() {
            return Err(Problem::Extension);
        }
        if !certificate.ca || certificate.usage.is_some_and(|usage| !usage.sign_certificates) {
            return Err(Problem::Usage);
        }
        Ok(Authority {
            der: certificate.der.to_vec(),
            subject: certificate.subject.to_vec(),
            common_name: certificate.common_name.ok_or(Problem::Name)?.to_owned(),
            serial: certificate.serial,
            key: certificate.key.clone(),
            key_id: certificate.key_id.map(<[u8]>::to_vec),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            path_length,
            sign_crls: certificate.usage.is_none_or(|usage| usage.sign_crls),
        })
    }

    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's common name.
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Encoded subject name.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Serial number.
    pub const fn serial(&self) -> Serial {
        self.serial
    }

    /// Its key.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Subject key identifier.
    pub fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    /// First second of validity.
    pub const fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity.
    pub const fn not_after(&self) -> u64 {
        self.not_after
    }

    /// True when its key usage allows signing revocation lists.
    pub const fn may_sign_crls(&self) -> bool {
        self.sign_crls
    }

    /// Checks that `at` lies inside the validity, both ends included.
    pub const fn valid_at(&self, at: u64) -> Result<(), Problem> {
        window(self.not_before, self.not_after, at)
    }
}

const fn window(not_before: u64, not_after: u64, at: u64) -> Result<(), Problem> {
    if at < not_before {
        Err(Problem::NotYetValid)
    } else if at > not_after {
        Err(Problem::Expired)
    } else {
        Ok(())
    }
}

fn common_name<'a>(name: &X509Name<'a>) -> Option<&'a str> {
    let mut names = name.iter_common_name();
    let first = names.next()?;
    if names.next().is_some() {
        return None;
    }
    first.as_str().ok()
}
