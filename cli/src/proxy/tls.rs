//! The proxy's own certificate, and those of its callers. HTTP/1.1 is the only protocol that is offered.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use proveil::{Code, Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::settings::TlsFiles;
use crate::inputs;

const PEM_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Accepts connections by the files as they were read last.
pub(super) struct Acceptor {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl Acceptor {
    /// Fails with `config_invalid` and `file_unreadable`.
    pub(super) fn new(files: TlsFiles) -> Result<Acceptor> {
        let config = ArcSwap::from(read(&files)?);
        Ok(Acceptor { files, config })
    }

    /// Reads the files again. On an error the earlier ones stay in force.
    pub(super) fn reload(&self) -> Result<()> {
        self.config.store(read(&self.files)?);
        Ok(())
    }

    pub(super) fn files(&self) -> Vec<std::path::PathBuf> {
        let files = [Some(&self.files.cert), Some(&self.files.key), self.files.client_ca.as_ref()];
        files.into_iter().flatten().cloned().collect()
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(socket).await
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let invalid = |flag: &str, found: String| Error::new(Code::ConfigInvalid).at(flag).found(found);
    let chain = certificates(&files.cert, "--tls-cert")?;
    let pem = zeroize::Zeroizing::new(inputs::read(&files.key, "--tls-key", PEM_MAX_BYTES)?);
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| invalid("--tls-key", "no private key in PEM".to_owned()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("--tls-cert", error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, "--tls-client-ca")? {
                roots.add(certificate).map_err(|error| invalid("--tls-client-ca", error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| invalid("--tls-client-ca", error.to_string()))?,
            )
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| invalid("--tls-cert", error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &std::path::Path, flag: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = inputs::read(path, flag, PEM_MAX_BYTES)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::new(Code::ConfigInvalid).at(flag).expected("certificates in PEM")),
    }
}
