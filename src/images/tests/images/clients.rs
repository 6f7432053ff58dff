//! Registries that want to see this node's certificate.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use wasmnode_images::{PullPolicy, Reference, Request};

use crate::front::Front;
use crate::registry::Registry;
use crate::support::{Configured, mk_module};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    /// Certificate and key of a client.
    fn client(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["node".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test]
async fn the_certificate_that_the_registry_knows_is_shown() {
    let (registry, known, other) = (Registry::start().await, Authority::new("known"), Authority::new("other"));
    registry.push("app", "v1", &mk_module(1));
    let front = Front::for_clients_of(&registry, known.certificate.der().clone()).await;
    let reference = Reference::parse(&format!("{}/app:v1", front.host)).unwrap();
    let cases: [(&str, Result<(), &str>); 9] = [
        ("client = \"both.pem\"", Ok(())),
        ("client = [\"other.pem\", \"both.pem\"]", Ok(())),
        ("client = [[\"other.pem\", \"\"], [\"cert.pem\", \"key.pem\"]]", Ok(())),
        ("client = \"both.pem\"\nskip_verify = true", Ok(())),
        // Said after the handshake, as an alert or by hanging up.
        ("", Err("error sending request")),
        ("client = \"other.pem\"", Err("error sending request")),
        ("client = \"cert.pem\"", Err("cannot use the key in")),
        ("client = [[\"cert.pem\", \"missing.pem\"]]", Err("missing.pem: No such file")),
        ("client = [[\"cert.pem\", \"other.pem\"]]", Err("cannot use the key in")),
    ];
    let ((cert, key), (other_cert, other_key)) = (known.client(), other.client());
    for (settings, expected) in cases {
        let configured = Configured::new();
        let text = format!("server = \"https://{}\"\nca = \"ca.pem\"\n{settings}", front.host);
        for (file, text) in [
            ("hosts.toml", text),
            ("ca.pem", front.pem.clone()),
            ("cert.pem", cert.clone()),
            ("key.pem", key.clone()),
            ("both.pem", format!("{key}{cert}")),
            ("other.pem", format!("{other_cert}{other_key}")),
        ] {
            configured.set(&front.host, file, &text);
        }
        let pulled = configured.node.images.ensure(&Request::new(&reference, PullPolicy::Always)).await;
        match (pulled, expected) {
            (Ok(_), Ok(())) => {}
            (Err(err), Err(expected)) => assert!(err.to_string().contains(expected), "{settings}: {err}"),
            (result, _) => panic!("{settings}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn files_beside_each_other_are_dockers_form() {
    let (registry, authority) = (Registry::start().await, Authority::new("known"));
    registry.push("app", "v1", &mk_module(1));
    let front = Front::for_clients_of(&registry, authority.certificate.der().clone()).await;
    let host = front.host.replace("127.0.0.1", "localhost");
    let reference = Reference::parse(&format!("{host}/app:v1")).unwrap();
    let (cert, key) = authority.client();
    let configured = Configured::new();
    for (file, text) in [("ca.crt", &front.pem), ("client.cert", &cert), ("client.key", &key)] {
        configured.set(&host, file, text);
    }
    // Loopback hosts are spoken to without TLS: only that the files can be read is seen here.
    let err = configured.node.refusal(&reference).await;
    assert!(!err.contains("cannot use"), "{err}");
    configured.set(&host, "client.key", "");
    let err = configured.node.refusal(&reference).await;
    assert!(err.contains("cannot use the key in"), "{err}");
}
