//! What the server shows and demands in a TLS handshake.

mod self_signed;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::{Certificate, Config};

/// TLS that cannot be set up. The operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there, not readable or holds no PEM of the expected kind.
    #[error("failed to read {what} from {}: {source}", path.display())]
    Read {
        /// What was expected in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate authorities for clients are unusable.
    #[error("failed to use the client authorities in {}: {source}", path.display())]
    ClientCa {
        /// `clientCAFile`.
        path: PathBuf,
        /// What happened.
        source: VerifierBuilderError,
    },
    /// The self-signed certificate can be neither made nor stored.
    #[error("failed to make a serving certificate in {}: {message}", directory.display())]
    SelfSigned {
        /// The directory for keys.
        directory: PathBuf,
        /// What happened.
        message: String,
    },
    /// Certificate and key do not go together, or are of a kind that rustls refuses.
    #[error("failed to use the serving certificate: {0}")]
    Refused(#[from] rustls::Error),
}

/// The TLS settings of a server. Files are read once.
pub(crate) fn config(config: &Config) -> Result<ServerConfig, TlsError> {
    let (certificate, key) = match &config.certificate {
        Certificate::Files { certificate, key } => (certificate.clone(), key.clone()),
        Certificate::SelfSigned { directory, addresses } => {
            self_signed::ensure(directory, &config.node_name, addresses)?
        }
    };
    // Named, since the process may hold more than one provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                // Others may come with a bearer token.
                .allow_unauthenticated()
                .build()
                .map_err(|source| TlsError::ClientCa { path: path.clone(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut tls = builder.with_single_cert(certificates(&certificate)?, private_key(&key)?)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Read { what: "certificates", path: path.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(failed(rustls::pki_types::pem::Error::NoItemsFound)),
        chain => chain.map_err(failed),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Read {
        what: "a private key",
        path: path.to_owned(),
        source,
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
