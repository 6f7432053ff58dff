//! Registries as operators run them: with passwords, with their own authority, behind a mirror. And that a password
//! stays between a Secret and its registry.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use wasmnode_tests::{
    agent::Agent,
    eventually::eventually,
    guests, netns,
    registry::{Artifact, Authority, Registry, RegistryOptions},
    suite::{Namespace, Scene},
};

use crate::support::{
    PATIENCE, container, ended, event, exit_of, first, logs, node_events, phase, pod, wait_within, waiting,
};

const PULL: &[&str] = &["ErrImagePull", "ImagePullBackOff"];

const USER: &str = "ann";
/// Looked for in everything that an agent writes: they occur nowhere else.
const PASSWORD: &str = "geheim-kuf7-oNq2";
const WRONG_PASSWORD: &str = "falsch-2xTq-91vr";

/// `auths` of both kinds of Secret.
enum Kind {
    DockerConfigJson,
    DockerCfg,
}

/// A directory of one case, below the shared one.
fn directory(scene: &Scene, name: &str) -> Result<PathBuf> {
    let path = scene.world().scratch().join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

async fn private_registry(scene: &Scene, name: &str) -> Result<Registry> {
    let user = Some((USER.to_owned(), PASSWORD.to_owned()));
    let directory = directory(scene, name)?.join("blobs");
    Registry::start(RegistryOptions { directory, user, ..RegistryOptions::default() }).await
}

/// As `docker login` writes it: name and password in one field.
fn auth(password: &str) -> Value {
    json!({ "auth": STANDARD.encode(format!("{USER}:{password}")) })
}

async fn pull_secret(namespace: &Namespace, name: &str, kind: Kind, auths: Value) -> Result<()> {
    let (kind, key, content) = match kind {
        Kind::DockerConfigJson => ("dockerconfigjson", ".dockerconfigjson", json!({ "auths": auths })),
        Kind::DockerCfg => ("dockercfg", ".dockercfg", auths),
    };
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name },
        "type": format!("kubernetes.io/{kind}"),
        "stringData": { key: content.to_string() },
    });
    namespace.apply(&secret).await?;
    Ok(())
}

/// A pod that runs its containers once, with these pull secrets and that policy.
fn with_secrets(name: &str, agent: &Agent, mut containers: Value, secrets: &[&str], policy: &str) -> Value {
    for container in containers.as_array_mut().into_iter().flatten() {
        container["imagePullPolicy"] = json!(policy);
    }
    let secrets: Vec<_> = secrets.iter().map(|name| json!({ "name": name })).collect();
    pod(name, Some(agent), containers, json!({ "restartPolicy": "Never", "imagePullSecrets": secrets }))
}

/// The whole message of a pull that the registry refused, as status and event have it.
fn refusal(image: &str, said: &str) -> String {
    format!("failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {said}")
}

/// Applies a pod and expects its pull to fail with this message.
async fn refused(namespace: &Namespace, object: &Value, image: &str, message: &str) -> Result<()> {
    let name = object["metadata"]["name"].as_str().context("no name")?.to_owned();
    namespace.apply(object).await?;
    let (reason, said) = waiting(namespace, &name, PULL).await?;
    let wanted = match reason.as_str() {
        "ErrImagePull" => message.to_owned(),
        _ => format!("Back-off pulling image \"{image}\": ErrImagePull: {message}"),
    };
    ensure!(said == wanted, "{name}: {reason}: {said}\ninstead of\n{wanted}");
    event(namespace, &name, "Failed", &format!("Failed to pull image \"{image}\": {message}")).await?;
    event(namespace, &name, "Failed", "Error: ErrImagePull").await
}

