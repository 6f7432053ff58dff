#![allow(clippy::unwrap_used)]

use super::*;

fn parsed(text: &str) -> Result<NodeConfiguration, ConfigError> {
    let file = parse(Path::new("node.yaml"), text)?;
    check::file(&file)?;
    Ok(file)
}

fn refusal(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parsed("").unwrap(), NodeConfiguration::default());
    assert_eq!(parsed("# nothing\n").unwrap(), NodeConfiguration::default());
}

#[test]
fn what_is_shown_means_the_same() {
    let text = "port: 10260\nnodeLabels: {team: edge}\nwasip3: off\nlogging: {format: json, verbosity: 4}\n\
                compile: {jobs: 2, timeout: 1m}\nkubeReserved: {cpu: 500m}\ncontainerLogMaxSize: 1Mi\n";
    let file = parsed(text).unwrap();
    assert_eq!(file.wasip3, sections::Switch::Off);
    let config =
        Config { file, node_name: "n".to_owned(), node_ip: None, root_dir: PathBuf::from("/r"), kubeconfig: None };
    assert_eq!(parsed(&config.to_yaml()).unwrap(), config.file);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = refusal("port: 10260\nmaxpods: 3\n");
    assert!(message.starts_with("configuration node.yaml, line 2: "), "{message}");
    assert!(message.contains("maxpods"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    let message = refusal("compile:\n  jobs: 1\n  speed: 9\n");
    assert!(message.contains("line 3") && message.contains("speed"), "{message}");
}

#[test]
fn values_out_of_range_name_their_field() {
    let cases = [
        ("port: 0", "port"),
        ("tlsCertFile: /a", "tlsCertFile"),
        ("containerLogMaxFiles: 1", "containerLogMaxFiles"),
        ("nodeStatusMaxImages: -2", "nodeStatusMaxImages"),
        ("nodeStatusUpdateFrequency: 0s", "nodeStatusUpdateFrequency"),
        ("kubeReserved: {disk: 1}", "kubeReserved"),
        ("systemReserved: {cpu: lots}", "systemReserved"),
        ("podLogsDir: logs", "podLogsDir"),
        ("compile: {nice: 20}", "compile.nice"),
        ("crashLoopBackOff: {maxContainerRestartPeriod: 10m}", "maxContainerRestartPeriod"),
        ("registerWithTaints: [{key: 'a b', effect: NoSchedule}]", "registerWithTaints"),
        ("nodeLabels: {node-role.kubernetes.io/edge: ''}", "nodeLabels"),
        ("maxModuleSize: 1Gi\nimageStoreSizeLimit: 1Mi", "imageStoreSizeLimit"),
    ];
    for (text, field) in cases {
        let message = refusal(text);
        assert!(message.contains(field), "{text}: {message}");
    }
}

#[test]
fn values_of_the_wrong_form_are_refused_with_their_line() {
    for text in [
        "\nnodeStatusUpdateFrequency: 10",
        "\nport: 70000",
        "\nmaxModuleSize: -1",
        "\nwasip3: maybe",
        "\nkind: KubeletConfiguration",
        "\nregisterWithTaints: [{key: a, effect: Sometimes}]",
        "\nport: 1\nport: 2",
    ] {
        let message = refusal(text);
        assert!(message.contains(", line "), "{text}: {message}");
    }
}

#[test]
fn node_addresses_must_be_reachable() {
    for text in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.0.1", "::1", "fe80::1"] {
        assert!(check::node_ip(text.parse().unwrap()).is_err(), "{text}");
    }
    assert!(check::node_ip("172.30.0.2".parse().unwrap()).is_ok());
}

#[test]
fn node_names_are_lowered_and_checked() {
    assert_eq!(check::node_name(Some(" Wasm-1.Example ".to_owned())).unwrap(), "wasm-1.example");
    assert!(check::node_name(Some("wasm_1".to_owned())).is_err());
}

#[test]
fn the_default_taints_are_those_of_the_core() {
    let ours = NodeConfiguration::default().register_with_taints;
    let ours: Vec<_> =
        ours.iter().map(|t| (t.key.clone(), Some(t.value.clone()), t.effect.as_str().to_owned())).collect();
    let core: Vec<_> = wasmnode_core::node::default_taints().into_iter().map(|t| (t.key, t.value, t.effect)).collect();
    assert_eq!(ours, core);
}
