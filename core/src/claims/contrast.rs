//! What a verified Contrast coordinator vouches for (`protocols/privatemode.md` 3), and the manifest in typed form (3.5).

use super::{Product, SnpClaims, TcbParts, TdxClaims};
use crate::pki::Authority;

/// The guest policy that a manifest allows, by AMD's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestPolicy {
    /// Lowest minor version of the firmware's interface, bits 0 to 7.
    pub abi_minor: u8,
    /// Lowest major version of it, bits 8 to 15.
    pub abi_major: u8,
    /// Simultaneous multithreading is allowed, bit 16.
    pub smt: bool,
    /// A migration agent is allowed, bit 18.
    pub migrate_ma: bool,
    /// Debugging is allowed, bit 19.
    pub debug: bool,
    /// The guest is bound to one socket, bit 20.
    pub single_socket: bool,
    /// CXL memory and devices are allowed, bit 21.
    pub cxl_allowed: bool,
    /// Memory is encrypted with AES-256-XTS, bit 22.
    pub mem_aes_256_xts: bool,
    /// Power measurement is off, bit 23.
    pub rapl_dis: bool,
    /// Ciphertext is hidden from the host, bit 24.
    pub ciphertext_hiding_dram: bool,
    /// Guest pages are never swapped, bit 25.
    pub page_swap_disable: bool,
}

impl GuestPolicy {
    /// The number in reports and ID blocks; the reserved bit 17 is set.
    pub fn bits(&self) -> u64 {
        let flags = [
            (16, self.smt),
            (17, true),
            (18, self.migrate_ma),
            (19, self.debug),
            (20, self.single_socket),
            (21, self.cxl_allowed),
            (22, self.mem_aes_256_xts),
            (23, self.rapl_dis),
            (24, self.ciphertext_hiding_dram),
            (25, self.page_swap_disable),
        ];
        let versions = u64::from(self.abi_minor) | u64::from(self.abi_major) << 8;
        flags.iter().fold(versions, |bits, (place, set)| bits | u64::from(*set) << place)
    }
}

/// The platform state that a manifest accepts: the first, second and last may be, the others must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlatformRules {
    /// Multithreading may be on, bit 0.
    pub smt_enabled: bool,
    /// Transparent memory encryption may be on, bit 1.
    pub tsme_enabled: bool,
    /// Memory must have error correction, bit 2.
    pub ecc_enabled: bool,
    /// Power measurement must be off, bit 3.
    pub rapl_disabled: bool,
    /// Ciphertext must be hidden, bit 4.
    pub ciphertext_hiding_dram_enabled: bool,
    /// Memory must have been checked for aliases, bit 5.
    pub alias_check_complete: bool,
    /// Trusted I/O may be on, bit 7.
    pub tio_enabled: bool,
}

/// A reference value for SEV-SNP hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpReference {
    /// The deployment's name of the platform.
    pub platform: String,
    /// Number of virtual processors that the measurement is for, where it is stated.
    pub cpus: Option<u64>,
    /// Product line: Milan or Genoa.
    pub product: Product,
    /// The launch measurement.
    pub measurement: [u8; 48],
    /// Lowest patch levels.
    pub minimum_tcb: TcbParts,
    /// The guest policy.
    pub guest_policy: GuestPolicy,
    /// The platform's state.
    pub platform_info: PlatformRules,
    /// Mitigations that must be in force at launch and now.
    pub mitigations: u64,
    /// Accepted chips, if not empty.
    pub chip_ids: Vec<[u8; 64]>,
}

/// A reference value for TDX hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxReference {
    /// The deployment's name of the platform.
    pub platform: String,
    /// Lowest evaluation number of Intel's collateral.
    pub min_evaluation_number: u32,
    /// Measurement of the initial content.
    pub mr_td: [u8; 48],
    /// Measurement of the TDX module.
    pub mr_seam: [u8; 48],
    /// Run-time registers.
    pub rtmrs: [[u8; 48]; 4],
    /// Extended features.
    pub xfam: [u8; 8],
    /// Accepted platform instances, if not empty.
    pub piids: Vec<[u8; 16]>,
    /// Memory must have cryptographic integrity.
    pub memory_integrity: bool,
    /// Multithreading must be off.
    pub smt_disabled: bool,
    /// No package may be added later.
    pub static_platform: bool,
}

/// A workload of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPolicy {
    /// SHA-256 of the policy document; in reports of this workload as host data.
    pub hash: [u8; 32],
    /// Names in its certificate; the first is the common name.
    pub names: Vec<String>,
    /// Identifier of its secret, empty without one.
    pub workload_secret_id: String,
    /// True for the coordinator.
    pub coordinator: bool,
}

/// A manifest: which workloads a deployment has, and on which hardware and firmware they may run. Its identity is its bytes; anybody may
/// write one, so it proves nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// The workloads, in the order of the text.
    pub policies: Vec<ManifestPolicy>,
    /// Reference values for SEV-SNP.
    pub snp: Vec<SnpReference>,
    /// Reference values for TDX.
    pub tdx: Vec<TdxReference>,
    /// True when somebody holds a key that can replace this manifest.
    pub updatable: bool,
}

/// The hardware that a coordinator was verified on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContrastHardwareClaims {
    /// AMD SEV-SNP.
    Snp(Box<SnpClaims>),
    /// Intel TDX.
    Tdx(Box<TdxClaims>),
}

/// A policy of the manifest with its document, which is the one whose SHA-256 the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument {
    /// SHA-256.
    pub hash: [u8; 32],
    /// The document, if it was delivered.
    pub document: Option<Vec<u8>>,
}

/// What a verified coordinator says. The manifest is the expected one, and the hardware meets one of its reference values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContrastClaims {
    /// The coordinator's hardware.
    pub hardware: ContrastHardwareClaims,
    /// Place of the reference value that it meets, in `manifest.snp` or `manifest.tdx`.
    pub reference: usize,
    /// The manifest that every workload was verified against by the coordinator.
    pub manifest: Manifest,
    /// The authority whose certificates mean "a workload of this manifest".
    pub mesh_ca: Authority,
    /// SHA-256 of the root's certificate as delivered (PEM).
    pub root_ca_sha256: [u8; 32],
    /// SHA-256 of the coordinator's own policy document.
    pub coordinator_policy: [u8; 32],
    /// Every policy of the manifest with its document, in the manifest's order. That one is missing is information only.
    pub policies: Vec<PolicyDocument>,
    /// The report data that the hardware signed.
    pub report_data: [u8; 64],
    /// Last second in which everything that this rests on is in force: certificates, revocation list, collateral.
    pub not_after: u64,
    /// The time of this verification, in seconds.
    pub verified_at: u64,
    /// True when the hardware's chain leads to a root other than its vendor's pinned ones.
    pub custom_root: bool,
}
