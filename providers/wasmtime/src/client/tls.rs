//! TLS of outgoing connections: the system's roots and those of the caller's settings.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmnode_provider_api::Error as ProviderError;
use wasmtime_wasi_http::Error;

/// HTTP/2 where the server has it.
pub(super) const H2: &[u8] = b"h2";

/// Whom outgoing connections trust. The system's roots are read when the first one is made.
#[derive(Default)]
pub(crate) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("extra", &self.extra.len()).finish_non_exhaustive()
    }
}

impl Tls {
    /// With additional roots in PEM form.
    ///
    /// # Errors
    /// [`ProviderError::Malformed`] for certificates that cannot be read.
    pub(crate) fn new(ca_bundle: &[u8]) -> Result<Self, ProviderError> {
        let extra: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_bundle).collect();
        let extra = extra.map_err(|e| ProviderError::Malformed(format!("configure.ca_bundle: {e}")))?;
        Ok(Self { extra, config: OnceCell::new() })
    }

    /// Shakes hands with a server of that name.
    ///
    /// # Errors
    /// As a guest is told.
    pub(super) async fn connect<T>(&self, host: &str, stream: T) -> Result<TlsStream<T>, Error>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let config = self.config().await?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| explained(&error))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let make = || async {
            let extra = self.extra.clone();
            let made = tokio::task::spawn_blocking(move || config(extra)).await;
            made.map_err(|_| Error::ConfigurationError)?.map(Arc::new)
        };
        self.config.get_or_try_init(make).await.cloned()
    }
}

/// Reads the system's roots, which blocks.
fn config(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let failed = |error: rustls::Error| {
        tracing::warn!(%error, "Outgoing TLS of guests cannot be set up");
        Error::ConfigurationError
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(failed)?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(failed)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn explained(error: &std::io::Error) -> Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}
