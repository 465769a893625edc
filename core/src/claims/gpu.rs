//! What a verified NVIDIA device report says (`protocols/attestation.md` 3), and what NVIDIA's own documents say about it.

use crate::pki::{Authority, Serial};

/// Kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A GPU.
    Gpu,
    /// An NVLink switch.
    Switch,
}

/// Generation of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// GPUs named GH...
    Hopper,
    /// GPUs named GB...
    Blackwell,
    /// Switches named LS_10.
    Ls10,
    /// Not known to this version.
    Other,
}

impl Architecture {
    /// Every architecture that has a name of its own.
    pub const KNOWN: [Architecture; 3] = [Architecture::Hopper, Architecture::Blackwell, Architecture::Ls10];

    /// NVIDIA's word, in capitals.
    pub const fn word(self) -> &'static str {
        match self {
            Architecture::Hopper => "HOPPER",
            Architecture::Blackwell => "BLACKWELL",
            Architecture::Ls10 => "LS10",
            Architecture::Other => "OTHER",
        }
    }

    /// The architecture with this word.
    pub fn from_word(word: &str) -> Option<Architecture> {
        Architecture::KNOWN.into_iter().find(|architecture| architecture.word() == word)
    }
}

/// How GPUs are passed on to guests, by the feature flag of newer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GpuMode {
    /// One GPU for one guest.
    SinglePassthrough,
    /// Several GPUs for one guest.
    MultiPassthrough,
    /// Protected PCIe: several GPUs with their switches, whose links are not encrypted.
    ProtectedPcie,
}

impl GpuMode {
    /// Short name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            GpuMode::SinglePassthrough => "single GPU",
            GpuMode::MultiPassthrough => "multi GPU",
            GpuMode::ProtectedPcie => "protected PCIe",
        }
    }
}

/// Everything else that a report states and that its signature covers. Numbers are little-endian in the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceDetails {
    /// Project, such as `G520`.
    pub project: Option<String>,
    /// Project SKU, such as `0280`.
    pub project_sku: Option<String>,
    /// Chip SKU, such as `895`.
    pub chip_sku: Option<String>,
    /// Chip as newer reports name it, such as `GB100`.
    pub chip_info: Option<String>,
    /// Whether the first video decoder is on; off means that measurement 35 need not match.
    pub nvdec0: Option<bool>,
    /// How GPUs are passed on, where the report says so.
    pub mode: Option<GpuMode>,
    /// Version of the details' own format.
    pub format_version: Option<u16>,
    /// Identities (PDI) of the switches that a GPU is linked to, one per link, as the report has them.
    pub linked_switches: Vec<[u8; 8]>,
    /// Identity (PDI) of a switch.
    pub switch_id: Option<[u8; 8]>,
    /// Identities (PDI) of the GPUs that a switch is linked to, as the report has them.
    pub linked_gpus: Vec<[u8; 8]>,
    /// Ports of a switch that are disabled, as a number.
    pub disabled_ports: Option<u64>,
    /// Position of a switch in its system.
    pub position: Option<u64>,
    /// Lock state of a switch; 1 is locked.
    pub lock: Option<u64>,
    /// Every type of detail in the report, in its order; types that are not read are signed and listed all the same.
    pub types: Vec<u16>,
}

/// Outcome of comparing a device's measurements with NVIDIA's signed reference values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceState {
    /// No comparison was made: nothing says which firmware state the device is in.
    NotChecked,
    /// Every measurement that the manifests have values for is one of them.
    Matched {
        /// Manifests compared with, as product and version.
        manifests: Vec<String>,
        /// How many measurements were compared.
        compared: usize,
        /// Blocks of the report that no manifest has a value for, by manifest index.
        uncovered: Vec<u8>,
        /// Measurements that differ and need not match: that of a video decoder which is off, and those that the policy excuses.
        excused: Vec<u8>,
    },
}

/// Whether the certificates behind a device were said to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationState {
    /// Nobody was asked.
    NotChecked,
    /// NVIDIA's responder called every certificate of the device good. For device certificates it says so too of serial numbers that
    /// it has never seen.
    Good {
        /// Time of the oldest statement, in seconds.
        since: u64,
        /// When the first of the statements may no longer be used, in seconds.
        until: u64,
    },
}

/// What is known about confidential mode (`attestation.md` 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfidentialMode {
    /// Nothing shows it: a device in developer mode signs reports just the same.
    NotShown,
    /// The measurements equal NVIDIA's reference values for production, which they do not in developer mode.
    ByReference,
}

/// Facts of one device that answered our challenge.
///
/// They say: a genuine NVIDIA device, running this driver and firmware, answered this nonce. Without reference measurements they do
/// not say that it is in confidential mode, and nothing in them ties it to a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuClaims {
    /// GPU or switch.
    pub kind: DeviceKind,
    /// Generation, from the device's certificate.
    pub architecture: Architecture,
    /// Chip, from the device's certificate: `GH100`, `GB100`, `LS_10`.
    pub chip: String,
    /// Driver version; switches have none.
    pub driver_version: Option<String>,
    /// Firmware (VBIOS) version, such as `96.00.CF.00.02`.
    pub vbios_version: Option<String>,
    /// Firmware identity: stated in the report and the same in the certificate. Older reports and switches state none.
    pub firmware_id: Option<[u8; 48]>,
    /// Whether protected PCIe mode is on, where the report says so.
    pub protected_pcie: Option<bool>,
    /// Measurements in order of their blocks, from block 1 on; 64 of a GPU, 31 of a switch.
    pub measurements: Vec<[u8; 48]>,
    /// Everything else that the report states.
    pub details: DeviceDetails,
    /// SHA-256 of the device's certificate: its identity.
    pub device_id: [u8; 32],
    /// Serial number of the device's certificate; as a decimal number it is the UEID that NVIDIA's service names.
    pub serial: Serial,
    /// How its measurements compare with NVIDIA's reference values.
    pub reference: ReferenceState,
    /// Whether its certificates were asked about.
    pub revocation: RevocationState,
    /// The time of this verification, in seconds.
    pub verified_at: u64,
    /// True when the chain leads to a root other than NVIDIA's pinned one.
    pub custom_root: bool,
    /// Authorities from the one that issued the device's certificate to the root.
    pub(crate) authorities: Vec<Authority>,
}

impl GpuClaims {
    /// What is known about confidential mode.
    pub const fn confidential_mode(&self) -> ConfidentialMode {
        match self.reference {
            ReferenceState::Matched { .. } => ConfidentialMode::ByReference,
            ReferenceState::NotChecked => ConfidentialMode::NotShown,
        }
    }
}
