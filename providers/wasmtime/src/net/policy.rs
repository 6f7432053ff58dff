//! What a pod's network may reach: one pure function that every listen, accept, connect and lookup passes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a cloud keeps what it tells its machines, besides the link-local addresses.
const METADATA: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

/// The longest name that DNS has.
const MAX_NAME: usize = 253;

/// What decides for one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The pod's addresses.
    pub(crate) own: Vec<IpAddr>,
    /// Where the node's own API listens.
    pub(crate) node_api: Vec<SocketAddr>,
}

/// What a guest, or somebody who wants to reach it, is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt<'a> {
    /// Listen at an address of the host's.
    Listen(SocketAddr),
    /// Take a connection from there.
    Accept(SocketAddr),
    /// Reach an address.
    Connect(SocketAddr),
    /// Ask for the addresses of a name.
    Lookup(&'a str),
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// As asked, through the host's network.
    Network,
    /// Inside the pod, in memory.
    Loopback,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error("it is not an address of the pod")]
    NotOwn,
    #[error("it is the host itself")]
    Host,
    #[error("it is link-local or metadata of the cloud")]
    LinkLocal,
    #[error("it is multicast or broadcast")]
    Multicast,
    #[error("it is the node's own API")]
    NodeApi,
    #[error("it is not a name")]
    Name,
}

/// The decision, from nothing but its arguments.
pub(crate) fn decide(rules: &Rules, attempt: &Attempt<'_>) -> Result<Decision, Denial> {
    match attempt {
        Attempt::Listen(at) if rules.own.contains(&at.ip()) => Ok(Decision::Network),
        Attempt::Listen(_) => Err(Denial::NotOwn),
        // Whoever reaches the pod's address may talk to it, until there are policies that say otherwise.
        Attempt::Accept(_) => Ok(Decision::Network),
        Attempt::Connect(to) => connect(rules, *to),
        Attempt::Lookup(name) if name.is_empty() || name.len() > MAX_NAME => Err(Denial::Name),
        Attempt::Lookup(name) if is_localhost(name) => Ok(Decision::Loopback),
        Attempt::Lookup(_) => Ok(Decision::Network),
    }
}

fn connect(rules: &Rules, to: SocketAddr) -> Result<Decision, Denial> {
    let address = plain(to.ip());
    if address.is_loopback() {
        return Ok(Decision::Loopback);
    }
    if rules.node_api.iter().any(|api| is_same(*api, address, to.port())) {
        return Err(Denial::NodeApi);
    }
    match address {
        IpAddr::V4(v4) => connect_v4(v4),
        IpAddr::V6(v6) => connect_v6(v6),
    }
}

fn connect_v4(to: Ipv4Addr) -> Result<Decision, Denial> {
    match to.octets() {
        // All of "this network" leads to this host on Linux or nowhere.
        [0, ..] => Err(Denial::Host),
        [169, 254, ..] => Err(Denial::LinkLocal),
        [224..=239, ..] | [255, 255, 255, 255] => Err(Denial::Multicast),
        _ => Ok(Decision::Network),
    }
}

fn connect_v6(to: Ipv6Addr) -> Result<Decision, Denial> {
    match to.segments() {
        // The wildcard, which is this host, and the old form of embedded IPv4.
        [0, 0, 0, 0, 0, 0, ..] => Err(Denial::Host),
        [0xfe80..=0xfebf, ..] => Err(Denial::LinkLocal),
        [0xff00..=0xffff, ..] => Err(Denial::Multicast),
        _ if IpAddr::V6(to) == METADATA => Err(Denial::LinkLocal),
        _ => Ok(Decision::Network),
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, behind NAT64, or in 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        _ => IpAddr::V6(v6),
    }
}

fn is_same(api: SocketAddr, address: IpAddr, port: u16) -> bool {
    api.port() == port && plain(api.ip()) == address
}

/// Names that are the pod itself, as RFC 6761 has it.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

