//! Both back ends on the same inputs: each checks the other. Inputs come from a counter through SHA-256, so failures repeat.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use k256::ecdsa::signature::hazmat::PrehashSigner;

use super::{native, portable};
use crate::secret::Secret;

/// Bytes that look random and are the same on every run.
fn bytes<const N: usize>(label: &str, round: u32) -> [u8; N] {
    let mut out = [0; N];
    for (i, chunk) in out.chunks_mut(32).enumerate() {
        let block = native::sha256(&[label.as_bytes(), &round.to_be_bytes(), &[i as u8]]);
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    out
}

fn secret(label: &str, round: u32) -> Secret<32> {
    Secret::take(&mut bytes(label, round))
}

#[test]
fn hashes_and_hkdf() {
    let data: [u8; 300] = bytes("hash", 0);
    for length in 0..data.len() {
        let (head, tail) = data[..length].split_at(length / 2);
        assert_eq!(native::sha256(&[head, tail]), portable::sha256(&[head, tail]));
        assert_eq!(native::sha384(&[head, tail]), portable::sha384(&[head, tail]));
        let (mut a, mut b) = (native::Sha256::new(), portable::Sha256::new());
        for part in [head, tail] {
            a.update(part);
            b.update(part);
        }
        assert_eq!(a.finish(), b.finish());
        let keys = (
            native::hkdf_sha256(head, tail, b"info").unwrap(),
            portable::hkdf_sha256(head, tail, b"info").unwrap(),
        );
        assert_eq!(keys.0.expose(), keys.1.expose());
    }
}

#[test]
fn gcm_seals_alike_and_opens_each_other() {
    for round in 0..80 {
        let key = secret("gcm key", round);
        let nonce: [u8; 12] = bytes("gcm nonce", round);
        let text: [u8; 200] = bytes("gcm text", round);
        let text = &text[..usize::try_from(round).unwrap() * 2];
        let aad = &text[..text.len() / 3];
        let (a, b) = (native::AesGcm256::new(&key).unwrap(), portable::AesGcm256::new(&key).unwrap());
        let (mut sealed_a, mut sealed_b) = (text.to_vec(), text.to_vec());
        a.seal(&nonce, aad, &mut sealed_a).unwrap();
        b.seal(&nonce, aad, &mut sealed_b).unwrap();
        assert_eq!(sealed_a, sealed_b);
        let (mut opened_a, mut opened_b) = (sealed_b.clone(), sealed_a.clone());
        assert_eq!(a.open(&nonce, aad, &mut opened_a).unwrap(), text.len());
        assert_eq!(b.open(&nonce, aad, &mut opened_b).unwrap(), text.len());
        assert_eq!((&opened_a[..text.len()], &opened_b[..text.len()]), (text, text));
        // Every kind of damage: both refuse and both leave nothing in the buffer (threats T30).
        for bit in 0..sealed_a.len() * 8 {
            let mut bad = sealed_a.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut also_bad = bad.clone();
            assert!(a.open(&nonce, aad, &mut bad).is_err() && b.open(&nonce, aad, &mut also_bad).is_err());
            assert!(bad.iter().chain(&also_bad).all(|byte| *byte == 0));
        }
        for short in 0..16 {
            let mut bad = sealed_a[..short.min(sealed_a.len())].to_vec();
            assert!(b.open(&nonce, aad, &mut bad.clone()).is_err());
            assert!(a.open(&nonce, aad, &mut bad).is_err());
        }
    }
}

#[test]
fn secp256k1_keys_points_and_shared_secrets() {
    for round in 0..20 {
        let (key, other) = (secret("key", round), secret("other", round));
        let public = native::secp256k1_public_key(&key).unwrap();
        assert_eq!(Some(public), portable::secp256k1_public_key(&key));
        let peer = native::secp256k1_public_key(&other).unwrap();
        let (a, b) = (
            native::secp256k1_ecdh_x(&key, &peer).unwrap(),
            portable::secp256k1_ecdh_x(&other, &public).unwrap(),
        );
        assert_eq!(a.expose(), b.expose());

        let compressed = [&[2 + (public[64] & 1)], &public[1..33]].concat();
        let mut forms: Vec<Vec<u8>> = vec![public.to_vec(), compressed.clone(), public[1..].to_vec()];
        for first in 0..=8 {
            forms.push([&[first], &public[1..]].concat());
            forms.push([&[first], &public[1..33]].concat());
        }
        for bit in (0..65 * 8).step_by(7) {
            let mut changed = public;
            changed[bit / 8] ^= 1 << (bit % 8);
            forms.push(changed.to_vec());
        }
        for length in 0..70 {
            forms.push(public.iter().copied().cycle().take(length).collect());
        }
        for form in &forms {
            let (a, b) = (native::secp256k1_parse(form), portable::secp256k1_parse(form));
            assert_eq!(a, b, "{form:02x?}");
            assert!(a.is_none() || matches!(form[0], 2..=4), "{form:02x?}");
        }
        assert_eq!(native::secp256k1_parse(&compressed), Some(public));
    }
}

#[test]
fn secp256k1_bounds() {
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order: [u8; 32] = crate::wire::hex::decode_array(ORDER).unwrap();
    let mut below = order;
    below[31] -= 1;
    let mut one = [0; 32];
    one[31] = 1;
    for (mut bytes, valid) in
        [([0; 32], false), (order, false), ([0xff; 32], false), (below, true), (one, true)]
    {
        let key = Secret::take(&mut bytes);
        let (a, b) = (native::secp256k1_public_key(&key), portable::secp256k1_public_key(&key));
        assert_eq!(a, b);
        assert_eq!(a.is_some(), valid);
    }
    // x = p, x = p - 1, infinity as zeros.
    let mut points = [[0u8; 65]; 3];
    let prime = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
    points[0][1..33].copy_from_slice(&crate::wire::hex::decode(prime).unwrap());
    points[1][1..33].copy_from_slice(&crate::wire::hex::decode(prime).unwrap());
    points[1][32] -= 1;
    for point in &mut points {
        point[0] = 4;
        let key = secret("bounds", 0);
        assert!(native::secp256k1_ecdh_x(&key, point).is_err());
        assert!(portable::secp256k1_ecdh_x(&key, point).is_err());
    }
}

#[test]
fn recovery() {
    for round in 0..10 {
        let digest: [u8; 32] = bytes("digest", round);
        let signer = k256::ecdsa::SigningKey::from_slice(secret("signer", round).expose()).unwrap();
        let (signature, id) = signer.sign_prehash_recoverable(&digest);
        let fixed: [u8; 64] = signature.to_bytes().into();
        let public = native::secp256k1_public_key(&secret("signer", round));
        assert_eq!(native::secp256k1_recover(&digest, &fixed, id.to_byte()), public);
        for recovery in 0..2 {
            for bit in (0..64 * 8).step_by(5) {
                let mut changed = fixed;
                changed[bit / 8] ^= 1 << (bit % 8);
                let found = native::secp256k1_recover(&digest, &changed, recovery);
                assert_eq!(found, portable::secp256k1_recover(&digest, &changed, recovery), "{round} {bit}");
                assert_ne!(found, public);
            }
        }
        for special in [[0; 64], [0xff; 64]] {
            assert_eq!(native::secp256k1_recover(&digest, &special, 0), None);
            assert_eq!(portable::secp256k1_recover(&digest, &special, 0), None);
        }
    }
}

type Verify = fn(&[u8], &[u8], &[u8]) -> bool;

/// Runs one signature scheme over a valid triple and damaged copies of each part.
fn compare(name: &str, verify: (Verify, Verify), public: &[u8], message: &[u8], signature: &[u8]) {
    assert!(verify.0(public, message, signature) && verify.1(public, message, signature), "{name}");
    let mut damaged: Vec<[Vec<u8>; 3]> = Vec::new();
    for part in 0..3 {
        let whole = [public.to_vec(), message.to_vec(), signature.to_vec()];
        for bit in (0..whole[part].len() * 8).step_by(7) {
            let mut copy = whole.clone();
            copy[part][bit / 8] ^= 1 << (bit % 8);
            damaged.push(copy);
        }
        for length in (0..whole[part].len()).rev().step_by(5) {
            let mut copy = whole.clone();
            copy[part].truncate(length);
            damaged.push(copy);
        }
        let mut copy = whole.clone();
        copy[part].push(0);
        damaged.push(copy);
    }
    for [public, message, signature] in &damaged {
        let found = (verify.0(public, message, signature), verify.1(public, message, signature));
        assert_eq!(found, (false, false), "{name} {public:02x?} {message:02x?} {signature:02x?}");
    }
}

fn der(fixed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for half in fixed.chunks(fixed.len() / 2) {
        let start = half.iter().position(|byte| *byte != 0).unwrap();
        let sign = half[start] >= 0x80;
        body.extend([2, (half.len() - start) as u8 + u8::from(sign)]);
        body.extend(sign.then_some(0));
        body.extend_from_slice(&half[start..]);
    }
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

#[test]
fn signatures() {
    for round in 0..2 {
        let message: [u8; 21] = bytes("message", round);
        let key = p256::ecdsa::SigningKey::from_slice(&bytes::<32>("p256", round)).unwrap();
        let signature: p256::ecdsa::Signature = key.sign_prehash(&native::sha256(&[&message])).unwrap();
        let public = key.verifying_key().to_sec1_point(false);
        let fixed = signature.to_bytes();
        let verify: (Verify, Verify) = (native::p256_verify_fixed, portable::p256_verify_fixed);
        compare("p256 fixed", verify, public.as_bytes(), &message, &fixed);
        let verify: (Verify, Verify) = (native::p256_verify_der, portable::p256_verify_der);
        compare("p256 der", verify, public.as_bytes(), &message, &der(&fixed));

        let key = p384::ecdsa::SigningKey::from_slice(&bytes::<48>("p384", round)).unwrap();
        let signature: p384::ecdsa::Signature = key.sign_prehash(&native::sha384(&[&message])).unwrap();
        let public = key.verifying_key().to_sec1_point(false);
        let fixed = signature.to_bytes();
        let verify: (Verify, Verify) = (native::p384_verify_fixed, portable::p384_verify_fixed);
        compare("p384 fixed", verify, public.as_bytes(), &message, &fixed);
        let verify: (Verify, Verify) = (native::p384_verify_der, portable::p384_verify_der);
        compare("p384 der", verify, public.as_bytes(), &message, &der(&fixed));
        let signature: p384::ecdsa::Signature = key.sign_prehash(&native::sha256(&[&message])).unwrap();
        let verify: (Verify, Verify) = (native::p384_sha256_verify_der, portable::p384_sha256_verify_der);
        compare("p384 sha256 der", verify, public.as_bytes(), &message, &der(&signature.to_bytes()));

        let key = ed25519_dalek::SigningKey::from_bytes(&bytes("ed25519", round));
        let signature = ed25519_dalek::Signer::sign(&key, &message).to_bytes();
        let verify: (Verify, Verify) = (native::ed25519_verify, portable::ed25519_verify);
        compare("ed25519", verify, key.verifying_key().as_bytes(), &message, &signature);
    }
}

#[test]
fn p256_signatures_are_accepted_by_the_other() {
    for round in 0..40 {
        let key = secret("p256 signing", round);
        let message: [u8; 100] = bytes("p256 message", round);
        let public = native::p256_public_key(&key).unwrap();
        assert_eq!(Some(public), portable::p256_public_key(&key));
        let signatures = [
            native::p256_sign_fixed(&key, &message).unwrap(),
            portable::p256_sign_fixed(&key, &message).unwrap(),
        ];
        for signature in signatures {
            assert!(native::p256_verify_fixed(&public, &message, &signature));
            assert!(portable::p256_verify_fixed(&public, &message, &signature));
            assert!(!native::p256_verify_fixed(&public, &message[1..], &signature));
        }
    }
    for bad in [[0; 32], [0xff; 32]] {
        let key = || Secret::take(&mut bad.clone());
        assert!(native::p256_public_key(&key()).is_none() && portable::p256_public_key(&key()).is_none());
        assert!(
            native::p256_sign_fixed(&key(), b"").is_err() && portable::p256_sign_fixed(&key(), b"").is_err()
        );
    }
}

/// RSA-4096 with PSS; keys are made anew in each run. Wrong salts, hashes and padding, and numbers from the modulus on.
#[test]
fn rsa_pss() {
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{
        KeyPair as _, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    };
    let key = KeyPair::generate(KeySize::Rsa4096).unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let sign = |padding, message: &[u8]| {
        let mut signature = vec![0; 512];
        key.sign(padding, &random, message, &mut signature).unwrap();
        signature
    };
    // SEQUENCE { INTEGER 0x00 n, INTEGER e }: n is at a fixed place.
    let modulus = key.public_key().as_ref()[9..521].to_vec();
    let verify: (Verify, Verify) = (native::rsa_pss_sha384_verify, portable::rsa_pss_sha384_verify);
    let both = |modulus: &[u8], message: &[u8], signature: &[u8]| {
        let found = (verify.0(modulus, message, signature), verify.1(modulus, message, signature));
        assert_eq!(found.0, found.1, "{modulus:02x?} {message:02x?} {signature:02x?}");
        found.0
    };
    for length in [0, 1, 300] {
        let message = &bytes::<300>("rsa", 0)[..length];
        let signature = sign(&RSA_PSS_SHA384, message);
        assert!(both(&modulus, message, &signature));
        for bit in (0..4096).step_by(if length == 1 { 37 } else { 509 }) {
            let mut changed = [modulus.clone(), signature.clone()];
            for part in &mut changed {
                part[bit / 8] ^= 1 << (bit % 8);
            }
            assert!(
                !both(&changed[0], message, &signature) && !both(&modulus, message, &changed[1]),
                "{bit}"
            );
        }
        for padding in
            [&RSA_PKCS1_SHA384 as &dyn aws_lc_rs::signature::RsaEncoding, &RSA_PSS_SHA256, &RSA_PSS_SHA512]
        {
            assert!(!both(&modulus, message, &sign(padding, message)), "{padding:?}");
        }
    }
    let message = b"message";
    let signature = sign(&RSA_PSS_SHA384, message);
    // The same number modulo n, where it still fits: a second signature of the same message in a lax verifier.
    let mut carried = 0u16;
    let mut above = signature.clone();
    for (digit, add) in above.iter_mut().rev().zip(modulus.iter().rev()) {
        let sum = u16::from(*digit) + u16::from(*add) + carried;
        (*digit, carried) = ((sum & 0xff) as u8, sum >> 8);
    }
    if carried == 0 {
        assert!(!both(&modulus, message, &above));
    }
    for (modulus, signature) in [
        (&modulus[..], &[&signature[..], &[0]].concat()[..]),
        (&modulus[..], &[&[0], &signature[..]].concat()[..]),
        (&modulus[..], &signature[..511]),
        (&modulus[..], &[]),
        (&modulus[..], &[0; 512]),
        (&modulus[..], &modulus[..]),
        (&modulus[1..], &signature[..]),
        (&[&[0], &modulus[..]].concat()[..], &signature[..]),
        (&[], &signature[..]),
    ] {
        assert!(!both(modulus, message, signature));
    }
    // Salts of other lengths than the hash's.
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let private = <rsa::RsaPrivateKey as rsa::pkcs8::DecodePrivateKey>::from_pkcs8_der(der.as_ref()).unwrap();
    for salt in [0, 32, 47, 48, 49, 64, 462] {
        let mut filler = Filler(0);
        let padding = rsa::Pss::new_with_salt::<rsa::sha2::Sha384>(salt);
        let signature = private.sign_with_rng(&mut filler, padding, &native::sha384(&[message])).unwrap();
        assert_eq!(both(&modulus, message, &signature), salt == 48, "salt of {salt} bytes");
    }
}

/// Random bytes for `rsa`, which is of an older generation of traits.
struct Filler(u32);

impl rsa::rand_core::RngCore for Filler {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&bytes::<32>("filler", self.0)[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Filler {}
