//! The certificates of a Contrast deployment (privatemode.md 3.6) and the key service's signature (4.2).

use sha2::{Digest, Sha256};

use crate::forge::intel::Certified;
use crate::forge::keys::EcKey;
use crate::forge::random::Random;
use crate::forge::x509::{Attribute, CertificateSpec, Extension, name};
use crate::forge::{DAY_S, der, pem};

/// Common name of the root.
pub const ROOT_CN: &str = "system:coordinator:root";
/// Common name of the mesh authority.
pub const MESH_CA_CN: &str = "system:coordinator:meshCA";

/// The coordinator's two authorities, each signed by itself.
#[derive(Clone)]
pub struct MeshPki {
    /// Root, for those who live with changed manifests.
    pub root: Certified,
    /// Issuer of the workloads' certificates.
    pub mesh_ca: Certified,
}

/// subjectAltName with DNS names.
pub fn dns_names(names: &[String]) -> Extension {
    let names: Vec<Vec<u8>> = names.iter().map(|name| der::tagged(0x82, name.as_bytes())).collect();
    Extension { oid: der::oid(&[2, 5, 29, 17]), critical: false, value: der::tagged(0x30, &names.concat()) }
}

/// extKeyUsage: client authentication, and server authentication when asked.
pub fn extended_usage(server: bool) -> Extension {
    let client = der::oid(&[1, 3, 6, 1, 5, 5, 7, 3, 2]);
    let server = if server { der::oid(&[1, 3, 6, 1, 5, 5, 7, 3, 1]) } else { Vec::new() };
    Extension { oid: der::oid(&[2, 5, 29, 37]), critical: false, value: der::sequence(&[&client, &server]) }
}

fn authority(random: &mut Random, common_name: &str, now: u64) -> Certified {
    let key = EcKey::p384(random);
    let subject = name(&[(Attribute::CommonName, common_name)]);
    let spec = CertificateSpec {
        serial: key.identifier().to_vec(),
        issuer: subject.clone(),
        subject,
        not_before: now.saturating_sub(DAY_S.saturating_mul(30)),
        not_after: now.saturating_add(DAY_S.saturating_mul(3_600)),
        spki: key.spki(),
        extensions: vec![Extension::basic_constraints(true, None), Extension::key_usage_ca(false)],
    };
    let signer = key.clone();
    Certified::issue(key, spec, &signer)
}

impl MeshPki {
    /// Fresh authorities, valid around `now`.
    pub fn generate(random: &mut Random, now: u64) -> MeshPki {
        MeshPki { root: authority(random, ROOT_CN, now), mesh_ca: authority(random, MESH_CA_CN, now) }
    }

    /// Fields of the certificate of a workload with these names, the first of which is its common name; to be changed before signing.
    pub fn leaf_spec(&self, key: &EcKey, names: &[String], now: u64) -> CertificateSpec {
        CertificateSpec {
            serial: key.identifier().to_vec(),
            issuer: self.mesh_ca.spec.subject.clone(),
            subject: name(&[(Attribute::CommonName, names.first().map_or("", String::as_str))]),
            not_before: now.saturating_sub(DAY_S.saturating_mul(10)),
            not_after: now.saturating_add(DAY_S.saturating_mul(355)),
            spki: key.spki(),
            extensions: vec![
                Extension::basic_constraints(false, None),
                Extension::key_usage_leaf(false),
                dns_names(names),
                extended_usage(true),
            ],
        }
    }

    /// Certificate and key (P-384) of a workload with these names.
    pub fn leaf(&self, random: &mut Random, names: &[String], now: u64) -> Certified {
        let key = EcKey::p384(random);
        let spec = self.leaf_spec(&key, names, now);
        Certified::issue(key, spec, &self.mesh_ca.key)
    }

    /// The root as the document has it.
    pub fn root_pem(&self) -> String {
        pem("CERTIFICATE", &self.root.der)
    }

    /// The mesh authority as the document has it.
    pub fn mesh_ca_pem(&self) -> String {
        pem("CERTIFICATE", &self.mesh_ca.der)
    }
}

/// The key service's signature of an exchange, DER: ECDSA over SHA-256 of the client's public key and the encapsulated key.
pub fn sign_exchange(key: &EcKey, public_key: &[u8], encapsulated: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(public_key).chain_update(encapsulated).finalize();
    key.sign_digest_der(&digest)
}