/// Scenario 10 of Krustlet's, with two repositories, and both kinds of Secret.
pub(crate) async fn two_images_of_a_private_registry_run_in_one_pod(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({ "logging": { "verbosity": 10 } })).await?;
    let (namespace, registry) = (scene.namespace().await?, private_registry(&scene, "private-pair").await?);
    let first_image = registry.push("team/one", "v1", &Artifact::cncf(guests::tool()?)).await?;
    let second_image = registry.push("team/two", "v1", &Artifact::cncf(guests::wat("hello")?)).await?;

    let whole = json!({ registry.address(): auth(PASSWORD) });
    pull_secret(&namespace, "whole", Kind::DockerConfigJson, whole).await?;
    // The more special path is tried first, and what it has is of no use.
    let parts = json!({
        format!("https://{}/team/two", registry.address()): auth(WRONG_PASSWORD),
        format!("{}/team", registry.address()): { "username": USER, "password": PASSWORD },
    });
    pull_secret(&namespace, "parts", Kind::DockerCfg, parts).await?;

    for secrets in [&["whole"][..], &["parts"], &["absent", "whole"]] {
        let name = secrets.join("-");
        let containers = json!([container("one", &first_image, &["print eins"]), container("two", &second_image, &[])]);
        namespace.apply(&with_secrets(&name, &agent, containers, secrets, "Always")).await?;
        let pod = ended(&namespace, &name).await?;
        ensure!(phase(&pod) == "Succeeded", "{name}: {:?}", pod.status);
        for (container, text) in [("one", "eins\n"), ("two", "hello from wasm!\n")] {
            let log = namespace.kubectl().ok(&["logs", &name, "-c", container]).await?;
            ensure!(log == text, "{name} {container}: {log}");
        }
    }
    let text = "Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed.";
    event(&namespace, "absent-whole", "FailedToRetrieveImagePullSecret", text).await?;
    keeps_passwords_to_itself(&agent, &namespace, &["whole", "parts", "absent-whole"]).await
}

pub(crate) async fn a_private_image_on_the_node_stays_private(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({ "logging": { "verbosity": 10 } })).await?;
    let (namespace, registry) = (scene.namespace().await?, private_registry(&scene, "private-shared").await?);
    let image = registry.push("team/app", "v1", &Artifact::cncf(guests::wat("hello")?)).await?;
    let secret = async |name: &str, password: &str| {
        let auths = json!({ registry.address(): auth(password) });
        pull_secret(&namespace, name, Kind::DockerConfigJson, auths).await
    };
    secret("right", PASSWORD).await?;
    secret("wrong", WRONG_PASSWORD).await?;
    let of = |name: &str, secrets: &[&str], policy: &str| {
        with_secrets(name, &agent, json!([container("main", &image, &[])]), secrets, policy)
    };

    namespace.apply(&of("owner", &["right"], "IfNotPresent")).await?;
    ensure!(exit_of(&ended(&namespace, "owner").await?)?.0 == 0);
    event(&namespace, "owner", "Pulled", &format!("Successfully pulled image \"{image}\" in ")).await?;

    let nobody = refusal(&image, "authorization failed: no basic auth credentials");
    refused(&namespace, &of("stranger", &[], "IfNotPresent"), &image, &nobody).await?;
    let wrong = "pull access denied, repository does not exist or may require authorization: server message: \
        401 Unauthorized: UNAUTHORIZED: authentication required";
    refused(&namespace, &of("impostor", &["wrong"], "IfNotPresent"), &image, &refusal(&image, wrong)).await?;

    namespace.apply(&of("never", &[], "Never")).await?;
    let (_, message) = waiting(&namespace, "never", &["ErrImageNeverPull"]).await?;
    let absent = format!("Container image \"{image}\" is not present with pull policy of Never");
    ensure!(message == absent, "{message}");
    event(&namespace, "never", "ErrImageNeverPull", &message).await?;

    // Whoever shows the credentials that it was pulled with needs the registry no more.
    registry.stop().await?;
    for policy in ["IfNotPresent", "Never"] {
        let name = format!("friend-{}", policy.to_lowercase());
        namespace.apply(&of(&name, &["right"], policy)).await?;
        ensure!(exit_of(&ended(&namespace, &name).await?)?.0 == 0, "{name}");
        let text = format!("Container image \"{image}\" already present on machine and can be accessed by the pod");
        event(&namespace, &name, "Pulled", &text).await?;
    }
    keeps_passwords_to_itself(&agent, &namespace, &["owner", "stranger", "impostor", "never"]).await
}

