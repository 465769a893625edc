//! Signature checks with the library that the core uses, and nothing around them: what verification cannot do without.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair,
    KeyPair, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use proveil_core::pki::pem;
use x509_parser::prelude::{FromDer, X509Certificate};

/// One signature over one message.
pub struct Signed {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// That of a certificate's issuer. The issuer's key is on P-256 or P-384, or an RSA key that signs with PSS.
    pub fn certificate(der: &[u8], issuer: &[u8]) -> Signed {
        let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
        let key = key_of(issuer);
        let algorithm: &dyn VerificationAlgorithm = match key.len() {
            65 => &ECDSA_P256_SHA256_ASN1,
            97 => &ECDSA_P384_SHA384_ASN1,
            _ => &RSA_PSS_2048_8192_SHA384,
        };
        let message = certificate.tbs_certificate.as_ref().to_vec();
        Signed { algorithm, key, message, signature: certificate.signature_value.data.to_vec() }.good()
    }

    /// That of an SEV-SNP report of 1184 bytes: two little-endian numbers of 72 bytes behind the first 672 bytes.
    pub fn snp_report(report: &[u8], certificate: &[u8]) -> Signed {
        let number = |at: usize| report[at..at + 48].iter().rev().copied();
        Signed {
            algorithm: &ECDSA_P384_SHA384_FIXED,
            key: key_of(certificate),
            message: report[..672].to_vec(),
            signature: number(672).chain(number(672 + 72)).collect(),
        }
        .good()
    }

    /// That of a device's measurement report: `r || s` at its end. `chain` is PEM, the device's certificate first.
    pub fn device_report(report: &[u8], chain: &[u8]) -> Signed {
        let (message, signature) = report.split_at(report.len() - 96);
        let chain = pem::certificates(chain).expect("a chain");
        Signed {
            algorithm: &ECDSA_P384_SHA384_FIXED,
            key: key_of(&chain[0]),
            message: message.to_vec(),
            signature: signature.to_vec(),
        }
        .good()
    }

    /// One of a key of its own, over a short message.
    pub fn ed25519() -> Signed {
        let key = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("a key");
        let message = b"a key configuration".to_vec();
        let signature = key.sign(&message).as_ref().to_vec();
        Signed { algorithm: &ED25519, key: key.public_key().as_ref().to_vec(), message, signature }.good()
    }

    /// Checks it.
    pub fn verify(&self) {
        UnparsedPublicKey::new(self.algorithm, &self.key)
            .verify(&self.message, &self.signature)
            .expect("a good signature");
    }

    fn good(self) -> Signed {
        self.verify();
        self
    }
}

/// The content of the BIT STRING in a SubjectPublicKeyInfo: a point, or an RSAPublicKey.
fn key_of(certificate: &[u8]) -> Vec<u8> {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    certificate.public_key().subject_public_key.data.to_vec()
}
