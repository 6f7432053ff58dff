//! Who gets in, and what the short answers say.

use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::agent::Running;
use super::client::{Client, Identity, tls};

#[tokio::test]
async fn nothing_is_said_to_strangers() {
    let server = Running::start().await;
    for path in ["/", "/healthz", "/healthz/ping", "/pods", "/metrics", "/containerLogs/ns/p/c", "/no/such/path"] {
        for (method, token) in [("GET", ""), ("GET", "invented"), ("POST", ""), ("OPTIONS", "")] {
            let answer = Client::http1(&server).await.request(method, path, token).await;
            assert_eq!((answer.status, answer.body.as_str()), (401, "Unauthorized"), "{method} {path}");
        }
    }
    let answer = Client::http2(&server).await.get("/healthz", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn rights_are_asked_for_by_path() {
    let server = Running::start().await;
    let mut client = Client::http1(&server).await;
    assert_eq!(client.get("/metrics", "scraper").await.status, 200);
    for (path, subresources) in [
        ("/pods", "pods proxy"),
        ("/healthz", "healthz proxy"),
        ("/containerLogs/ns/p/c", "proxy"),
        ("/no/such/path", "proxy"),
    ] {
        let text = format!("Forbidden (user=scraper, verb=get, resource=nodes, subresource(s)=[{subresources}])\n");
        let answer = client.get(path, "scraper").await;
        assert_eq!((answer.status, answer.body), (403, text), "{path}");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_served() {
    let server = Running::start().await;
    let mut client = Client::http1(&server).await;
    for path in ["/", "/healthz/unknown", "/containerLogs/ns/p", "/containerLogs/ns/p/c/d", "//pods", "/pods/x"] {
        let answer = client.get(path, "admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "404: Page Not Found"), "{path}");
    }
    let answer = client.request("POST", "/pods", "admin").await;
    assert_eq!((answer.status, answer.body.as_str()), (405, "405: Method Not Allowed"));
}

#[tokio::test]
async fn what_cannot_be_streamed_says_so() {
    let server = Running::start().await;
    let mut client = Client::http1(&server).await;
    for (path, verb) in [("/exec/ns/p/c?command=ls", "exec"), ("/portForward/ns/p", "port-forward")] {
        let answer = client.request("POST", path, "admin").await;
        let text = format!("{verb} is not in this version of wasmnode");
        assert_eq!((answer.status, answer.body), (501, text), "{path}");
    }
}

#[tokio::test]
async fn health_is_told_briefly_or_in_full() {
    let server = Running::start().await;
    let mut client = Client::http2(&server).await;
    let verbose = "[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n";
    for (path, body) in
        [("/healthz", "ok"), ("/healthz/ping", "ok"), ("/healthz/syncloop", "ok"), ("/healthz?verbose", verbose)]
    {
        let answer = client.get(path, "admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    server.node.fail("syncloop", "stuck");
    let failed = "[+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n";
    for (path, status, body) in [
        ("/healthz", 500, failed),
        ("/healthz/syncloop", 500, "internal server error: stuck\n"),
        ("/healthz/log", 200, "ok"),
        ("/healthz?exclude=syncloop", 200, "ok"),
    ] {
        let answer = client.get(path, "admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
}

#[tokio::test]
async fn pods_are_a_list_of_the_api() {
    let server = Running::start().await;
    let answer = Client::http1(&server).await.get("/pods", "admin").await;
    assert_eq!(answer.content_type, "application/json");
    let list: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((list["kind"].as_str(), list["apiVersion"].as_str()), (Some("PodList"), Some("v1")));
    assert_eq!(list["items"][0]["metadata"]["name"], "p");
}

#[tokio::test]
async fn requests_are_counted() {
    let server = Running::start().await;
    let mut client = Client::http1(&server).await;
    client.get("/pods", "scraper").await;
    let answer = client.get("/metrics", "scraper").await;
    assert_eq!(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        r#"kubelet_http_requests_total{method="GET",path="pods",server_type="readwrite",long_running="false"} 1"#,
        r#"wasmnode_http_requests_denied_total{code="403"} 1"#,
        "wasmnode_http_connections 1",
    ] {
        assert!(answer.body.lines().any(|l| l == line), "{line} in\n{}", answer.body);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = Running::start().await;
    let mut client = Client::http1(&server).await;
    assert_eq!(client.get("/containerLogs/ns/panic/c", "admin").await.status, 500);
    assert_eq!(client.get("/healthz", "admin").await.status, 200);
}

/// An authority, its certificate as PEM, and a client certificate of it.
fn authority(user: &str, group: &str) -> (String, Identity) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    (authority.pem(), (vec![certificate.der().clone()], key))
}

#[tokio::test]
async fn client_certificates_name_users() {
    let (pem, apiserver) = authority("apiserver", "admins");
    let (_, impostor) = authority("apiserver", "admins");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.crt");
    std::fs::write(&file, pem).unwrap();
    let server = Running::with(|config| config.client_ca_file = Some(file)).await;
    assert_eq!(Client::http1_as(&server, Some(apiserver)).await.get("/healthz", "").await.status, 200);
    assert_eq!(Client::http1(&server).await.get("/healthz", "admin").await.status, 200);
    assert_eq!(Client::http1(&server).await.get("/healthz", "").await.status, 401);
    // With TLS 1.3 the client learns of the refusal when it reads.
    let refused = match tls(&server, "http/1.1", Some(impostor)).await {
        Err(_) => true,
        Ok(mut stream) => tokio::io::AsyncReadExt::read_u8(&mut stream).await.is_err(),
    };
    assert!(refused);
}
