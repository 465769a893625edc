//! The vendors' roots of trust, pinned by the SHA-256 of their DER form (`protocols/attestation.md` section 5; threats T67). They are
//! part of the product, which trusts them unless told otherwise (README decision 4), in the form in which the vendors publish them.

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
    der: &decode::<659>(include_bytes!("roots/intel_sgx_root_ca.pem")),
    sha256: digest(b"44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"),
    spki_sha256: digest(b"a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"),
};

/// Root of NVIDIA GPU and switch identity certificates, P-384, valid 2021-11-05 to 9999-12-31.
pub const NVIDIA_DEVICE: PinnedRoot = PinnedRoot {
    name: "NVIDIA Device Identity CA",
    der: &decode::<527>(include_bytes!("roots/nvidia_device_identity_ca.pem")),
    sha256: digest(b"102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"),
    spki_sha256: digest(b"a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4"),
};

/// Root of the signers of NVIDIA's reference integrity manifests, P-384, valid 2023-03-16 to 2053-03-08.
pub const NVIDIA_RIM: PinnedRoot = PinnedRoot {
    name: "NVIDIA CoRIM signing Root CA",
    der: &decode::<557>(include_bytes!("roots/nvidia_corim_signing_root_ca.pem")),
    sha256: digest(b"12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"),
    spki_sha256: digest(b"dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3"),
};

/// SHA-256 of the certificates (DER) of the authorities that issue the token keys of NVIDIA's attestation service:
/// `NVIDIA Attestation Service GPU Intermediate 004` (RSA-2048) and `003` (P-384), both valid 2025-12-08 to 2029-12-08. The root
/// above them is not published, so these are pinned themselves and come with the service's key list.
pub const NVIDIA_NRAS: [[u8; 32]; 2] = [
    digest(b"2df8907cf4d6c277b855d407ec178a649930a8e73f7294e8fce66e6ee27c5175"),
    digest(b"c76ceed40610efa606864db52c167fbbd6c819de2c0ea5c01acb47ce9e5dc54d"),
];

/// AMD's pinned certificates of one product line, all RSA-4096.
#[derive(Clone, Copy, Debug)]
pub struct AmdPins {
    /// Self-signed root (ARK).
    pub ark: PinnedRoot,
    /// Issuer of chip keys (ASK, VCEK), signed by the root. Pinning it stands in for the root's revocation list, which can only revoke
    /// issuers: an earlier SEV-Genoa is revoked and not here.
    pub ask: PinnedRoot,
    /// Issuer of cloud providers' keys (ASVK, VLEK), signed by the root.
    pub asvk: PinnedRoot,
}

