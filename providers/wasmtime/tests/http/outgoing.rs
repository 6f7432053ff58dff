//! Requests that guests send.

use wasmnode_provider_api::HttpSettings;

use crate::client::get_with;
use crate::rig::{Guest, Rig};

async fn fetches_within_the_pod_and_nothing_of_the_host(guest: Guest) {
    let mut rig = Rig::new().await;
    let serving = rig.serve(guest, HttpSettings::default()).await;
    let port = serving.address.port();
    let fetch = |url: String| async move { get_with(serving.address, "/fetch", ("x-url", &url)).await };
    for host in ["127.0.0.1", "127.0.0.2", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let (status, text) = fetch(format!("http://{host}:{port}/request")).await;
        assert!(status == 200 && text.starts_with("200"), "{host}: {status} {text}");
        assert!(text.contains(&format!("/request {host}:{port}")), "{host}: {text}");
    }
    for (url, expected) in [
        ("http://127.0.0.1:1/", "ConnectionRefused"),
        ("http://169.254.169.254/latest/meta-data/", "DestinationIpProhibited"),
        ("http://0.0.0.0:1/", "DestinationIpProhibited"),
        ("http://[::]:1/", "DestinationIpProhibited"),
        ("http://[fe80::1]/", "DestinationIpProhibited"),
        ("http://no.such.name.invalid/", "DnsError"),
    ] {
        let (status, text) = fetch(url.to_owned()).await;
        assert_eq!(status, 502, "{url}: {text}");
        assert!(text.contains(expected), "{url}: {text}");
    }
}

#[tokio::test]
async fn of_wasi_02() {
    fetches_within_the_pod_and_nothing_of_the_host(Guest::Wasip2).await;
}

#[tokio::test]
async fn of_wasi_03() {
    fetches_within_the_pod_and_nothing_of_the_host(Guest::Wasip3).await;
}
