//! The mesh authority, and the key service whose certificate it issued (`protocols/privatemode.md` 3.6, 4.2).
//!
//! A certificate of the authority means "a workload of this manifest". Which workload it is, only its names say: any of them could sign,
//! so the names are compared.

use super::checks;
use crate::claims::{ContrastClaims, Manifest};
use crate::crypto::{p256_verify_der, p384_sha256_verify_der, sha256};
use crate::error::{Code, Error, Result};
use crate::evidence::SecretAnswer;
use crate::pki::{Authority, Certificate, Problem, PublicKey, pem};

/// Length of the client's public key: X-Wing.
const PUBLIC_KEY_LEN: usize = 1216;
/// Length of what is encapsulated to it.
const ENCAPSULATED_LEN: usize = 1120;
/// Part of the identifier of the key service's secret.
const SECRET_SERVICE: &str = "secret-service";

/// Reads the mesh authority: a certificate authority of the curves, in time, that signed itself. `text` is PEM; its first certificate counts.
pub(crate) fn authority(text: &[u8], at: u64) -> Result<Authority> {
    let error = |problem: Problem| Error::new(Code::MeshCa).at(checks::MESH_CA).context(problem.to_string());
    let certificates = pem::certificates(text).map_err(error)?;
    let der = certificates.first().ok_or_else(|| error(Problem::ChainShape))?;
    let authority = Authority::root(der).map_err(error)?;
    if !matches!(authority.key(), PublicKey::P256(_) | PublicKey::P384(_)) {
        return Err(error(Problem::Algorithm));
    }
    Certificate::parse(der).and_then(|certificate| certificate.issued_by(&authority)).map_err(error)?;
    authority.valid_at(at).map_err(error)?;
    Ok(authority)
}

/// Which names the key service's certificate must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecretServiceNames {
    /// Those of the one policy of the manifest whose secret's identifier contains `secret-service`, the first as common name.
    #[default]
    Manifest,
    /// This DNS name among others. A wildcard in a certificate is a name like any other and stands for nothing.
    Dns(String),
}

/// A key service that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyService {
    /// Its DNS names.
    pub names: Vec<String>,
    /// SHA-256 of its certificate.
    pub certificate_sha256: [u8; 32],
    /// Last second of its certificate.
    pub not_after: u64,
}

/// Checks that the key service of a verified deployment answered to `public_key`, as it was sent, at the time `at` (seconds). Fails with
/// `mesh_certificate`, `secret_signature`, or `malformed_response` for keys of the wrong length.
pub fn verify_secret_answer(
    public_key: &[u8],
    answer: &SecretAnswer,
    claims: &ContrastClaims,
    names: &SecretServiceNames,
    at: u64,
) -> Result<KeyService> {
    verify_key_service(public_key, answer, &claims.mesh_ca, Some(&claims.manifest), names, at)
}

/// The same under an authority that the caller vouches for; the manifest is needed for [`SecretServiceNames::Manifest`] only.
pub fn verify_key_service(
    public_key: &[u8],
    answer: &SecretAnswer,
    mesh_ca: &Authority,
    manifest: Option<&Manifest>,
    names: &SecretServiceNames,
    at: u64,
) -> Result<KeyService> {
    check_length("public key", public_key, PUBLIC_KEY_LEN)?;
    check_length("EncapsulatedKey", &answer.encapsulated_key, ENCAPSULATED_LEN)?;
    let refuse = |problem: Problem| {
        Error::new(Code::MeshCertificate).at(checks::SECRET_CERTIFICATE).context(problem.to_string())
    };
    let certificate = Certificate::parse(&answer.certificate).map_err(refuse)?;
    certificate.server().map_err(refuse)?;
    certificate.issued_by(mesh_ca).map_err(refuse)?;
    mesh_ca.valid_at(at).and_then(|()| certificate.valid_at(at)).map_err(refuse)?;
    let found = certificate.dns_names().map_err(refuse)?;
    check_names(&certificate, &found, manifest, names)?;
    let message = [public_key, answer.encapsulated_key.as_slice()].concat();
    let signed = match certificate.key() {
        PublicKey::P256(key) => p256_verify_der(key, &message, &answer.signature),
        // The service signs a SHA-256 digest with whatever curve it has.
        PublicKey::P384(key) => p384_sha256_verify_der(key, &message, &answer.signature),
        _ => return Err(refuse(Problem::Algorithm)),
    };
    if !signed {
        return Err(Error::new(Code::SecretSignature).at(checks::SECRET_SIGNATURE));
    }
    Ok(KeyService {
        names: found.into_iter().map(str::to_owned).collect(),
        certificate_sha256: sha256(&[certificate.der()]),
        not_after: certificate.not_after().min(mesh_ca.not_after()),
    })
}

fn check_length(what: &str, bytes: &[u8], expected: usize) -> Result<()> {
    if bytes.len() == expected {
        return Ok(());
    }
    let (expected, found) = (format!("{what} of {expected} bytes"), format!("{} bytes", bytes.len()));
    Err(Error::new(Code::MalformedResponse).at(checks::SECRET).expected(expected).found(found))
}

fn check_names(
    certificate: &Certificate<'_>,
    found: &[&str],
    manifest: Option<&Manifest>,
    names: &SecretServiceNames,
) -> Result<()> {
    let refuse = |expected: &str| {
        Err(Error::new(Code::MeshCertificate)
            .at(checks::SECRET_NAMES)
            .expected(expected)
            .found(found.join(", ")))
    };
    match names {
        SecretServiceNames::Dns(name) => {
            if name.is_empty() || !found.iter().any(|found| found.eq_ignore_ascii_case(name)) {
                return refuse(name);
            }
        }
        SecretServiceNames::Manifest => {
            let mut services = manifest.into_iter().flat_map(|manifest| manifest.workloads(SECRET_SERVICE));
            let (Some(service), None) = (services.next(), services.next()) else {
                return refuse("exactly one key service in the manifest");
            };
            let same = |names: &[String]| {
                let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
                let mut found = found.to_vec();
                names.sort_unstable();
                found.sort_unstable();
                !names.is_empty() && names == found
            };
            if certificate.common_name() != service.names.first().map(String::as_str) || !same(&service.names)
            {
                return refuse(&service.names.join(", "));
            }
        }
    }
    Ok(())
}