/// AMD's product lines: Milan (valid 2020-10-22 to 2045-10-22), Genoa (2022-01-26 to 2047-01-26), Turin (2023-05-15 to 2048-05-15).
pub const AMD: [AmdPins; 3] = [
    AmdPins {
        ark: PinnedRoot {
            name: "ARK-Milan",
            der: &decode::<1639>(include_bytes!("roots/amd_milan_ark.pem")),
            sha256: digest(b"69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
            spki_sha256: digest(b"9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"),
        },
        ask: PinnedRoot {
            name: "SEV-Milan",
            der: &decode::<1677>(include_bytes!("roots/amd_milan_ask.pem")),
            sha256: digest(b"67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b"),
            spki_sha256: digest(b"42491669ccb851d627ea9846cd24eccbeb7de7c2a62740120fff88001d38ebb6"),
        },
        asvk: PinnedRoot {
            name: "SEV-VLEK-Milan",
            der: &decode::<1683>(include_bytes!("roots/amd_milan_asvk.pem")),
            sha256: digest(b"c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5"),
            spki_sha256: digest(b"66450a123ea5876206df67f2514a4fea224c0f63b18313423078b0edc4535e33"),
        },
    },
    AmdPins {
        ark: PinnedRoot {
            name: "ARK-Genoa",
            der: &decode::<1639>(include_bytes!("roots/amd_genoa_ark.pem")),
            sha256: digest(b"4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
            spki_sha256: digest(b"429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"),
        },
        ask: PinnedRoot {
            name: "SEV-Genoa",
            der: &decode::<1677>(include_bytes!("roots/amd_genoa_ask.pem")),
            sha256: digest(b"5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521"),
            spki_sha256: digest(b"0324d55bcd48ba877a8fd87c0e1b4934dec8448e3807a24384a34dc6a6c9ebb8"),
        },
        asvk: PinnedRoot {
            name: "SEV-VLEK-Genoa",
            der: &decode::<1683>(include_bytes!("roots/amd_genoa_asvk.pem")),
            sha256: digest(b"197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372"),
            spki_sha256: digest(b"7d1633252ebbadaa75f96e9b4e6f7d43a90ceb3f843937482630f8da2459264e"),
        },
    },
    AmdPins {
        ark: PinnedRoot {
            name: "ARK-Turin",
            der: &decode::<1639>(include_bytes!("roots/amd_turin_ark.pem")),
            sha256: digest(b"1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
            spki_sha256: digest(b"4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"),
        },
        ask: PinnedRoot {
            name: "SEV-Turin",
            der: &decode::<1677>(include_bytes!("roots/amd_turin_ask.pem")),
            sha256: digest(b"5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185"),
            spki_sha256: digest(b"0000ead352025f208bf55297c4192c34cd1b878002107366d8f2065a9ae7d3a9"),
        },
        asvk: PinnedRoot {
            name: "SEV-VLEK-Turin",
            der: &decode::<1683>(include_bytes!("roots/amd_turin_asvk.pem")),
            sha256: digest(b"104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c"),
            spki_sha256: digest(b"bfc441408b2f806c5dbf180bd8920e6e60dd404d82141780d85dbf962954d386"),
        },
    },
];

/// Every pinned root. AMD's pinned issuers are in [`AMD`].
pub const PINNED: &[PinnedRoot] = &[INTEL_SGX, NVIDIA_DEVICE, NVIDIA_RIM, AMD[0].ark, AMD[1].ark, AMD[2].ark];

/// The certificate in a PEM file as the vendors publish them, of exactly `N` bytes; anything else stops the build.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler, which stops at a mistake"
)]
const fn decode<const N: usize>(pem: &[u8]) -> [u8; N] {
    let (mut out, mut filled) = ([0; N], 0);
    let (mut bits, mut held) = (0_u32, 0);
    let mut at = b"-----BEGIN CERTIFICATE-----".len();
    while pem[at] != b'-' && pem[at] != b'=' {
        let digit = match pem[at] {
            letter @ b'A'..=b'Z' => Some(letter - b'A'),
            letter @ b'a'..=b'z' => Some(letter - b'a' + 26),
            digit @ b'0'..=b'9' => Some(digit - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            b'\n' => None,
            _ => panic!("not a PEM file"),
        };
        if let Some(digit) = digit {
            bits = bits << 6 & 0xffff | digit as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                out[filled] = (bits >> held & 0xff) as u8;
                filled += 1;
            }
        }
        at += 1;
    }
    assert!(filled == N, "another length");
    out
}

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

    fn has_its_digests<'a>(root: &PinnedRoot) -> Certificate<'a> {
        assert_eq!(sha256(&[root.der]), root.sha256, "{}", root.name);
        let certificate = Certificate::parse(root.der).unwrap();
        assert_eq!(sha256(&[certificate.spki()]), root.spki_sha256, "{}", root.name);
        assert_eq!(certificate.common_name(), Some(root.name));
        certificate
    }

    /// T67: the roots in the binary are the published ones.
    #[test]
    fn pinned_roots_have_their_digests() {
        for root in PINNED {
            let certificate = has_its_digests(root);
            let authority = Authority::root(root.der).unwrap();
            assert_eq!(certificate.issued_by(&authority), Ok(()), "{} signs itself", root.name);
        }
    }

    /// T67: AMD's issuers are the published ones, and their roots signed them.
    #[test]
    fn pinned_issuers_are_below_their_roots() {
        for pins in &AMD {
            let ark = Authority::root(pins.ark.der).unwrap();
            for issuer in [&pins.ask, &pins.asvk] {
                let certificate = has_its_digests(issuer);
                let at = certificate.not_before();
                let below = Authority::below(&ark, &certificate, at).unwrap();
                assert_eq!(Authority::pinned(issuer.der), Ok(below), "{}", issuer.name);
            }
        }
    }
}
