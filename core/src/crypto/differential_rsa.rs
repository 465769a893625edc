//! RSA PKCS#1 v1.5 in both back ends, with a private key so that any padding can be signed.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use rsa::BigUint;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};

use super::{native, portable};

/// A throw-away key's primes; it signs nothing outside this file.
const PRIMES: [&str; 2] = [
    "c36446cf7112242d8f5c222e5d5acfea9118460c334c04c6619931283e0a92ae3ceca38cb36da72bc9338387913e4984dc7e6794c6095b96a32b5b09af02ec94\
     3beee167366e64584c4377514b7bbc9ba154b45b3d0f72c155f89804bb8ee7af00b08a394d34a69f899c7c88a6f5f734d12c182b9acf3a80ce9f0d8980301697",
    "fb3c021a9179324e97fdfca59d8060cd29bf2a8250fd5de45c5f8ceceb3f2b08f304a931d7752e8ec1345e4c3d0cab3ac7edd8915991694b9b279c9fe73b3a61\
     4b5a9b1ee9f90d647cdbbb039af25f047cdf27aaab84b02b21b4484a74b5c7d0f0c9965bdf4c985cc3759aff5459defeaf0cca0e2f9474ce754cd417d9548861",
];
/// `SEQUENCE { SEQUENCE { sha256, NULL }, OCTET STRING (32) }` up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

struct Key(rsa::RsaPrivateKey);

impl Key {
    fn new() -> Key {
        let [p, q] = PRIMES.map(|prime| BigUint::parse_bytes(prime.as_bytes(), 16).unwrap());
        Key(rsa::RsaPrivateKey::from_p_q(p, q, BigUint::from(65537u32)).unwrap())
    }

    fn modulus(&self) -> Vec<u8> {
        self.0.n().to_bytes_be()
    }

    /// The signature whose opened form is this.
    fn sign(&self, encoded: &[u8]) -> Vec<u8> {
        fixed(&BigUint::from_bytes_be(encoded).modpow(self.0.d(), self.0.n()))
    }
}

fn fixed(number: &BigUint) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; 256 - bytes.len()], bytes].concat()
}

/// `00 01 FF... 00` and the rest, 256 bytes.
fn padded(kind: u8, fill: u8, rest: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &vec![fill; 253 - rest.len()], &[0], rest].concat()
}

fn info(message: &[u8]) -> Vec<u8> {
    [&SHA256_INFO[..], &native::sha256(&[message])].concat()
}

/// What both say; they must agree.
fn both(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let found = native::rsa_pkcs1_sha256_verify(modulus, message, signature);
    assert_eq!(
        found,
        portable::rsa_pkcs1_sha256_verify(modulus, message, signature),
        "{modulus:02x?} {message:02x?} {signature:02x?}"
    );
    found
}

#[test]
fn good_and_damaged() {
    let key = Key::new();
    let modulus = key.modulus();
    for message in [&b""[..], b"m", &[7; 300]] {
        let signature = key.sign(&padded(1, 0xff, &info(message)));
        assert!(both(&modulus, message, &signature));
        assert!(!both(&modulus, b"other", &signature));
        for bit in (0..2048).step_by(if message.is_empty() { 13 } else { 251 }) {
            let mut changed = [modulus.clone(), signature.clone()];
            changed.iter_mut().for_each(|part| part[bit / 8] ^= 1 << (bit % 8));
            assert!(!both(&changed[0], message, &signature), "modulus, bit {bit}");
            assert!(!both(&modulus, message, &changed[1]), "signature, bit {bit}");
        }
    }
}

/// One message has one encoding; everything that a lax reader of the padding would take is refused.
#[test]
fn paddings() {
    let key = Key::new();
    let modulus = key.modulus();
    let (message, digest) = (b"message", native::sha256(&[b"message"]));
    let right = info(message);
    let without_null: Vec<u8> =
        [&[0x30, 0x2f, 0x30, 0x0b], &SHA256_INFO[4..15], &SHA256_INFO[17..], &digest].concat();
    let mut sha1 = right.clone();
    sha1[14] = 2;
    let short = [&[0, 1][..], &[0xff; 8], &[0], &right].concat();
    let trailing = |at_end: usize| [short.as_slice(), &vec![0; at_end]].concat();
    let mut holed = padded(1, 0xff, &right);
    holed[40] = 0xfe;
    let cases: [(&str, Vec<u8>); 12] = [
        ("encryption padding", padded(2, 0xff, &right)),
        ("zero padding", padded(0, 0, &right)),
        ("other fill", padded(1, 0xfe, &right)),
        ("hole in the fill", holed),
        ("no hash named", padded(1, 0xff, &digest)),
        ("no NULL", padded(1, 0xff, &without_null)),
        ("another hash named", padded(1, 0xff, &sha1)),
        ("digest of another message", padded(1, 0xff, &info(b"other"))),
        ("digest cut", padded(1, 0xff, &right[..50])),
        ("bytes after the digest", trailing(256 - short.len())),
        ("byte after the digest", padded(1, 0xff, &[right.as_slice(), &[0]].concat())),
        ("no zero before the digest", [&[0, 1][..], &[0xff; 203], &right].concat()),
    ];
    assert!(both(&modulus, message, &key.sign(&padded(1, 0xff, &right))));
    for (name, encoded) in cases {
        assert_eq!(encoded.len(), 256, "{name}");
        assert!(!both(&modulus, message, &key.sign(&encoded)), "{name}");
    }
}

#[test]
fn sizes() {
    let key = Key::new();
    let modulus = key.modulus();
    let message = b"message";
    let signature = key.sign(&padded(1, 0xff, &info(message)));
    let above = BigUint::from_bytes_be(&signature) + key.0.n();
    if above.bits() <= 2048 {
        assert!(!both(&modulus, message, &fixed(&above)), "the same number modulo n");
    }
    let even: Vec<u8> =
        modulus.iter().enumerate().map(|(i, byte)| if i == 255 { byte & 0xfe } else { *byte }).collect();
    let cases: [(&str, &[u8], &[u8]); 10] = [
        ("signature with a zero before", &modulus, &[&[0], signature.as_slice()].concat()),
        ("signature with a zero after", &modulus, &[signature.as_slice(), &[0]].concat()),
        ("signature cut", &modulus, &signature[..255]),
        ("no signature", &modulus, &[]),
        ("zeros", &modulus, &[0; 256]),
        ("the modulus itself", &modulus, &modulus),
        ("modulus cut", &modulus[1..], &signature),
        ("modulus with a zero before", &[&[0], modulus.as_slice()].concat(), &signature),
        ("even modulus", &even, &signature),
        ("no modulus", &[], &signature),
    ];
    for (name, modulus, signature) in cases {
        assert!(!both(modulus, message, signature), "{name}");
    }
}
