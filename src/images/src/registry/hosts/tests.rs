#![allow(clippy::unwrap_used)]

use super::form::parse;
use super::*;

#[test]
fn containerds_own_examples() {
    let text = r#"
        server = "https://registry-1.docker.io"
        ca = "/etc/certs/server.pem"

        [host."https://z-mirror.example.com"]
          capabilities = ["pull", "resolve"]
        [host."http://a-mirror.example.com:5000/some/v2/"]
          capabilities = ["pull"]
          ca = ["one.pem", "/two.pem"]
        [host."https://proxy.example.com/v2/docker.io"]
          override_path = true
          skip_verify = true
    "#;
    let hosts = parse(text, Path::new("/d")).unwrap();
    let bases: Vec<_> = hosts.mirrors.iter().map(|host| host.base.as_str()).collect();
    // In the order of the file.
    let expected = [
        "https://z-mirror.example.com/v2",
        "http://a-mirror.example.com:5000/some/v2",
        "https://proxy.example.com/v2/docker.io",
    ];
    assert_eq!(bases, expected);
    let flags: Vec<_> = hosts
        .mirrors
        .iter()
        .map(|host| (host.abilities.resolve, host.abilities.pull, host.trust.skip_verify))
        .collect();
    assert_eq!(flags, [(true, true, false), (false, true, false), (true, true, true)]);
    assert_eq!(hosts.mirrors[1].trust.certificates, [Path::new("/d/one.pem"), Path::new("/two.pem")]);
    let server = hosts.server.unwrap();
    assert_eq!(server.base, "https://registry-1.docker.io/v2");
    assert_eq!(server.trust.certificates, [Path::new("/etc/certs/server.pem")]);
}

#[test]
fn what_is_not_understood_is_told() {
    let many: String = (0..17).map(|n| format!("[host.\"https://m{n}\"]\n")).collect();
    let cases = [
        ("server = 1", "invalid type"),
        ("[host.\"https://a\"]\ndial_timeout = \"1s\"", "unknown field `dial_timeout`"),
        ("[host.\"https://a\"]\nclient = [[\"x\"]]", "did not match any variant"),
        ("server = \"https://a\"\nheader = \"geheim\"", "header is not a table"),
        ("server = \"https://a\"\n[header]\nx = { y = \"geheim\" }", "\"x\" is not a header with a text"),
        ("server = \"https://a\"\n[header]\nx = [\"geheim\", \"geheim\\n\"]", "\"x\" is not a header with a text"),
        ("[host.\"https://a\".header]\n\"a b\" = \"geheim\"", "host \"https://a\": header \"a b\" is not"),
        ("[host.\"https://a\".header]\nhost = \"geheim\"", "header \"host\" cannot be set"),
        ("[header]\nauthorization = \"geheim", "line 2: "),
        ("[header]\n# geheim\na = \"geheim\"\na = \"geheim\"", "line 4: duplicate key"),
        ("skip-verify = true", "unknown field"),
        ("[host.\"ftp://a\"]", "https://HOST"),
        ("[host.\"https://user:geheim@a\"]", "https://HOST"),
        ("[host.\"https://\"]", "is no address"),
        ("[host.\"https://a\"]\ncapabilities = [\"sing\"]", "unknown capability \"sing\""),
        (&many, "17 hosts"),
    ];
    for (text, expected) in cases {
        let err = parse(text, Path::new("/d")).unwrap_err();
        assert!(err.contains(expected) && !err.contains("geheim"), "{text}: {err}");
    }
}

