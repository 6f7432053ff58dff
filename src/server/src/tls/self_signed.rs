//! A serving certificate for nodes that are given none. It protects against listeners, not against impostors: the
//! API server accepts it unless it was told an authority for kubelets.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp, tz};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;

const VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);
/// Less than this left at start: make a new one. The agent is restarted more often than that.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Paths of certificate and key in `directory`, after making them if those there will not do.
pub(super) fn ensure(directory: &Path, node: &str, addresses: &[IpAddr]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (directory.join("kubelet.crt"), directory.join("kubelet.key"));
    let now = Timestamp::now();
    if !will_do(&certificate, &key, node, addresses, now) {
        make(&certificate, &key, node, addresses, now)
            .map_err(|message| TlsError::SelfSigned { directory: directory.to_owned(), message })?;
    }
    Ok((certificate, key))
}

fn will_do(certificate: &Path, key: &Path, node: &str, addresses: &[IpAddr], now: Timestamp) -> bool {
    let Ok(der) = CertificateDer::from_pem_file(certificate) else { return false };
    let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return false };
    let names = names(&parsed);
    let wanted = addresses.iter().map(IpAddr::to_string).chain([node.to_owned()]);
    let lasts = parsed.validity().not_after.timestamp() >= (now + RENEW).as_second();
    let pair = std::fs::read_to_string(key).ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
    let matches =
        pair.is_some_and(|pair| pair.public_key_raw() == parsed.public_key().subject_public_key.data.as_ref());
    lasts && matches && wanted.into_iter().all(|name| names.contains(&name))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn make(certificate: &Path, key: &Path, node: &str, addresses: &[IpAddr], now: Timestamp) -> Result<(), String> {
    let names: Vec<_> = std::iter::once(node.to_owned()).chain(addresses.iter().map(IpAddr::to_string)).collect();
    let mut params = CertificateParams::new(names).map_err(|e| e.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A day back, for clocks that differ.
    [params.not_before, params.not_after] = [now - SignedDuration::from_hours(24), now + VALIDITY].map(|time| {
        let date = time.to_zoned(tz::TimeZone::UTC).date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    });
    let pair = KeyPair::generate().map_err(|e| e.to_string())?;
    let signed = params.self_signed(&pair).map_err(|e| e.to_string())?;
    // The key first: a certificate without its key is made anew at the next start.
    write(key, &pair.serialize_pem()).map_err(|e| e.to_string())?;
    write(certificate, &signed.pem()).map_err(|e| e.to_string())
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_kept_until_it_will_not_do_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("pki");
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        let (certificate, key) = ensure(&directory, "node-1", &[v4, v6]).unwrap();
        let read = || (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());
        let first = read();
        ensure(&directory, "node-1", &[v4]).unwrap();
        assert_eq!(read(), first, "fewer addresses");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&certificate), mode(&key)), (0o600, 0o600));

        let later = Timestamp::now() + VALIDITY;
        assert!(!will_do(&certificate, &key, "node-1", &[], later), "expired");
        ensure(&directory, "node-2", &[]).unwrap();
        let second = read();
        assert_ne!(second, first, "another name");
        std::fs::write(&key, &first.1).unwrap();
        ensure(&directory, "node-2", &[]).unwrap();
        assert_ne!(read().0, second.0, "another key");
        std::fs::remove_file(&key).unwrap();
        ensure(&directory, "node-2", &[]).unwrap();
        assert!(key.exists());
    }
}
