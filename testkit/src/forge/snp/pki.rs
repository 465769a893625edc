//! Certificates in AMD's form (attestation.md 1.4, 1.6).

use proveil_core::claims::{Product, SigningKey, TcbParts};

use super::rsa::{Padding, RsaKey};
use crate::forge::DAY_S;
use crate::forge::der;
use crate::forge::keys::EcKey;
use crate::forge::x509::{Attribute, CertificateSpec, CrlSpec, Extension, IssuerKey, name};

/// Distinguished name with AMD's tail, DER.
pub fn amd_name(common_name: &str) -> Vec<u8> {
    name(&[
        (Attribute::OrganizationalUnit, "Engineering"),
        (Attribute::Country, "US"),
        (Attribute::Locality, "Santa Clara"),
        (Attribute::State, "CA"),
        (Attribute::Organization, "Advanced Micro Devices"),
        (Attribute::CommonName, common_name),
    ])
}

/// A key of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Root.
    Ark,
    /// Issuer of chips' keys.
    Ask,
    /// Issuer of cloud providers' keys.
    Asvk,
    /// A key that nobody trusts.
    Stranger,
}

impl Role {
    /// The issuer of signing keys of a kind.
    pub const fn issuer(kind: SigningKey) -> Role {
        match kind {
            SigningKey::Vlek => Role::Asvk,
            SigningKey::Vcek | SigningKey::None => Role::Ask,
        }
    }

    /// Its key.
    pub fn key(self) -> RsaKey {
        RsaKey::of_process(match self {
            Role::Ark => 0,
            Role::Ask => 1,
            Role::Asvk => 2,
            Role::Stranger => 3,
        })
    }
}

/// Who signs a certificate or list, and how.
#[derive(Clone, Copy, Debug)]
pub struct Signer {
    /// Whose key.
    pub role: Role,
    /// Padding.
    pub padding: Padding,
}

impl Signer {
    /// As AMD does now.
    pub const fn new(role: Role) -> Signer {
        Signer { role, padding: Padding::Pss }
    }
}

impl IssuerKey for Signer {
    fn algorithm(&self) -> Vec<u8> {
        self.padding.algorithm()
    }

    fn sign_content(&self, content: &[u8]) -> Vec<u8> {
        self.role.key().sign(self.padding, content)
    }
}

/// Serial number of a product's root; its issuers count on from there.
fn serial(product: Product, last: u8) -> Vec<u8> {
    let first = match product {
        Product::Milan => 1,
        Product::Genoa => 2,
        Product::Turin => 3,
    };
    vec![first, 0, last]
}

fn authority(product: Product, role: Role, common_name: &str, now: u64) -> CertificateSpec {
    let ark = Role::Ark.key();
    let key = role.key();
    let crl_url = format!("https://kdsintf.amd.com/vcek/v1/{}/crl", product.name());
    let (length, above) = match role {
        Role::Ark => (None, None),
        _ => (Some(0), Some(Extension::authority_key_id(&ark.identifier()))),
    };
    let extensions = [
        Some(Extension::subject_key_id(&key.identifier())),
        above,
        Some(Extension::basic_constraints(true, length)),
        Some(Extension::key_usage_ca(role == Role::Ark)),
        Some(Extension::crl_distribution(&crl_url)),
    ];
    CertificateSpec {
        serial: serial(product, if role == Role::Ark { 0 } else { 2 }),
        issuer: amd_name(&format!("ARK-{}", product.name())),
        subject: amd_name(common_name),
        not_before: now.saturating_sub(DAY_S.saturating_mul(900)),
        not_after: now.saturating_add(DAY_S.saturating_mul(8_000)),
        spki: key.spki(),
        extensions: extensions.into_iter().flatten().collect(),
    }
}

pub(super) fn root(product: Product, now: u64) -> CertificateSpec {
    authority(product, Role::Ark, &format!("ARK-{}", product.name()), now)
}

pub(super) fn issuer(product: Product, kind: SigningKey, now: u64) -> CertificateSpec {
    let infix = if kind == SigningKey::Vlek { "VLEK-" } else { "" };
    authority(product, Role::issuer(kind), &format!("SEV-{infix}{}", product.name()), now)
}

/// A current list of the root that revokes an earlier issuer.
pub(super) fn revocation_list(root: &CertificateSpec, now: u64) -> CrlSpec {
    let mut earlier = root.serial.clone();
    if let Some(last) = earlier.last_mut() {
        *last = 1;
    }
    CrlSpec {
        issuer: root.subject.clone(),
        authority_key_id: Role::Ark.key().identifier().to_vec(),
        this_update: now.saturating_sub(DAY_S.saturating_mul(30)),
        next_update: Some(now.saturating_add(DAY_S.saturating_mul(300))),
        number: 4,
        revoked: vec![earlier],
    }
}