impl fmt::Display for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(at) => write!(f, "listen at {at}"),
            Self::Accept(from) => write!(f, "accept from {from}"),
            Self::Connect(to) => write!(f, "connect to {to}"),
            Self::Lookup(name) => write!(f, "lookup of {}", name.escape_debug()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            own: vec!["10.1.0.5".parse().unwrap(), "fd01::5".parse().unwrap()],
            node_api: vec!["192.168.7.2:10250".parse().unwrap(), "[fd02::2]:10250".parse().unwrap()],
        }
    }

    #[test]
    fn connects_to_the_network_and_nothing_of_the_host() {
        let network = Ok(Decision::Network);
        let cases = [
            ("10.1.0.5:80", network),
            ("10.1.0.6:80", network),
            ("93.184.216.34:443", network),
            ("192.168.7.2:443", network),
            ("[2606:2800::1]:443", network),
            ("[fd01::6]:80", network),
            ("127.0.0.1:80", Ok(Decision::Loopback)),
            ("127.0.0.2:80", Ok(Decision::Loopback)),
            ("127.255.255.254:80", Ok(Decision::Loopback)),
            ("[::1]:80", Ok(Decision::Loopback)),
            ("[::ffff:127.0.0.1]:80", Ok(Decision::Loopback)),
            ("[64:ff9b::7f00:1]:80", Ok(Decision::Loopback)),
            ("[2002:7f00:1::]:80", Ok(Decision::Loopback)),
            ("0.0.0.0:80", Err(Denial::Host)),
            ("0.1.2.3:80", Err(Denial::Host)),
            ("[::]:80", Err(Denial::Host)),
            ("[::127.0.0.1]:80", Err(Denial::Host)),
            ("[::ffff:0.0.0.0]:80", Err(Denial::Host)),
            ("169.254.169.254:80", Err(Denial::LinkLocal)),
            ("169.254.0.1:80", Err(Denial::LinkLocal)),
            ("[::ffff:169.254.169.254]:80", Err(Denial::LinkLocal)),
            ("[64:ff9b::a9fe:a9fe]:80", Err(Denial::LinkLocal)),
            ("[2002:a9fe:a9fe::1]:80", Err(Denial::LinkLocal)),
            ("[fe80::1]:80", Err(Denial::LinkLocal)),
            ("[febf::1]:80", Err(Denial::LinkLocal)),
            ("[fd00:ec2::254]:80", Err(Denial::LinkLocal)),
            ("224.0.0.1:80", Err(Denial::Multicast)),
            ("239.255.255.250:1900", Err(Denial::Multicast)),
            ("255.255.255.255:9", Err(Denial::Multicast)),
            ("[ff02::1]:80", Err(Denial::Multicast)),
            ("192.168.7.2:10250", Err(Denial::NodeApi)),
            ("[::ffff:192.168.7.2]:10250", Err(Denial::NodeApi)),
            ("[fd02::2]:10250", Err(Denial::NodeApi)),
        ];
        for (to, expected) in cases {
            assert_eq!(decide(&rules(), &Attempt::Connect(to.parse().unwrap())), expected, "connect to {to}");
        }
    }

    #[test]
    fn listens_at_the_pods_addresses_only() {
        let cases = [
            ("10.1.0.5:8080", Ok(Decision::Network)),
            ("[fd01::5]:8080", Ok(Decision::Network)),
            ("0.0.0.0:8080", Err(Denial::NotOwn)),
            ("127.0.0.1:8080", Err(Denial::NotOwn)),
            ("10.1.0.6:8080", Err(Denial::NotOwn)),
        ];
        for (at, expected) in cases {
            assert_eq!(decide(&rules(), &Attempt::Listen(at.parse().unwrap())), expected, "listen at {at}");
        }
        let peer = Attempt::Accept("10.9.9.9:1".parse().unwrap());
        assert_eq!(decide(&rules(), &peer), Ok(Decision::Network));
    }

    #[test]
    fn looks_up_names() {
        let long = "a".repeat(254);
        let cases = [
            ("example.com", Ok(Decision::Network)),
            ("localhost", Ok(Decision::Loopback)),
            ("LocalHost.", Ok(Decision::Loopback)),
            ("web.localhost", Ok(Decision::Loopback)),
            ("notlocalhost", Ok(Decision::Network)),
            ("", Err(Denial::Name)),
            (long.as_str(), Err(Denial::Name)),
        ];
        for (name, expected) in cases {
            assert_eq!(decide(&rules(), &Attempt::Lookup(name)), expected, "lookup of {name:?}");
        }
    }
}
