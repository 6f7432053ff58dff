//! Where a request goes.

use http::Uri;
use http::uri::Scheme;
use wasmtime_wasi_http::Error;

/// Connections to the same one are interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) tls: bool,
    /// Lower case, an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// # Errors
    /// As a guest is told.
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let host = authority.host().to_ascii_lowercase();
        let port = match (authority.port_u16(), tls) {
            (Some(port), _) => port,
            // A port that is no number, which the parser lets pass.
            (None, _) if authority.port().is_some() => return Err(Error::HttpRequestUriInvalid),
            (None, true) => 443,
            (None, false) => 80,
        };
        // Who you are belongs into a header; servers would see it in the wrong place.
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(Error::HttpRequestUriInvalid);
        }
        Ok(Self { tls, host, port })
    }

    /// The host without brackets, as certificates name it.
    pub(super) fn bare_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }
}
