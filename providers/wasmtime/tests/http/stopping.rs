//! How servers start and end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use tokio::net::TcpStream;
use wasmnode_provider_api::{ExitReason, HttpSettings, Provider, Workload};

use crate::client::{Connection, get};
use crate::rig::{Guest, Rig, free_port, text_of};

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_more() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let mut idle = Connection::http1(serving.address).await;
    assert_eq!(idle.get("/count").await.0, 200);
    let slow = tokio::spawn(get(serving.address, "/sleep?500"));
    let streaming = tokio::spawn(get(serving.address, "/stream?30"));
    rig.until("both requests", |usage| usage.requests == 3).await;
    rig.provider.stop(&serving.spec.id).await.unwrap();
    assert_eq!(slow.await.unwrap(), (200, "slept".to_owned()));
    assert_eq!(streaming.await.unwrap().1.lines().count(), 30);
    let exit = rig.exit(&serving.spec.id).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Stopped));
    assert!(TcpStream::connect(serving.address).await.is_err());
    assert!(rig.provider.connect(&rig.sandbox, serving.address.port()).await.is_err());
}

#[tokio::test]
async fn a_kill_ends_requests() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let address = serving.address;
    let spinning =
        tokio::spawn(async move { crate::client::raw(address, b"GET /spin HTTP/1.1\r\nhost: a\r\n\r\n").await });
    rig.until("the request", |usage| usage.instances == 1).await;
    rig.provider.stop(&serving.spec.id).await.unwrap();
    rig.provider.kill(&serving.spec.id).await.unwrap();
    let exit = rig.exit(&serving.spec.id).await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Killed));
    assert_eq!(spinning.await.unwrap(), "");
}

#[tokio::test]
async fn the_port_is_free_for_the_next_run() {
    let mut rig = Rig::new().await;
    let first = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    assert_eq!(get(first.address, "/count").await.0, 200);
    rig.stopped(&first).await;
    let mut spec = rig.spec(Guest::Wasip2, first.spec.workload.clone()).await;
    spec.container.clone_from(&first.spec.container);
    let second = rig.start(spec, first.address).await;
    assert_eq!(get(second.address, "/count").await.0, 200);
}

#[tokio::test]
async fn says_which_address_is_taken() {
    let mut rig = Rig::new().await;
    let (spec, address) = rig.server_spec(Guest::Wasip2, HttpSettings::default()).await;
    let taken = TcpListener::bind(address).unwrap();
    let error = text_of(rig.provider.start(spec.clone()).await);
    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    drop(taken);
    let serving = rig.start(spec, address).await;
    assert_eq!(get(serving.address, "/count").await.0, 200);
    let workload = Workload::HttpServer { ports: vec![address.port()], settings: HttpSettings::default() };
    let again = rig.spec(Guest::Wasip2, workload).await;
    assert!(rig.provider.start(again).await.is_err(), "a second container with the same port");
    assert_eq!(get(serving.address, "/count").await.0, 200);
}

#[tokio::test]
async fn listens_at_every_port_of_every_address() {
    // An address of IPv6 that is not the host's yet can be listened at, too.
    let elsewhere: IpAddr = "fd00:77::1".parse().unwrap();
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.extend([Ipv6Addr::LOCALHOST.into(), elsewhere]);
    }
    let mut rig = Rig::with_addresses(addresses.clone()).await;
    let ports = vec![free_port(), free_port()];
    let workload = Workload::HttpServer { ports: ports.clone(), settings: HttpSettings::default() };
    let spec = rig.spec(Guest::Wasip2, workload).await;
    rig.provider.start(spec).await.unwrap();
    for address in addresses.iter().filter(|address| address.is_loopback()) {
        for port in &ports {
            assert_eq!(get((*address, *port).into(), "/count").await.0, 200, "{address} {port}");
        }
    }
}

#[tokio::test]
async fn a_pod_without_an_address_is_told_so() {
    let mut rig = Rig::with_addresses(Vec::new()).await;
    let (spec, _) = rig.server_spec(Guest::Wasip2, HttpSettings::default()).await;
    let error = text_of(rig.provider.start(spec).await);
    assert!(error.contains("needs an address of the pod"), "{error}");
}

#[tokio::test]
async fn removing_the_pod_ends_its_servers() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    rig.provider.remove_sandbox(&rig.sandbox).await.unwrap();
    assert_eq!(rig.exit(&serving.spec.id).await.code, 137);
    assert!(TcpStream::connect(serving.address).await.is_err());
}
