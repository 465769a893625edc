//! What a verified NVIDIA device report says (`protocols/attestation.md` 3).

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
    /// NVIDIA's word, in capitals.
    pub const fn word(self) -> &'static str {
        match self {
            Architecture::Hopper => "HOPPER",
            Architecture::Blackwell => "BLACKWELL",
            Architecture::Ls10 => "LS10",
            Architecture::Other => "OTHER",
        }
    }
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
    /// Firmware identity: stated in the report and the same in the certificate. Older reports state none.
    pub firmware_id: Option<[u8; 48]>,
    /// Whether protected PCIe mode is on, where the report says so.
    pub protected_pcie: Option<bool>,
    /// Measurements, from block 1 on; 64 of a GPU, 31 of a switch.
    pub measurements: Vec<[u8; 48]>,
    /// SHA-256 of the device's certificate: its identity.
    pub device_id: [u8; 32],
    /// The time of this verification, in seconds.
    pub verified_at: u64,
    /// True when the chain leads to a root other than NVIDIA's pinned one.
    pub custom_root: bool,
}