#[test]
fn the_most_special_directory_decides() {
    let top = tempfile::tempdir().unwrap();
    let put = |name: &str, file: &str, text: &str| {
        std::fs::create_dir_all(top.path().join(name)).unwrap();
        std::fs::write(top.path().join(name).join(file), text).unwrap();
    };
    let server = |registry: &str| read(top.path(), registry).unwrap().server.map(|host| host.base);
    assert_eq!(read(top.path(), "a.io").unwrap(), Hosts::default());
    put("_default", FILE, "server = \"https://default\"");
    put("a.io", FILE, "server = \"https://a\"");
    put("b.io:5000", FILE, "server = \"https://b\"");
    put("c.io_5000_", FILE, "server = \"https://c\"");
    put("d.io", "ca.crt", "");
    put("d.io", "client.key", "");
    put("d.io", "client.cert", "");
    for (registry, expected) in [
        ("a.io", "https://a/v2"),
        ("b.io:5000", "https://b/v2"),
        ("c.io:5000", "https://c/v2"),
        ("x", "https://default/v2"),
    ] {
        assert_eq!(server(registry).as_deref(), Some(expected), "{registry}");
    }
    let docker = read(top.path(), "d.io").unwrap();
    let of = |file: &str| top.path().join("d.io").join(file);
    let identity = Identity { certificate: of("client.cert"), key: Some(of("client.key")) };
    let expected = Trust { certificates: vec![of("ca.crt")], skip_verify: false, identities: vec![identity] };
    assert_eq!((docker.server, docker.trust), (None, expected));
    put("a.io", FILE, "=");
    assert!(read(top.path(), "a.io").unwrap_err().contains("a.io/hosts.toml"));
}

#[test]
fn client_certificates_in_each_of_containerds_forms() {
    type Files<'a> = (&'a str, Option<&'a str>);
    let cases: [(&str, &[Files<'_>]); 5] = [
        ("\"one.pem\"", &[("/d/one.pem", None)]),
        ("[\"one.pem\", \"/two.pem\"]", &[("/d/one.pem", None), ("/two.pem", None)]),
        ("[[\"a.cert\", \"a.key\"], [\"/b.pem\", \"\"]]", &[("/d/a.cert", Some("/d/a.key")), ("/b.pem", None)]),
        ("[\"one.pem\", [\"a.cert\", \"/a.key\"]]", &[("/d/one.pem", None), ("/d/a.cert", Some("/a.key"))]),
        ("[]", &[]),
    ];
    for (text, expected) in cases {
        let hosts = parse(&format!("[host.\"https://a\"]\nclient = {text}"), Path::new("/d")).unwrap();
        let found = &hosts.mirrors[0].trust.identities;
        let identity = |(certificate, key): &(&str, Option<&str>)| Identity {
            certificate: certificate.into(),
            key: key.map(PathBuf::from),
        };
        assert_eq!(*found, expected.iter().map(identity).collect::<Vec<_>>(), "{text}");
    }
    let many = format!("server = \"https://a\"\nclient = [{}]", "\"x\",".repeat(17));
    assert!(parse(&many, Path::new("/d")).unwrap_err().contains("17 client certificates"));
}

#[test]
fn headers_are_those_of_their_host_and_secret() {
    let text = r#"
        server = "https://origin"
        [header]
          X-Own = "geheim"
        [host."https://mirror"]
        [host."https://mirror".header]
          authorization = "Basic geheim"
          x-many = ["geheim", "geheim2"]
    "#;
    let hosts = parse(text, Path::new("/d")).unwrap();
    let values = |headers: &HeaderMap, name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let (mirror, server) = (&hosts.mirrors[0].headers, &hosts.server.as_ref().unwrap().headers);
    assert_eq!(values(mirror, "authorization"), ["Basic geheim"]);
    assert_eq!(values(mirror, "x-many"), ["geheim", "geheim2"]);
    assert_eq!((mirror.len(), values(server, "x-own"), server.len()), (3, vec!["geheim".to_owned()], 1));
    assert!(!format!("{hosts:?}").contains("geheim"));
    let many: String = (0..33).map(|n| format!("x{n} = \"geheim\"\n")).collect();
    let err = parse(&format!("server = \"https://a\"\n[header]\n{many}"), Path::new("/d")).unwrap_err();
    assert!(err.contains("33 headers") && !err.contains("geheim"), "{err}");
}

#[test]
fn capabilities_say_who_is_asked_what() {
    let text = r#"
        server = "https://origin"
        capabilities = ["push", "referrers"]
        [host."https://all"]
        [host."https://pull"]
          capabilities = ["pull"]
        [host."https://none"]
          capabilities = []
    "#;
    let hosts = parse(text, Path::new("/d")).unwrap();
    let delivers = |abilities: Abilities| (abilities.can_deliver(false), abilities.can_deliver(true), abilities.push);
    let all: Vec<_> = hosts.mirrors.iter().chain(&hosts.server).map(|host| delivers(host.abilities)).collect();
    assert_eq!(all, [(true, true, true), (false, true, false), (false, false, false), (false, false, true)]);
}