pub(crate) async fn a_registry_with_its_own_authority_is_trusted_by_hosts_toml(scene: Scene) -> Result<()> {
    let files = directory(&scene, "private-tls")?;
    let hosts = files.join("certs.d");
    fs::create_dir_all(&hosts)?;
    let agent = scene.own_agent(json!({ "registryConfigDir": hosts, "logging": { "verbosity": 10 } })).await?;
    let namespace = scene.namespace().await?;

    // What is pushed in the clear is pulled with TLS. The address is not loopback's, which needs none.
    let blobs = files.join("blobs");
    let open = Registry::start(RegistryOptions { directory: blobs.clone(), ..RegistryOptions::default() }).await?;
    open.push("team/app", "v1", &Artifact::cncf(guests::wat("hello")?)).await?;
    let authority = Authority::create(&files.join("authority"))?;
    let registry = Registry::start(RegistryOptions {
        directory: blobs,
        address: Some(format!("{}:0", netns::CONTROL_PLANE)),
        user: Some((USER.to_owned(), PASSWORD.to_owned())),
        tls: Some(authority.issue(netns::CONTROL_PLANE)?),
        ..RegistryOptions::default()
    })
    .await?;
    let image = registry.image("team/app", "v1");

    let auths = json!({ registry.address(): auth(PASSWORD) });
    pull_secret(&namespace, "right", Kind::DockerConfigJson, auths).await?;
    namespace
        .apply(&with_secrets("app", &agent, json!([container("main", &image, &[])]), &["right"], "Always"))
        .await?;
    let (_, message) = waiting(&namespace, "app", PULL).await?;
    ensure!(message.contains("certificate"), "{message}");

    // It is read at each pull: the pod recovers by itself.
    let own = hosts.join(registry.address());
    fs::create_dir_all(&own)?;
    fs::copy(authority.certificate(), own.join("ca.pem"))?;
    fs::write(own.join("hosts.toml"), format!("server = \"https://{}\"\nca = \"ca.pem\"\n", registry.address()))?;
    ensure!(exit_of(&ended(&namespace, "app").await?)?.0 == 0);
    ensure!(logs(&namespace, "app").await? == "hello from wasm!\n");
    keeps_passwords_to_itself(&agent, &namespace, &["app"]).await
}

