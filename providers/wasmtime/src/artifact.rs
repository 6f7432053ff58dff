//! Compiled code, loaded and linked.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wasmnode_provider_api::{Artifact, ArtifactKind, EngineName, Error, StartFailure};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::engine;
use crate::linked::{Linked, Linkers};

/// An engine and what is linked against it.
pub(crate) struct Host {
    name: EngineName,
    engine: Engine,
    id: wasmnode_provider_api::EngineId,
    linkers: Linkers,
}

/// Loaded code of either kind.
enum Code {
    Module(Module),
    Component(Component),
}

impl Host {
    pub(crate) fn new(name: EngineName, engine: Engine) -> Result<Self, wasmtime::Error> {
        let linkers = Linkers::new(&engine, name)?;
        Ok(Self { name, id: engine::id(&engine), engine, linkers })
    }

    pub(crate) fn name(&self) -> EngineName {
        self.name
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Loads and links an artifact. Blocks for the time of a few page faults.
    ///
    /// # Errors
    /// [`StartFailure`] of any kind.
    pub(crate) fn load(&self, artifact: &Artifact) -> Result<Linked, Error> {
        if artifact.engine != self.id {
            return Err(stale(format!("it is for engine {}, this is engine {}", artifact.engine, self.id)));
        }
        let code = self.code(artifact)?;
        match &code {
            Code::Module(module) => self.linkers.link_module(module),
            Code::Component(component) => self.linkers.link_component(component),
        }
    }

    fn code(&self, artifact: &Artifact) -> Result<Code, Error> {
        let file = open(&artifact.path)?;
        deserialize(&self.engine, file, artifact.kind).map_err(|error| {
            // The same file without a pool: what loads there is sound and exceeds a limit of the pool.
            let unlimited = engine::compiler(self.name).ok().zip(open(&artifact.path).ok());
            let sound = unlimited.is_some_and(|(engine, file)| deserialize(&engine, file, artifact.kind).is_ok());
            if sound { too_large(&error) } else { stale(format!("{}: {error:#}", artifact.path.display())) }
        })
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let describe = |e: std::io::Error| stale(format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(describe)?;
    let metadata = file.metadata().map_err(describe)?;
    if !metadata.is_file() || metadata.mode() & 0o022 != 0 {
        return Err(stale(format!("{} is not a regular file that only its owner may write", path.display())));
    }
    Ok(file)
}

/// Maps the code. The engine checks that it is of its own version and configuration, but trusts the rest.
fn deserialize(engine: &Engine, file: File, kind: ArtifactKind) -> Result<Code, wasmtime::Error> {
    match kind {
        ArtifactKind::Module => {
            // SAFETY: the file was made by `compile` of this build, as the engine id says that it is filed under,
            // in a directory of the agent's; `open` has checked that no other user can have written it. Whoever
            // can write it as its owner could replace this program as well.
            #[allow(unsafe_code)]
            let module = unsafe { Module::deserialize_open_file(engine, file) };
            module.map(Code::Module)
        }
        ArtifactKind::Component => {
            let path = std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)));
            // SAFETY: as above. The path names the file that was checked, not whatever took its name since.
            #[allow(unsafe_code)]
            let component = unsafe { Component::deserialize_file(engine, path) };
            component.map(Code::Component)
        }
    }
}

fn stale(message: String) -> Error {
    Error::Start(StartFailure::Stale(message))
}

fn too_large(error: &wasmtime::Error) -> Error {
    Error::Start(StartFailure::Invalid(format!("it exceeds what one instance may have on this node: {error:#}")))
}
