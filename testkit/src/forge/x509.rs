//! Certificates (RFC 5280 v3) and revocation lists (v2), built field by field so that each can be made wrong on purpose.

use super::der;
use super::keys::EcKey;

/// Attribute types of distinguished names.
#[derive(Clone, Copy, Debug)]
pub enum Attribute {
    /// CN
    CommonName,
    /// O
    Organization,
    /// OU
    OrganizationalUnit,
    /// L
    Locality,
    /// ST
    State,
    /// C, a PrintableString
    Country,
    /// serialNumber, a PrintableString
    SerialNumber,
}

impl Attribute {
    const fn last_arc(self) -> u32 {
        match self {
            Attribute::CommonName => 3,
            Attribute::SerialNumber => 5,
            Attribute::Country => 6,
            Attribute::Locality => 7,
            Attribute::State => 8,
            Attribute::Organization => 10,
            Attribute::OrganizationalUnit => 11,
        }
    }
}

/// Name, DER, with its attributes in the given order.
pub fn name(attributes: &[(Attribute, &str)]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(attribute, value)| {
            let text = match attribute {
                Attribute::Country | Attribute::SerialNumber => der::printable(value),
                _ => der::utf8(value),
            };
            der::set(&der::sequence(&[&der::oid(&[2, 5, 4, attribute.last_arc()]), &text]))
        })
        .collect();
    der::tagged(0x30, &sets.concat())
}

/// A key that signs certificates and revocation lists.
pub trait IssuerKey {
    /// AlgorithmIdentifier of its signatures, DER.
    fn algorithm(&self) -> Vec<u8>;
    /// Signature over the content, as it stands in the BIT STRING.
    fn sign_content(&self, content: &[u8]) -> Vec<u8>;
}

impl IssuerKey for EcKey {
    fn algorithm(&self) -> Vec<u8> {
        self.signature_algorithm()
    }

    fn sign_content(&self, content: &[u8]) -> Vec<u8> {
        self.sign_der(content)
    }
}

/// One certificate or CRL extension.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Object identifier, DER.
    pub oid: Vec<u8>,
    /// Criticality.
    pub critical: bool,
    /// DER of the value, without its OCTET STRING.
    pub value: Vec<u8>,
}

impl Extension {
    /// An extension of the arc 2.5.29.
    fn standard(last_arc: u32, critical: bool, value: Vec<u8>) -> Extension {
        Extension { oid: der::oid(&[2, 5, 29, last_arc]), critical, value }
    }

    /// authorityKeyIdentifier with a key identifier.
    pub fn authority_key_id(identifier: &[u8]) -> Extension {
        Extension::standard(35, false, der::sequence(&[&der::tagged(0x80, identifier)]))
    }

    /// subjectKeyIdentifier.
    pub fn subject_key_id(identifier: &[u8]) -> Extension {
        Extension::standard(14, false, der::octets(identifier))
    }

    /// cRLDistributionPoints with one address.
    pub fn crl_distribution(url: &str) -> Extension {
        let names = der::context(0, &der::context(0, &der::tagged(0x86, url.as_bytes())));
        Extension::standard(31, false, der::sequence(&[&der::sequence(&[&names])]))
    }

    /// keyUsage for a certification authority: keyCertSign, and cRLSign when asked.
    pub fn key_usage_ca(crl_sign: bool) -> Extension {
        let value = if crl_sign { der::bits_unused(1, &[0x06]) } else { der::bits_unused(2, &[0x04]) };
        Extension::standard(15, true, value)
    }

    /// keyUsage for an end entity: digitalSignature, and nonRepudiation when asked.
    pub fn key_usage_leaf(non_repudiation: bool) -> Extension {
        let value = if non_repudiation { der::bits_unused(6, &[0xc0]) } else { der::bits_unused(7, &[0x80]) };
        Extension::standard(15, true, value)
    }

