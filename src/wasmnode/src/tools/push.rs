//! A file of wasm to a registry, with the credentials that `docker login` or `podman login` left.

use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use wasmnode_images::{Credential, Reference};
use wasmnode_pods::Keyring;

use super::Bench;
use super::args::PushArgs;
use crate::exit::Failure;

/// The largest file of credentials that is read, bytes.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// Pushes, and says under which name it can be had for ever.
pub(super) async fn push(args: &PushArgs) -> Result<String, Failure> {
    let reference = Reference::parse(&args.image).map_err(|error| Failure::Usage(error.to_string()))?;
    let wasm = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let title = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let bench = Bench::new(&args.store).await?;
    let images = &bench.cache.open().await?.images;
    let credentials = |host: &str| user_keyring().for_image(host, reference.repository());
    let pushed = images.push(&wasm, title.as_deref(), &reference, credentials).await;
    let digest = pushed.map_err(anyhow::Error::from)?;
    Ok(format!("{}/{}@{digest}\n", reference.registry(), reference.repository()))
}

/// Those of the user for a registry; what cannot be read is as if it were not there: the image may be public.
pub(crate) fn credentials(reference: &Reference) -> Vec<Credential> {
    user_keyring().for_image(reference.registry(), reference.repository())
}

/// Everything that the user is logged in to. Credentials in a helper of the desktop are not read.
pub(crate) fn user_keyring() -> Keyring {
    let mut keyring = Keyring::default();
    for path in files() {
        let small = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_CREDENTIALS);
        if let Some(bytes) = small.then(|| std::fs::read(&path).ok()).flatten() {
            let data = [(".dockerconfigjson".to_owned(), ByteString(bytes))].into();
            keyring.add_secret(&Secret { data: Some(data), ..Secret::default() });
        }
    }
    keyring
}

/// podman's file, then docker's.
fn files() -> Vec<PathBuf> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
    [path("REGISTRY_AUTH_FILE"), docker.map(|directory| directory.join("config.json"))].into_iter().flatten().collect()
}