/// How a chip's identity stands in its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HwidForm {
    /// Bare bytes, as in every certificate seen.
    Raw(Vec<u8>),
    /// In an OCTET STRING.
    Octets(Vec<u8>),
    /// Not there.
    Absent,
}

/// The certificate of a signing key.
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// `SEV-VCEK` or `SEV-VLEK`.
    pub common_name: String,
    /// Zero, as AMD's service issues them.
    pub serial: Vec<u8>,
    /// Start of validity.
    pub not_before: u64,
    /// End of validity.
    pub not_after: u64,
    /// Key, DER.
    pub spki: Vec<u8>,
    /// structVersion.
    pub struct_version: u8,
    /// productName.
    pub product_name: String,
    /// Patch levels by the last arc of their extension (3.1 to 3.9); `None` leaves one out.
    pub spl: [Option<u8>; 9],
    /// hwID.
    pub hwid: HwidForm,
    /// cspID.
    pub csp_id: Option<String>,
    /// Extensions after AMD's.
    pub others: Vec<Extension>,
}

/// An extension of AMD's arc with this content.
pub fn amd_extension(arcs: &[u32], value: Vec<u8>) -> Extension {
    let oid = [&[1, 3, 6, 1, 4, 1, 3704, 1][..], arcs].concat();
    Extension { oid: der::oid(&oid), critical: false, value }
}

impl LeafSpec {
    pub(super) fn new(
        product: Product,
        kind: SigningKey,
        tcb: TcbParts,
        chip_id: &[u8; 64],
        key: &EcKey,
        now: u64,
    ) -> LeafSpec {
        let turin = product == Product::Turin;
        let is_vlek = kind == SigningKey::Vlek;
        let zero = (!turin).then_some(0);
        let hwid = chip_id.get(..product.hwid_len()).unwrap_or_default().to_vec();
        LeafSpec {
            common_name: if is_vlek { "SEV-VLEK" } else { "SEV-VCEK" }.to_owned(),
            serial: Vec::new(),
            not_before: now.saturating_sub(DAY_S.saturating_mul(30)),
            not_after: now.saturating_add(DAY_S.saturating_mul(if is_vlek { 335 } else { 2_500 })),
            spki: key.spki(),
            struct_version: u8::from(turin),
            product_name: match product {
                Product::Milan if !is_vlek => "Milan-B0".to_owned(),
                _ => product.name().to_owned(),
            },
            spl: [
                Some(tcb.bootloader),
                Some(tcb.tee),
                Some(tcb.snp),
                zero,
                Some(0),
                Some(0),
                Some(0),
                Some(tcb.microcode),
                turin.then_some(tcb.fmc),
            ],
            hwid: if is_vlek { HwidForm::Absent } else { HwidForm::Raw(hwid) },
            csp_id: is_vlek.then(|| "CN=cc-test-1.cloud.example".to_owned()),
            others: Vec::new(),
        }
    }

    /// Every field of the certificate below this issuer.
    pub(super) fn certificate(&self, issuer: &CertificateSpec) -> CertificateSpec {
        let text = |text: &str| der::tagged(0x16, text.as_bytes());
        let number = |value: u8| der::integer(&[value]);
        let mut extensions = vec![
            amd_extension(&[1], number(self.struct_version)),
            amd_extension(&[2], text(&self.product_name)),
        ];
        for (arc, spl) in (1..).zip(&self.spl) {
            extensions.extend(spl.map(|spl| amd_extension(&[3, arc], number(spl))));
        }
        match &self.hwid {
            HwidForm::Raw(hwid) => extensions.push(amd_extension(&[4], hwid.clone())),
            HwidForm::Octets(hwid) => extensions.push(amd_extension(&[4], der::octets(hwid))),
            HwidForm::Absent => {}
        }
        extensions.extend(self.csp_id.as_deref().map(|csp_id| amd_extension(&[5], text(csp_id))));
        extensions.extend(self.others.iter().cloned());
        CertificateSpec {
            serial: self.serial.clone(),
            issuer: issuer.subject.clone(),
            subject: amd_name(&self.common_name),
            not_before: self.not_before,
            not_after: self.not_after,
            spki: self.spki.clone(),
            extensions,
        }
    }
}
