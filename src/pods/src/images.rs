//! Images as the worker wants them: ready to start, or with the kind of error that decides what happens next.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::SignedDuration;
use wasmnode_core::desired::PullPolicy;
use wasmnode_core::pod::{PullError, PullErrorKind};
use wasmnode_images::{Engines, Image, ImageError, Images, Program, Reference, Request};
use wasmnode_provider_api::{Artifact, ArtifactKind, EngineId, EngineName, Target};

use crate::credentials::Keyring;

/// An image that is ready to start.
#[derive(Clone)]
pub struct PulledImage {
    /// `registry/repository@sha256:…`.
    pub image_id: String,
    /// Bytes of the image.
    pub size_bytes: u64,
    /// Time for pulling, and all that the pod waited, compiling included; none: it was present.
    pub timing: Option<(SignedDuration, SignedDuration)>,
    /// Its compiled code, or why nothing of it can be started with the container's command.
    pub artifact: Result<Artifact, String>,
    /// Its root file system, if it has one: each run gets a copy.
    pub root: Option<PathBuf>,
    /// argv\[0\] where neither pod nor image names a command.
    pub title: String,
    /// argv that a pod's `command` replaces; empty for plain wasm artifacts.
    pub entrypoint: Vec<String>,
    /// argv that a pod's `args` replace.
    pub cmd: Vec<String>,
    /// `NAME=value`; the pod's own variables win.
    pub env: Vec<String>,
    /// Working directory, if the image has one.
    pub working_dir: Option<String>,
    /// While it lives, the code stays on disk.
    pub lease: Arc<dyn Any + Send + Sync>,
}

/// What is wanted of an image.
#[derive(Clone, Copy)]
pub struct PullRequest<'a> {
    /// As the pod names it.
    pub image: &'a str,
    /// When its registry is asked.
    pub policy: PullPolicy,
    /// The pod's credentials.
    pub keyring: &'a Keyring,
    /// The container's command, with variables replaced: it may name the file that runs.
    pub command: &'a [String],
    /// The container's arguments, with variables replaced.
    pub args: &'a [String],
    /// Where the file is looked for, as the container's environment says; none: as the image's does.
    pub path: Option<&'a str>,
    /// What its code is compiled for; none: the node's own engines.
    pub target: Option<&'a Target>,
}

/// Where images come from.
#[async_trait]
pub trait Puller: Send + Sync + 'static {
    /// Before each start of a container: resolves, pulls by policy, compiles for the target. `on_pulling` is called when the
    /// content of an image that this node can run begins to be read from its registry, at most once.
    async fn ensure(
        &self,
        request: PullRequest<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<PulledImage, PullError>;

    /// When a provider cannot load the code: compiles anew what is on disk, for the same target.
    async fn recompile(&self, image: &str, stale: &PulledImage) -> Result<PulledImage, PullError>;
}

