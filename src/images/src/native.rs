//! From stored wasm to machine code on disk, at most once per content and engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::compile::{Job, JobError};
use crate::digest::Digest;
use crate::ensure::Inner;
use crate::error::{DiskContext, DiskError, ImageError};
use crate::image::Engine;
use crate::reference::Reference;
use crate::store::{CodeKey, Pin, Source, blocking};

/// Code that is on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    /// Of the compiled file.
    pub(crate) digest: Digest,
    /// None if it was there already.
    pub(crate) took: Option<Duration>,
}

/// What is to be compiled, and by whom.
pub(crate) struct Wanted {
    pub(crate) key: CodeKey,
    pub(crate) engine: Engine,
    /// The program that has this engine.
    pub(crate) compiler: PathBuf,
    pub(crate) source: Source,
}

/// Why there is no code. Names no image: several may share the wasm.
#[derive(Debug, Clone)]
pub(crate) enum CodeError {
    Damaged(Digest),
    Invalid(String),
    Failed(String),
    Disk(String),
}

/// Finds or compiles. The caller has pinned wasm and code.
pub(crate) async fn code(inner: Arc<Inner>, wanted: Wanted) -> Result<Coded, CodeError> {
    let Wanted { ref key, engine, .. } = wanted;
    if let Some(record) = inner.store.code(key).await? {
        return Ok(Coded { digest: record.digest, took: None });
    }
    if let Some(why) = inner.invalid.get(key) {
        return Err(CodeError::Invalid(why));
    }
    let waiting = inner.counters.compiles.wait();
    let _turn = inner.compiler.turn().await;
    drop(waiting);
    let _running = inner.counters.compiles.run();
    let started = Instant::now();
    let result = compile(&inner, &wanted).await;
    inner.counters.compiles.done(result.is_ok(), started.elapsed());
    if let Err(CodeError::Invalid(why)) = &result {
        inner.invalid.insert(key.clone(), why.clone());
    }
    let digest = result?;
    let took = started.elapsed();
    tracing::info!(wasm = %key.wasm, engine = engine.name(), ?took, "Compiled");
    Ok(Coded { digest, took: Some(took) })
}

async fn compile(inner: &Inner, wanted: &Wanted) -> Result<Digest, CodeError> {
    let Wanted { key, engine, compiler, source } = wanted;
    let (store, source, digest) = (Arc::clone(&inner.store), source.clone(), key.wasm);
    let wasm = blocking(move || store.open_verified_source(&source, digest)).await?;
    let wasm = wasm.ok_or(CodeError::Damaged(digest))?;
    inner.store.intend([Pin::Code(key.clone())]).await?;
    let (store, owned) = (Arc::clone(&inner.store), key.clone());
    let (temp, output) = blocking(move || {
        let temp = store.temp_code(&owned)?;
        let output = temp.as_file().try_clone().at("open", temp.path())?;
        Ok((temp, output))
    })
    .await?;
    Job { config: inner.compiler.config(), program: compiler, engine: *engine, wasm, output }.run().await?;
    let length = temp.as_file().metadata().at("read", temp.path())?.len();
    if length == 0 {
        return Err(CodeError::Failed("the compiler wrote nothing".to_owned()));
    }
    Ok(inner.store.put_code(key.clone(), temp).await?.digest)
}

// === impl CodeError ===

impl CodeError {
    /// The same as the reason why `reference` cannot be used.
    pub(crate) fn about(self, reference: &Reference) -> ImageError {
        let image = reference.to_string();
        match self {
            Self::Damaged(digest) => ImageError::Damaged { image, digest },
            Self::Invalid(detail) => ImageError::InvalidWasm { image, detail },
            Self::Failed(detail) => ImageError::Compile { image, detail },
            Self::Disk(text) => ImageError::Disk(text),
        }
    }
}

impl From<JobError> for CodeError {
    fn from(err: JobError) -> Self {
        match err {
            JobError::Invalid(text) => Self::Invalid(text),
            JobError::Failed(text) => Self::Failed(text),
        }
    }
}

impl From<DiskError> for CodeError {
    fn from(err: DiskError) -> Self {
        Self::Disk(err.to_string())
    }
}
