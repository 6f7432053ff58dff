//! The address of this node.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("--node-ip {ip} is not an address of this host: {source}")]
    Foreign { ip: IpAddr, source: std::io::Error },
    #[error("this host has no default route, which would tell its address: set --node-ip")]
    NoRoute,
}

/// Addresses that no host has (RFC 5737, RFC 3849): the way to them is the default route.
const NOWHERE: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The address asked for, if it is this host's; otherwise the one on the default route, as the kubelet chooses.
pub(crate) fn node_address(asked: Option<IpAddr>) -> Result<IpAddr, AddressError> {
    match asked {
        Some(ip) => UdpSocket::bind((ip, 0)).map(|_| ip).map_err(|source| AddressError::Foreign { ip, source }),
        None => NOWHERE.into_iter().find_map(source_towards).ok_or(AddressError::NoRoute),
    }
}

/// Connecting a datagram socket looks the route up and sends nothing.
fn source_towards(destination: IpAddr) -> Option<IpAddr> {
    let wildcard: SocketAddr = if destination.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(wildcard).ok()?;
    socket.connect((destination, 9)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_loopback() && !source.is_unspecified()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_of_this_host() {
        let local = IpAddr::from([127, 0, 0, 1]);
        assert!(matches!(node_address(Some(local)), Ok(ip) if ip == local));
        let foreign = IpAddr::from([192, 0, 2, 1]);
        assert!(matches!(node_address(Some(foreign)), Err(AddressError::Foreign { .. })));
    }

    #[test]
    fn loopback_is_no_source() {
        assert_eq!(source_towards(IpAddr::from([127, 0, 0, 2])), None);
    }
}
