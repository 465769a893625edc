//! RSA-4096 keys of AMD-shaped authorities. Making one takes about a second, so there is one per role and process; they are never
//! stored. The crypto library draws them, and the salts of signatures, from its own random source.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaEncoding};

use crate::forge::der;
use crate::forge::keys::EcKey;
use crate::forge::random::Random;

/// How a signature is padded, and what its AlgorithmIdentifier says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// PSS with SHA-384 in DER: the default trailer field left out, as AMD's service does now.
    Pss,
    /// The same with the trailer field written out, as in AMD's older certificates.
    PssTrailer,
    /// PSS with SHA-256 throughout.
    PssSha256,
    /// PSS with SHA-384 under an AlgorithmIdentifier that states a salt of 32 bytes.
    PssStatedSalt32,
    /// PKCS#1 v1.5 with SHA-384.
    Pkcs1,
    /// No RSA at all: ECDSA with [`ec_key`].
    Ecdsa,
}

/// The key of [`Padding::Ecdsa`].
pub fn ec_key() -> EcKey {
    EcKey::p384(&mut Random::from_seed([0x45; 32]))
}

/// A private key.
#[derive(Clone)]
pub struct RsaKey(Arc<KeyPair>);

impl RsaKey {
    /// The key number `n` of this process, made at its first use.
    pub(super) fn of_process(n: usize) -> RsaKey {
        static KEYS: [OnceLock<RsaKey>; 4] = [const { OnceLock::new() }; 4];
        let generate = || loop {
            if let Ok(key) = KeyPair::generate(KeySize::Rsa4096) {
                return RsaKey(Arc::new(key));
            }
        };
        match KEYS.get(n) {
            Some(key) => key.get_or_init(generate).clone(),
            None => generate(),
        }
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> Vec<u8> {
        let algorithm = der::sequence(&[&der::oid(&[1, 2, 840, 113_549, 1, 1, 1]), &der::null()]);
        der::sequence(&[&algorithm, &der::bits(self.0.public_key().as_ref())])
    }

    /// Identifier for certificates: 20 bytes of the modulus, enough to tell the keys apart.
    pub fn identifier(&self) -> [u8; 20] {
        let mut out = [0; 20];
        let modulus = self.0.public_key().as_ref().iter().skip(20);
        out.iter_mut().zip(modulus).for_each(|(to, from)| *to = *from);
        out
    }

    pub(super) fn sign(&self, padding: Padding, message: &[u8]) -> Vec<u8> {
        let encoding: &'static dyn RsaEncoding = match padding {
            Padding::Pss | Padding::PssTrailer | Padding::PssStatedSalt32 => &RSA_PSS_SHA384,
            Padding::PssSha256 => &RSA_PSS_SHA256,
            Padding::Pkcs1 => &RSA_PKCS1_SHA384,
            Padding::Ecdsa => return ec_key().sign_der(message),
        };
        let mut signature = vec![0; self.0.public_modulus_len()];
        // It cannot fail with a key of 4096 bits; if it did, the signature would be of zeros and be refused.
        let _ = self.0.sign(encoding, &SystemRandom::new(), message, &mut signature);
        signature
    }
}

impl Padding {
    /// AlgorithmIdentifier, DER.
    pub(super) fn algorithm(self) -> Vec<u8> {
        const PKCS1: [u32; 6] = [1, 2, 840, 113_549, 1, 1];
        let pkcs1 = |last| der::oid(&[PKCS1.as_slice(), &[last]].concat());
        let (hash, salt) = match self {
            Padding::Pkcs1 => return der::sequence(&[&pkcs1(12), &der::null()]),
            Padding::Ecdsa => return ec_key().signature_algorithm(),
            Padding::PssSha256 => (1, 32),
            Padding::PssStatedSalt32 => (2, 32),
            Padding::Pss | Padding::PssTrailer => (2, 48),
        };
        let hash = der::sequence(&[&der::oid(&[2, 16, 840, 1, 101, 3, 4, 2, hash]), &der::null()]);
        let mask = der::sequence(&[&pkcs1(8), &hash]);
        let trailer =
            if self == Padding::PssTrailer { der::context(3, &der::integer(&[1])) } else { Vec::new() };
        let parameters = der::sequence(&[
            &der::context(0, &hash),
            &der::context(1, &mask),
            &der::context(2, &der::integer(&[salt])),
            &trailer,
        ]);
        der::sequence(&[&pkcs1(10), &parameters])
    }
}
