//! Environment variables that tell a container where Services are (kubelet contract section 4.14). The Docker-style
//! names are part of the contract: programs find the API server by `KUBERNETES_SERVICE_HOST`.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// Service of the API server, which every pod is told about.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// Variables of `default/kubernetes` and, with `links`, of every Service of the namespace that has a cluster address.
/// Services of other namespaces are passed over.
pub fn variables<S: Borrow<Service>>(services: &[S], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let mut chosen = BTreeMap::new();
    // The namespace's own after the API server's: one of the same name takes its place.
    for own in [false, true] {
        for service in services.iter().map(Borrow::borrow) {
            let meta = &service.metadata;
            let key = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
            let wanted = if own { links && key.0 == namespace } else { key == MASTER };
            if let Some(address) = Address::of(service).filter(|_| wanted) {
                chosen.insert(key.1, address);
            }
        }
    }
    chosen.into_iter().flat_map(|(name, address)| address.variables(name)).collect()
}

/// Where a Service answers.
struct Address<'a> {
    ip: &'a str,
    ports: &'a [ServicePort],
}

impl<'a> Address<'a> {
    /// None for headless Services, external names, and those without a port.
    fn of(service: &'a Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let ip = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None")?;
        let ports = spec.ports.as_deref().filter(|ports| !ports.is_empty())?;
        Some(Self { ip, ports })
    }

    fn variables(&self, service: &str) -> Vec<(String, String)> {
        let prefix = variable_name(service);
        let mut all = vec![(format!("{prefix}_SERVICE_HOST"), self.ip.to_owned())];
        if let Some(first) = self.ports.first() {
            all.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
            all.push((format!("{prefix}_PORT"), self.url(first)));
        }
        for port in self.ports {
            if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                all.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
            }
            all.extend(self.link(&prefix, port));
        }
        all
    }

    fn link(&self, prefix: &str, port: &ServicePort) -> [(String, String); 4] {
        let protocol = protocol(port);
        let link = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        [
            (format!("{link}_PROTO"), protocol.to_lowercase()),
            (format!("{link}_PORT"), port.port.to_string()),
            (format!("{link}_ADDR"), self.ip.to_owned()),
            (link, self.url(port)),
        ]
    }

    fn url(&self, port: &ServicePort) -> String {
        let host = if self.ip.contains(':') { format!("[{}]", self.ip) } else { self.ip.to_owned() };
        format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port)
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(namespace: &str, name: &str, ip: &str, ports: &Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": ip, "ports": ports},
        }))
        .expect("a service")
    }

    fn services() -> Vec<Service> {
        let https = json!([{"name": "https", "port": 443, "protocol": "TCP"}]);
        vec![
            service("default", "kubernetes", "10.96.0.1", &https),
            service("default", "other", "10.96.0.2", &https),
            service("ns", "my-db", "fd00::7", &json!([{"port": 53, "protocol": "UDP"}, {"name": "a-b", "port": 80}])),
            service("ns", "headless", "None", &https),
            service("ns", "external", "", &https),
            service("ns", "portless", "10.96.0.3", &json!([])),
        ]
    }

    fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const KUBERNETES: [(&str, &str); 8] = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
        ("KUBERNETES_PORT_443_TCP_PORT", "443"),
        ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
    ];

    #[test]
    fn without_links_only_the_api_server() {
        assert_eq!(variables(&services(), "ns", false), pairs(&KUBERNETES));
        assert_eq!(variables(&services(), "default", false), pairs(&KUBERNETES));
    }

    #[test]
    fn with_links_the_services_of_the_namespace_that_have_an_address() {
        let mut expected = pairs(&KUBERNETES);
        expected.extend(pairs(&[
            ("MY_DB_SERVICE_HOST", "fd00::7"),
            ("MY_DB_SERVICE_PORT", "53"),
            ("MY_DB_SERVICE_PORT_A_B", "80"),
            ("MY_DB_PORT", "udp://[fd00::7]:53"),
            ("MY_DB_PORT_53_UDP", "udp://[fd00::7]:53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_ADDR", "fd00::7"),
            ("MY_DB_PORT_80_TCP", "tcp://[fd00::7]:80"),
            ("MY_DB_PORT_80_TCP_PROTO", "tcp"),
            ("MY_DB_PORT_80_TCP_PORT", "80"),
            ("MY_DB_PORT_80_TCP_ADDR", "fd00::7"),
        ]));
        assert_eq!(variables(&services(), "ns", true), expected);
    }

    #[test]
    fn a_namespaces_own_kubernetes_takes_the_place_of_the_api_servers() {
        let mut all = vec![service("ns", "kubernetes", "10.96.9.9", &json!([{"port": 1}]))];
        all.extend(services());
        let found = variables(&all, "ns", true);
        assert_eq!(found.get("KUBERNETES_SERVICE_HOST").map(String::as_str), Some("10.96.9.9"));
        assert_eq!(found.get("KUBERNETES_PORT_443_TCP"), None);
    }
}