#[async_trait]
impl Puller for Images {
    async fn ensure(
        &self,
        request: PullRequest<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<PulledImage, PullError> {
        let reference = reference(request.image)?;
        let target = request.target.map(target).transpose()?;
        let credentials = request.keyring.for_image(reference.registry(), reference.repository());
        let request = Request {
            reference: &reference,
            policy: policy(request.policy),
            credentials: &credentials,
            command: request.command,
            args: request.args,
            path: request.path,
        };
        let began = Instant::now();
        let pulled = self.for_target(target.as_ref()).ensure_announced(&request, on_pulling).await;
        let mut image = from_image(&pulled.map_err(|e| error(&e))?)?;
        // Compiling is part of what the pod waited for.
        image.timing = image.timing.map(|(pull, _)| (pull, signed(began.elapsed()).max(pull)));
        Ok(image)
    }

    async fn recompile(&self, image: &str, stale: &PulledImage) -> Result<PulledImage, PullError> {
        let Some(stale) = stale.lease.downcast_ref::<Image>() else {
            let message = format!("image {image:?} is not at hand any more");
            return Err(PullError { kind: PullErrorKind::Failed, message });
        };
        from_image(&self.compile_again(stale).await.map_err(|e| error(&e))?)
    }
}

fn reference(image: &str) -> Result<Reference, PullError> {
    Reference::parse(image).map_err(|e| PullError {
        kind: PullErrorKind::InvalidName,
        message: format!("Failed to apply default image tag {image:?}: {e}"),
    })
}

fn target(target: &Target) -> Result<wasmnode_images::Target, PullError> {
    let id = |name| target.engines.iter().find(|engine| engine.name == name).map(|engine| engine.id.to_string());
    let base = id(EngineName::Base).ok_or_else(|| PullError {
        kind: PullErrorKind::Failed,
        message: "the process that the pod runs in has no engine to compile for".to_owned(),
    })?;
    let engines = Engines { base, wasip3: id(EngineName::Wasip3) };
    Ok(wasmnode_images::Target { engines, program: target.compiler.clone() })
}

fn policy(policy: PullPolicy) -> wasmnode_images::PullPolicy {
    match policy {
        PullPolicy::Always => wasmnode_images::PullPolicy::Always,
        PullPolicy::IfNotPresent => wasmnode_images::PullPolicy::IfNotPresent,
        PullPolicy::Never => wasmnode_images::PullPolicy::Never,
    }
}

fn error(error: &ImageError) -> PullError {
    let kind = if error.is_not_wasm() {
        PullErrorKind::NotWasm
    } else if error.is_never_pull() {
        PullErrorKind::NeverPull
    } else {
        PullErrorKind::Failed
    };
    PullError { kind, message: error.to_string() }
}

fn from_image(image: &Image) -> Result<PulledImage, PullError> {
    let artifact = match &image.program {
        Ok(program) => Ok(artifact(program)?),
        Err(why) => Err(why.to_string()),
    };
    Ok(PulledImage {
        image_id: image.image_id.clone(),
        size_bytes: image.size_bytes,
        timing: image.pulled.map(|timing| (signed(timing.pull), signed(timing.waiting_included))),
        artifact,
        root: image.root.clone(),
        title: image.title.clone().unwrap_or_else(|| image.reference.title_fallback()),
        entrypoint: image.config.entrypoint.clone(),
        cmd: image.config.cmd.clone(),
        env: image.config.env.clone(),
        working_dir: image.config.working_dir.clone(),
        lease: Arc::new(image.clone()),
    })
}

fn artifact(program: &Program) -> Result<Artifact, PullError> {
    let engine = EngineId::new(program.engine_id.clone())
        .map_err(|e| PullError { kind: PullErrorKind::Failed, message: e.to_string() })?;
    Ok(Artifact {
        digest: program.wasm_digest.to_string(),
        engine,
        engine_name: match program.engine {
            wasmnode_images::Engine::Base => EngineName::Base,
            wasmnode_images::Engine::Wasip3 => EngineName::Wasip3,
        },
        kind: match program.kind {
            wasmnode_images::Kind::Module => ArtifactKind::Module,
            wasmnode_images::Kind::Component => ArtifactKind::Component,
        },
        path: program.code.clone(),
    })
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmnode_provider_api::Engine;

    use super::*;

    #[test]
    fn kinds_of_errors() {
        let image = || "example.com/a:1".to_owned();
        let cases = [
            (
                ImageError::NotWasm { image: image(), what: "for linux/amd64, not WebAssembly".into() },
                PullErrorKind::NotWasm,
            ),
            (ImageError::Never { image: image() }, PullErrorKind::NeverPull),
            (ImageError::Pull { image: image(), detail: "x".into() }, PullErrorKind::Failed),
            (ImageError::Compile { image: image(), detail: "x".into() }, PullErrorKind::Failed),
        ];
        for (from, kind) in cases {
            assert_eq!(error(&from).kind, kind, "{from}");
        }
    }

    #[test]
    fn code_is_made_for_the_engines_of_the_target() {
        let engine = |name, digit: &str| Engine { name, id: EngineId::new(digit.repeat(64)).unwrap() };
        let (base, wasip3) = (engine(EngineName::Base, "a"), engine(EngineName::Wasip3, "b"));
        let of = |engines: &[Engine]| target(&Target { engines: engines.to_vec(), compiler: "/old".into() });
        let found = of(&[wasip3.clone(), base]).unwrap();
        assert_eq!((found.engines.base, found.engines.wasip3), ("a".repeat(64), Some("b".repeat(64))));
        assert_eq!(found.program, PathBuf::from("/old"));
        assert_eq!(of(&[wasip3]).unwrap_err().kind, PullErrorKind::Failed);
    }

    #[test]
    fn invalid_names_read_as_the_kubelets() {
        let error = reference("A b").unwrap_err();
        assert_eq!(error.kind, PullErrorKind::InvalidName);
        let expected = "Failed to apply default image tag \"A b\": couldn't parse image name \"A b\": ";
        assert!(error.message.starts_with(expected), "{}", error.message);
    }
}
