//! A certificate authority that only its own files know of.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Signs the certificates of registries.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// With its files below `directory`, which is made.
    pub fn create(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let key = KeyPair::generate()?;
        let authority = Self { directory: directory.to_owned(), issuer: Issuer::new(params.clone(), key) };
        fs::write(authority.certificate(), params.self_signed(authority.issuer.key())?.pem())?;
        Ok(authority)
    }

    /// File of its own certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Files of a server's certificate and key.
    pub fn issue(&self, address: Ipv4Addr) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.to_string()])?.signed_by(&key, &self.issuer)?;
        let file = |kind: &str| self.directory.join(format!("{address}.{kind}"));
        fs::write(file("crt"), certificate.pem())?;
        fs::write(file("key"), key.serialize_pem())?;
        Ok((file("crt"), file("key")))
    }
}