    /// basicConstraints.
    pub fn basic_constraints(ca: bool, path_length: Option<u8>) -> Extension {
        let flag = if ca { der::boolean(true) } else { Vec::new() };
        let length = path_length.map(|n| der::integer(&[n])).unwrap_or_default();
        Extension::standard(19, true, der::sequence(&[&flag, &length]))
    }

    fn encode(&self) -> Vec<u8> {
        let critical = if self.critical { der::boolean(true) } else { Vec::new() };
        der::sequence(&[&self.oid, &critical, &der::octets(&self.value)])
    }
}

/// Every field of a certificate that its issuer decides.
#[derive(Clone, Debug)]
pub struct CertificateSpec {
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Issuer name, DER.
    pub issuer: Vec<u8>,
    /// Subject name, DER.
    pub subject: Vec<u8>,
    /// Start of validity, Unix seconds.
    pub not_before: u64,
    /// End of validity, Unix seconds; `u64::MAX` becomes the last second of 9999.
    pub not_after: u64,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Extensions in order.
    pub extensions: Vec<Extension>,
}

impl CertificateSpec {
    /// The certificate, DER, signed by `issuer_key`.
    pub fn sign(&self, issuer_key: &impl IssuerKey) -> Vec<u8> {
        let algorithm = issuer_key.algorithm();
        let validity = der::sequence(&[&der::time(self.not_before), &der::time(self.not_after)]);
        let tbs = der::sequence(&[
            &der::context(0, &der::integer(&[2])),
            &der::integer(&self.serial),
            &algorithm,
            &self.issuer,
            &validity,
            &self.subject,
            &self.spki,
            &der::context(3, &extensions(&self.extensions)),
        ]);
        signed(tbs, &algorithm, issuer_key)
    }
}

/// Every field of a certificate revocation list.
#[derive(Clone, Debug)]
pub struct CrlSpec {
    /// Issuer name, DER.
    pub issuer: Vec<u8>,
    /// Identifier of the issuer's key.
    pub authority_key_id: Vec<u8>,
    /// thisUpdate, Unix seconds.
    pub this_update: u64,
    /// nextUpdate, Unix seconds; left out when `None`.
    pub next_update: Option<u64>,
    /// cRLNumber.
    pub number: u8,
    /// Serial numbers of revoked certificates, big-endian, each revoked at `this_update` for key compromise.
    pub revoked: Vec<Vec<u8>>,
}

impl CrlSpec {
    /// The list, DER, signed by `issuer_key`.
    pub fn sign(&self, issuer_key: &impl IssuerKey) -> Vec<u8> {
        let algorithm = issuer_key.algorithm();
        let next_update = self.next_update.map(der::time).unwrap_or_default();
        let reason = Extension::standard(21, false, der::enumerated(1));
        let entries: Vec<Vec<u8>> = self
            .revoked
            .iter()
            .map(|serial| {
                let about = extensions(std::slice::from_ref(&reason));
                der::sequence(&[&der::integer(serial), &der::time(self.this_update), &about])
            })
            .collect();
        let revoked = if entries.is_empty() { Vec::new() } else { der::tagged(0x30, &entries.concat()) };
        let about_list = extensions(&[
            Extension::standard(20, false, der::integer(&[self.number])),
            Extension::authority_key_id(&self.authority_key_id),
        ]);
        let tbs = der::sequence(&[
            &der::integer(&[1]),
            &algorithm,
            &self.issuer,
            &der::time(self.this_update),
            &next_update,
            &revoked,
            &der::context(0, &about_list),
        ]);
        signed(tbs, &algorithm, issuer_key)
    }
}

fn extensions(list: &[Extension]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = list.iter().map(Extension::encode).collect();
    der::tagged(0x30, &encoded.concat())
}

fn signed(tbs: Vec<u8>, algorithm: &[u8], key: &impl IssuerKey) -> Vec<u8> {
    let signature = der::bits(&key.sign_content(&tbs));
    der::sequence(&[&tbs, algorithm, &signature])
}
