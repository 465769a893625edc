//! The vendors' roots of trust, pinned by the SHA-256 of their DER form (`protocols/attestation.md` section 5; threats T67).

/// A pinned root certificate.
#[derive(Clone, Copy, Debug)]
pub struct PinnedRoot {
    /// Common name.
    pub name: &'static str,
    /// The certificate.
    pub der: &'static [u8],
    /// SHA-256 of `der`.
    pub sha256: [u8; 32],
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// Root of Intel SGX and TDX provisioning certificates, P-256, valid 2018-05-21 to 2049-12-31.
pub const INTEL_SGX: PinnedRoot = PinnedRoot {
    name: "Intel SGX Root CA",
    der: include_bytes!("roots/intel_sgx_root_ca.der"),
    sha256: digest(b"44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"),
    spki_sha256: digest(b"a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"),
};

/// Root of NVIDIA GPU and switch identity certificates, P-384, valid 2021-11-05 to 9999-12-31.
pub const NVIDIA_DEVICE: PinnedRoot = PinnedRoot {
    name: "NVIDIA Device Identity CA",
    der: include_bytes!("roots/nvidia_device_identity_ca.der"),
    sha256: digest(b"102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"),
    spki_sha256: digest(b"a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4"),
};

/// Root of the signers of NVIDIA's reference integrity manifests, P-384, valid 2023-03-16 to 2053-03-08.
pub const NVIDIA_RIM: PinnedRoot = PinnedRoot {
    name: "NVIDIA CoRIM signing Root CA",
    der: include_bytes!("roots/nvidia_corim_signing_root_ca.der"),
    sha256: digest(b"12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"),
    spki_sha256: digest(b"dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3"),
};

/// Every pinned root.
pub const PINNED: &[PinnedRoot] = &[INTEL_SGX, NVIDIA_DEVICE, NVIDIA_RIM];

/// SHA-256 of the certificates (DER) of the authorities that issue the token keys of NVIDIA's attestation service:
/// `NVIDIA Attestation Service GPU Intermediate 004` (RSA-2048) and `003` (P-384), both valid 2025-12-08 to 2029-12-08. The root
/// above them is not published, so these are pinned themselves and come with the service's key list.
pub const NVIDIA_NRAS: [[u8; 32]; 2] = [
    digest(b"2df8907cf4d6c277b855d407ec178a649930a8e73f7294e8fce66e6ee27c5175"),
    digest(b"c76ceed40610efa606864db52c167fbbd6c819de2c0ea5c01acb47ce9e5dc54d"),
];

/// Bytes of 64 lowercase hex digits; anything else stops the build.
const fn digest(hex: &[u8; 64]) -> [u8; 32] {
    let Ok(bytes) = const_hex::const_decode_to_array(hex) else { panic!("not a hex digest") };
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sha256;
    use crate::pki::{Authority, Certificate};

    /// T67: the roots in the binary are the published ones.
    #[test]
    fn pinned_roots_have_their_digests() {
        for root in PINNED {
            assert_eq!(sha256(&[root.der]), root.sha256, "{}", root.name);
            let certificate = Certificate::parse(root.der).unwrap();
            assert_eq!(sha256(&[certificate.spki()]), root.spki_sha256, "{}", root.name);
            assert_eq!(certificate.common_name(), Some(root.name));
            let authority = Authority::root(root.der).unwrap();
            assert_eq!(certificate.issued_by(&authority), Ok(()), "{} signs itself", root.name);
        }
    }
}
