//! What NVIDIA's attestation service says about devices (`protocols/attestation.md` 3.6): NVIDIA's word, kept apart from what was
//! verified here.

/// A verified answer of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NrasClaims {
    /// Version of the claims: `2.0`, `3.0`.
    pub version: String,
    /// Who issued it.
    pub issuer: String,
    /// When it was issued, in seconds.
    pub issued_at: u64,
    /// First second at which it, or the key behind it, is not valid any more.
    pub expires_at: u64,
    /// What it says of each device, in the order of its names.
    pub devices: Vec<NrasDevice>,
    /// True when the key leads to another authority than NVIDIA's pinned ones.
    pub custom_root: bool,
}

/// The service's word on one device. Every check of its own that it lists passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NrasDevice {
    /// Name in the answer: `GPU-0`.
    pub name: String,
    /// Serial number of the device's certificate in decimal digits.
    pub ueid: String,
    /// Chip: `GH100`.
    pub hardware: String,
    /// Driver version; switches have none.
    pub driver_version: Option<String>,
    /// Firmware version.
    pub vbios_version: Option<String>,
    /// A warning that the service gave, such as a certificate on hold.
    pub warning: Option<String>,
}
