//! Brings up the loopback link and gives it addresses, in rtnetlink messages: a fresh machine need not
//! have iproute2.

use std::{io, net::Ipv4Addr};

use rustix::{
    fd::{AsFd, OwnedFd},
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send, socket_with},
};

/// Every network namespace is born with it.
const LOOPBACK: u32 = 1;

// linux/rtnetlink.h, linux/netlink.h, linux/if.h
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const ERROR: u16 = 2;
const REQUEST_ACK: u16 = 1 | 4;
const CREATE_OR_REPLACE: u16 = 0x400 | 0x100;
const ATTRIBUTE_ADDRESS: u16 = 1;
const ATTRIBUTE_LOCAL: u16 = 2;
const UP: u32 = 1;
const FAMILY_INET: u8 = 2;
const HEADER: usize = 16;

/// Link up, `addresses` (each /32) added; those that are there already stay.
pub(super) fn set_up(addresses: impl Iterator<Item = Ipv4Addr>) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
    request(&socket, NEW_LINK, 0, &link_up())?;
    addresses.into_iter().try_for_each(|address| request(&socket, NEW_ADDRESS, CREATE_OR_REPLACE, &with(address)))
}

/// struct ifinfomsg
fn link_up() -> Vec<u8> {
    [[0; 4], LOOPBACK.to_ne_bytes(), UP.to_ne_bytes(), UP.to_ne_bytes()].concat()
}

/// struct ifaddrmsg (prefix length 32, global scope) and its attributes
fn with(address: Ipv4Addr) -> Vec<u8> {
    let attribute = |kind: u16| [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &address.octets()].concat();
    let header = [[FAMILY_INET, 32, 0, 0], LOOPBACK.to_ne_bytes()].concat();
    [header, attribute(ATTRIBUTE_LOCAL), attribute(ATTRIBUTE_ADDRESS)].concat()
}

/// Sends one message and waits for its acknowledgement.
fn request(socket: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST_ACK | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend(body);
    send(socket.as_fd(), &message, SendFlags::empty())?;

    let mut answer = [0; 4096];
    let (_, length) = recv(socket.as_fd(), &mut answer[..], RecvFlags::empty())?;
    acknowledged(&answer[..length])
}

/// struct nlmsgerr: an error number of 0 is success.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let number = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, number) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::Error::other("unexpected answer of rtnetlink")),
    }
}