pub(crate) async fn a_mirror_stands_in_and_cannot_lie(scene: Scene) -> Result<()> {
    let files = directory(&scene, "mirrored")?;
    let hosts = files.join("certs.d/registry.invalid");
    fs::create_dir_all(&hosts)?;
    let agent = scene.own_agent(json!({ "registryConfigDir": files.join("certs.d") })).await?;
    let namespace = scene.namespace().await?;
    let start = async |name: &str, proxy: Option<String>| {
        Registry::start(RegistryOptions { directory: files.join(name), proxy, ..RegistryOptions::default() }).await
    };
    let upstream = start("upstream", None).await?;
    let mirror = start("mirror", Some(format!("http://{}", upstream.address()))).await?;
    // Nothing listens on the first one, and the registry's own name leads nowhere.
    let text = format!(
        "server = \"https://registry.invalid\"\n[host.\"http://{}:1\"]\n[host.\"http://{}\"]\n\
         capabilities = [\"pull\", \"resolve\"]\n",
        Ipv4Addr::LOCALHOST,
        mirror.address()
    );
    fs::write(hosts.join("hosts.toml"), text)?;
    let of = |name: &str, image: &str| {
        with_secrets(name, &agent, json!([container("main", image, &[])]), &[], "IfNotPresent")
    };

    let artifact = Artifact::cncf(guests::wat("hello")?);
    upstream.push("team/app", "v1", &artifact).await?;
    namespace.apply(&of("mirrored", "registry.invalid/team/app:v1")).await?;
    let pod = ended(&namespace, "mirrored").await?;
    ensure!(logs(&namespace, "mirrored").await? == "hello from wasm!\n");
    let id = first(&pod).map(|status| status.image_id.clone()).unwrap_or_default();
    ensure!(id == format!("registry.invalid/team/app@{}", artifact.digest()), "{id}");

    let mut wasm = guests::wat("exit-42")?;
    // Of its own, so that nothing else has it.
    wasm.extend([0, 6, 1, b'm', 1, 2, 3, 4]);
    let lie = Artifact::cncf(wasm);
    let digest = lie.layers[0].digest();
    upstream.push("team/lie", "v1", &lie).await?;
    ensure!(mirror.client()?.blob("team/lie", &digest).await? == lie.layers[0].content);
    // It keeps what it was asked for, in a while.
    eventually(PATIENCE, "the mirror's copy", || async {
        mirror.tamper(&digest, |content| content.reverse())?;
        Ok(())
    })
    .await?;
    namespace.apply(&of("lied-to", "registry.invalid/team/lie:v1")).await?;
    waiting(&namespace, "lied-to", &["ImagePullBackOff"]).await?;
    let log = fs::read_to_string(agent.log())?;
    ensure!(log.contains("A mirror did not deliver") && log.contains("digest"), "{}", agent.log_tail());

    // Once it tells the truth, the pod runs.
    mirror.tamper(&digest, |content| content.reverse())?;
    let ran = |pod: &_| matches!(phase(pod), "Succeeded" | "Failed");
    let pod = wait_within(Duration::from_secs(90), &namespace, "lied-to", "run", ran).await?;
    ensure!(exit_of(&pod)?.0 == 42);
    Ok(())
}

/// Neither password, in no usual form, is in what the agent wrote or told the cluster.
async fn keeps_passwords_to_itself(agent: &Agent, namespace: &Namespace, pods: &[&str]) -> Result<()> {
    let encoded = |password| STANDARD.encode(format!("{USER}:{password}"));
    let secrets = [PASSWORD.to_owned(), WRONG_PASSWORD.to_owned(), encoded(PASSWORD), encoded(WRONG_PASSWORD)]
        .map(String::into_bytes);
    let own = agent.log().parent().context("the agent has no directory")?.to_owned();
    let leaks = files_with(&own, &secrets)?;
    ensure!(leaks.is_empty(), "a password is in {leaks:?}");
    // The search would find what is there.
    let known = files_with(&own, &[namespace.name().as_bytes().to_vec()])?;
    ensure!(known.contains(&agent.log()) && known.len() > 1, "{known:?}");
    for name in pods {
        let status = serde_json::to_vec(&namespace.pods().get(name).await?.status)?;
        ensure!(!has_one(&status, &secrets), "a password is in the status of {name}");
        for event in node_events(namespace, name).await? {
            let message = event.message.unwrap_or_default();
            ensure!(!has_one(message.as_bytes(), &secrets), "a password is in an event of {name}: {message}");
        }
    }
    Ok(())
}

fn has_one(bytes: &[u8], texts: &[Vec<u8>]) -> bool {
    texts.iter().any(|text| memchr::memmem::find(bytes, text).is_some())
}

/// Files below a directory that have one of the texts in them.
fn files_with(directory: &Path, texts: &[Vec<u8>]) -> Result<Vec<PathBuf>> {
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if fs::read(entry.path()).is_ok_and(|content| has_one(&content, texts)) {
                // Links of logs may lead to what is gone.
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
