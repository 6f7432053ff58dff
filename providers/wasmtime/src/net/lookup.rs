//! Names to addresses: the one place that asks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasmtime_wasi_http::Error;

use super::Network;
use super::policy::{Attempt, Decision};

/// Addresses of one name at most; the first ones are the resolver's choice.
const MAX_ADDRESSES: usize = 16;

/// The addresses of a name or of an address in text form, in the order in which to try them.
///
/// # Errors
/// As a guest is told.
pub(crate) async fn lookup(network: &Network, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    match network.pass(&Attempt::Lookup(host)) {
        Ok(Decision::Loopback) => Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]),
        Ok(Decision::Network) => resolve(host, port).await.map_err(|_| unknown()),
        Err(_denied) => Err(unknown()),
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.take(MAX_ADDRESSES).collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

fn unknown() -> Error {
    Error::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None }
}
