//! What a verified SEV-SNP report says (`protocols/attestation.md` 1.1 to 1.4). Multi-byte numbers are little-endian in the report;
//! byte arrays are in its order.

/// A product line of AMD processors, each with its own root and TCB layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004 (Genoa, Bergamo, Siena), which share one root.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// Every product line.
    pub const ALL: [Product; 3] = [Product::Milan, Product::Genoa, Product::Turin];

    /// AMD's word in names of certificates and addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Product::Milan => "Milan",
            Product::Genoa => "Genoa",
            Product::Turin => "Turin",
        }
    }

    /// The product with exactly this name.
    pub fn from_name(name: &str) -> Option<Product> {
        Product::ALL.into_iter().find(|product| product.name() == name)
    }

    /// Bytes of the hardware identity in chip keys and addresses: 8 for Turin, 64 before.
    pub const fn hwid_len(self) -> usize {
        match self {
            Product::Milan | Product::Genoa => 64,
            Product::Turin => 8,
        }
    }
}

/// Family, model and stepping of a processor, as CPUID combines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cpuid {
    /// Family.
    pub family: u8,
    /// Model.
    pub model: u8,
    /// Stepping.
    pub stepping: u8,
}

impl Cpuid {
    /// The product line; `None` for processors that have no root here.
    pub const fn product(self) -> Option<Product> {
        match (self.family, self.model) {
            (0x19, 0x00..=0x0f) => Some(Product::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Product::Genoa),
            (0x1a, 0x00..=0x11) => Some(Product::Turin),
            _ => None,
        }
    }
}

/// Security patch levels of a platform's parts. Compared part by part, never as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcbParts {
    /// Firmware management controller; Turin only, zero before.
    pub fmc: u8,
    /// Secure processor's boot loader.
    pub bootloader: u8,
    /// Secure processor's operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode. Its numbers are of one processor model, not of the whole product line.
    pub microcode: u8,
}

impl TcbParts {
    /// Name and value of each part, in the order of the fields.
    pub const fn parts(&self) -> [(&'static str, u8); 5] {
        [
            ("fmc", self.fmc),
            ("bootloader", self.bootloader),
            ("tee", self.tee),
            ("snp", self.snp),
            ("microcode", self.microcode),
        ]
    }

    /// True when no part is below the same part of `other`.
    pub fn reaches(&self, other: &TcbParts) -> bool {
        self.parts().iter().zip(other.parts()).all(|((_, own), (_, other))| *own >= other)
    }
}

/// Version of the SNP firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FirmwareVersion {
    /// Major version of its interface.
    pub major: u8,
    /// Minor version of its interface.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

/// Which key signed a report (signer info, bits 2 to 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningKey {
    /// The chip's own key.
    Vcek,
    /// A cloud provider's key: it names the provider and not the machine.
    Vlek,
    /// None: the report is not signed.
    None,
}

/// Every field of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpReport {
    /// Format: 2, 3, 4 or 5.
    pub version: u32,
    /// Security version of the guest, from its ID block.
    pub guest_svn: u32,
    /// Guest policy, fixed at launch.
    pub policy: u64,
    /// From the ID block.
    pub family_id: [u8; 16],
    /// From the ID block.
    pub image_id: [u8; 16],
    /// Privilege level of the requester.
    pub vmpl: u32,
    /// Levels that are loaded now.
    pub current_tcb: [u8; 8],
    /// State of the platform.
    pub platform_info: u64,
    /// True when an author key signed the ID key.
    pub author_key_enabled: bool,
    /// True when the chip's identity is hidden.
    pub chip_key_masked: bool,
    /// Which key signed.
    pub signing_key: SigningKey,
    /// Chosen by the guest.
    pub report_data: [u8; 64],
    /// Measurement of the guest's initial content.
    pub measurement: [u8; 48],
    /// Chosen by the host at launch.
    pub host_data: [u8; 32],
    /// SHA-384 of the key that signed the ID block; zero if none.
    pub id_key_digest: [u8; 48],
    /// SHA-384 of the author key.
    pub author_key_digest: [u8; 48],
    /// Identity of this guest for its life.
    pub report_id: [u8; 32],
    /// The same of its migration agent; all ones if none.
    pub report_id_ma: [u8; 32],
    /// Levels that the signing key was derived for.
    pub reported_tcb: [u8; 8],
    /// Processor; absent in version 2.
    pub cpuid: Option<Cpuid>,
    /// Identity of the chip, zero when hidden; the first 8 bytes on Turin.
    pub chip_id: [u8; 64],
    /// Levels that the platform cannot go back behind.
    pub committed_tcb: [u8; 8],
    /// Firmware that is loaded now.
    pub current_version: FirmwareVersion,
    /// Firmware that the platform cannot go back behind.
    pub committed_version: FirmwareVersion,
    /// Levels when the guest was launched.
    pub launch_tcb: [u8; 8],
    /// Mitigations at launch; version 5.
    pub launch_mitigations: Option<u64>,
    /// Mitigations now; version 5.
    pub current_mitigations: Option<u64>,
}

impl SnpReport {
    /// True when the chip's identity is not stated.
    pub fn chip_id_hidden(&self) -> bool {
        self.chip_id.iter().all(|byte| *byte == 0)
    }
}

/// A report's four TCB versions, taken apart by its product's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnpTcb {
    /// Loaded now.
    pub current: TcbParts,
    /// What the signing key was derived for, and what it vouches for.
    pub reported: TcbParts,
    /// What the platform cannot go back behind.
    pub committed: TcbParts,
    /// What was loaded when the guest was launched.
    pub launch: TcbParts,
}

/// What the signing key's certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnpSigner {
    /// A chip (VCEK) with its hardware identity: 64 bytes, on Turin 8.
    Chip(Vec<u8>),
    /// A cloud provider (VLEK) with its id.
    Provider(String),
}

/// How it is known that the issuer of the signing key is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The issuer is pinned by its bytes.
    Pinned,
    /// A current list of the root does not name it.
    List,
    /// It is not known: no list was given, or only one that is not current.
    Unknown,
}

/// Facts about the certificates that a report was verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VekFacts {
    /// Whose key it is.
    pub signer: SnpSigner,
    /// SHA-256 of the certificate.
    pub certificate_sha256: [u8; 32],
    /// First second of the chain's common validity.
    pub not_before: u64,
    /// Last second of the chain's common validity.
    pub not_after: u64,
    /// How it is known that the issuer is not revoked.
    pub revocation: Revocation,
    /// From this second on, the revocation list that was used is not to be used any more.
    pub list_expires_at: Option<u64>,
    /// Number of that list, big-endian, for comparison with one seen earlier: an older list may lack a revocation.
    pub list_number: Option<Vec<u8>>,
}

/// What a verified report says. Signatures are done and the certificate is the report's; acceptance is policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpClaims {
    /// The report.
    pub report: SnpReport,
    /// Product line, in the certificate and, from version 3 on, in the report.
    pub product: Product,
    /// The TCB versions in parts.
    pub tcb: SnpTcb,
    /// Facts of the certificates.
    pub vek: VekFacts,
    /// The time of this verification, in seconds.
    pub verified_at: u64,
    /// True when the chain leads to a root other than AMD's pinned ones.
    pub custom_root: bool,
}
