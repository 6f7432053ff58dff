//! TLS in front of a registry.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::registry::Registry;

pub(crate) struct Front {
    pub(crate) host: String,
    /// The certificate to trust.
    pub(crate) pem: String,
    task: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(registry: &Registry) -> Self {
        Self::launch(registry, None).await
    }

    /// Lets in whom `authority` has certified.
    pub(crate) async fn for_clients_of(registry: &Registry, authority: CertificateDer<'static>) -> Self {
        Self::launch(registry, Some(authority)).await
    }

    async fn launch(registry: &Registry, clients: Option<CertificateDer<'static>>) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (host, behind) = (listener.local_addr().unwrap().to_string(), registry.host.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(acceptor.clone(), stream, behind.clone()));
            }
        });
        Self { host, pem: made.cert.pem(), task }
    }
}

/// Both ends may go at any time: that is what some tests are about.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, behind: String) {
    let Ok(mut outer) = acceptor.accept(stream).await else { return };
    let Ok(mut inner) = TcpStream::connect(behind).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
