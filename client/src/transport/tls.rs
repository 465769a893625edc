//! TLS settings with a provider of our own: nothing is installed for the whole process, nothing is read from the system's store.
//!
//! Public authorities are Mozilla's list as compiled in (crate `webpki-root-certs`), plus the caller's. Secrets of connections are
//! never written to a key log.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use proveil_core::{Code, Error, Result, crypto, secret};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

/// Authorities whose certificates are accepted.
pub(super) fn roots(ca_bundle_pem: Option<&[u8]>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let Some(pem) = ca_bundle_pem else { return Ok(store) };
    let refuse = |found: &str| {
        Error::new(Code::ConfigInvalid).at("CA bundle").expected("certificates in PEM form").found(found)
    };
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| refuse("a malformed PEM block"))?;
        store.add(certificate).map_err(|_| refuse("a malformed certificate"))?;
    }
    if store.len() == before { Err(refuse("no certificate")) } else { Ok(store) }
}

/// Settings for one client; with `pins`, the peer's key must be one of them besides everything else.
pub(super) fn config(roots: &RootCertStore, pins: Option<&[[u8; 32]]>) -> Result<ClientConfig> {
    let internal = || Error::new(Code::Internal).at("TLS settings");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
        .build()
        .map_err(|_| internal())?;
    let verifier: Arc<dyn ServerCertVerifier> = match pins {
        None => webpki,
        Some(pins) => Arc::new(PinnedVerifier { inner: webpki, pins: pins.to_vec() }),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| internal())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The normal verification, then a comparison of the peer's SubjectPublicKeyInfo with the attested ones.
#[derive(Debug)]
struct PinnedVerifier {
    inner: Arc<WebPkiServerVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let digest = crypto::sha256(&[key.as_ref()]);
        if self.pins.iter().any(|pin| secret::constant_time_eq(pin, &digest)) {
            Ok(verified)
        } else {
            Err(rustls::Error::Other(OtherError(Arc::new(PinMismatch))))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct PinMismatch;

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer's key is not a pinned one")
    }
}

impl StdError for PinMismatch {}

/// Looks for [`PinMismatch`] in the causes of an error. An `io::Error` hides what it wraps from `source`, hence the second step.
pub(super) fn is_pin_mismatch(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(wrapped) = wrapped {
            let wrapped: &(dyn StdError + 'static) = wrapped;
            return is_pin_mismatch(wrapped);
        }
        if let Some(rustls::Error::Other(other)) = error.downcast_ref::<rustls::Error>() {
            return other.0.downcast_ref::<PinMismatch>().is_some();
        }
        next = error.source();
    }
    false
}
