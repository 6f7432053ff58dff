//! TLS with a registry that an operator has settings for: whom to trust, and which certificate to show.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::hosts::{Identity, Trust, read_file};

/// Written out: reqwest leaves a configuration that it did not make as it is.
const ALPN: &[u8] = b"http/1.1";

/// Takes every server for the one that was meant; signatures still have to be right.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

/// This node's certificates, in the order of the settings.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

/// Reads what `trust` names. Blocking.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(super) fn client_config(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let identities: Vec<_> =
        trust.identities.iter().map(|identity| certified(identity, &provider)).collect::<Result<_, _>>()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|err| err.to_string())?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(trust, provider)?);
    let mut config = if identities.is_empty() {
        builder.with_no_client_auth()
    } else {
        builder.with_client_cert_resolver(Arc::new(Identities(identities)))
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn verifier(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = Vec::new();
    for path in &trust.certificates {
        roots.extend(read_certificates(path)?);
    }
    if trust.skip_verify {
        return Ok(Arc::new(Anybody(provider)));
    }
    let verifier = Verifier::new_with_extra_roots(roots, provider);
    verifier.map(|verifier| Arc::new(verifier) as _).map_err(|err| format!("cannot use the certificates: {err}"))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |why: &dyn Display| format!("cannot use the certificates in {}: {why}", path.display());
    let bytes = read_file(path).map_err(|err| failed(&err))?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|err| failed(&err))?;
    if found.is_empty() { Err(failed(&"there are none")) } else { Ok(found) }
}

fn certified(identity: &Identity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let certificates = read_certificates(&identity.certificate)?;
    let path = identity.key.as_ref().unwrap_or(&identity.certificate);
    let failed = |why: &dyn Display| format!("cannot use the key in {}: {why}", path.display());
    let bytes = read_file(path).map_err(|err| failed(&err))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|err| failed(&err))?;
    let key = CertifiedKey::from_der(certificates, key, provider).map_err(|err| failed(&err))?;
    Ok(Arc::new(key))
}

// === impl Identities ===

impl ResolvesClientCert for Identities {
    /// The first that was issued by whom the server names, else the first that can sign as the server wants.
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut usable = self.0.iter().filter(|key| key.key.choose_scheme(schemes).is_some()).peekable();
        let first = usable.peek().map(|key| Arc::clone(key));
        usable.find(|key| key.cert.iter().any(|cert| is_from(cert, issuers))).map(Arc::clone).or(first)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate holds the name of its issuer as the server writes it.
fn is_from(certificate: &[u8], issuers: &[&[u8]]) -> bool {
    issuers.iter().any(|issuer| !issuer.is_empty() && certificate.windows(issuer.len()).any(|part| part == *issuer))
}

// === impl Anybody ===

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
