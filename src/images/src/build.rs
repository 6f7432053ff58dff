//! From a stored image to what runs: the program is chosen, looked at and compiled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::digest::{Digest, Hasher};
use crate::ensure::{Found, Images, Inner};
use crate::error::{DiskError, ImageError};
use crate::image::{Engine, Image, Program, Request};
use crate::inspect::{InspectError, inspect};
use crate::native::{CodeError, Coded, Wanted};
use crate::program::{self, NoProgram};
use crate::reference::Reference;
use crate::store::{CodeKey, ImageRecord, Module, Pin, RootRecord, Source, blocking};
use crate::target::{Target, is_engine_id};
use crate::tree::Tree;

/// Wasm that runs.
struct Chosen {
    module: Module,
    source: Source,
}

// === impl Images ===

impl Images {
    /// The engine cannot load the image's code: compiles what is on disk again, for the target that it was compiled
    /// for. No registry is asked.
    ///
    /// # Errors
    /// Those of [`Images::ensure`] that have to do with compiling.
    pub async fn compile_again(&self, image: &Image) -> Result<Image, ImageError> {
        let Ok(program) = &image.program else { return Ok(image.clone()) };
        let key = CodeKey { wasm: program.wasm_digest, engine_id: program.engine_id.clone() };
        self.inner.store.distrust(&key);
        let coded = self.inner.code(&key, program.engine, &program.compiler, &program.source).await;
        let Coded { digest: code_digest, took } = coded.map_err(|err| err.about(&image.reference))?;
        let program = Program { code_digest, compiled: took, ..program.clone() };
        Ok(Image { program: Ok(program), pulled: None, ..image.clone() })
    }
}

// === impl Inner ===

impl Inner {
    /// Adds the code to a stored image.
    pub(crate) async fn build(
        self: &Arc<Self>,
        request: &Request<'_>,
        target: &Target,
        found: Found,
    ) -> Result<Image, ImageError> {
        let Found { record, lease: stored, pulled } = found;
        let chosen = self.choose(request, &record).await?;
        let key = match &chosen {
            Ok(chosen) => Some(self.code_key(request.reference, target, &chosen.module)?),
            Err(_) => None,
        };
        let lease = self.store.pin(record.pins().chain(key.clone().map(Pin::Code)));
        drop(stored);
        let program = match (chosen, key) {
            (Ok(chosen), Some(key)) => Ok(self.program(request.reference, &target.program, chosen, key).await?),
            (Err(why), _) => Err(why),
            (Ok(_), None) => return Err(ImageError::Disk("code without a key".to_owned())),
        };
        Ok(Image {
            reference: request.reference.clone(),
            digest: record.digest,
            image_id: request.reference.pinned(record.digest),
            size_bytes: record.size(),
            program,
            root: record.root.as_ref().map(|root| self.store.root_path(root.manifest)),
            title: record.title,
            pulled,
            config: record.config,
            lease,
        })
    }

    async fn program(
        self: &Arc<Self>,
        reference: &Reference,
        compiler: &Path,
        chosen: Chosen,
        key: CodeKey,
    ) -> Result<Program, ImageError> {
        let Chosen { module, source } = chosen;
        let engine = module.inspection.engine;
        let coded = match self.code(&key, engine, compiler, &source).await {
            Err(CodeError::Damaged(digest)) => {
                if let Source::File { root, .. } = &source {
                    self.store.remove_root(*root).await?;
                }
                Err(CodeError::Damaged(digest))
            }
            coded => coded,
        };
        let Coded { digest: code_digest, took } = coded.map_err(|err| err.about(reference))?;
        Ok(Program {
            kind: module.inspection.kind,
            wasm_digest: module.wasm,
            engine,
            code: self.store.code_path(&key),
            engine_id: key.engine_id,
            code_digest,
            compiled: took,
            compiler: compiler.to_owned(),
            source,
        })
    }

    async fn code(
        self: &Arc<Self>,
        key: &CodeKey,
        engine: Engine,
        compiler: &Path,
        source: &Source,
    ) -> Result<Coded, CodeError> {
        let started = Instant::now();
        let wanted = Wanted { key: key.clone(), engine, compiler: compiler.to_owned(), source: source.clone() };
        let work = || crate::native::code(Arc::clone(self), wanted);
        let coded = self.compiles.join(key.clone(), work).await?;
        let took: Option<Duration> = coded.took.map(|_| started.elapsed());
        Ok(Coded { took, ..coded })
    }

    fn code_key(&self, reference: &Reference, target: &Target, module: &Module) -> Result<CodeKey, ImageError> {
        let Some(engine_id) = target.engines.id(module.inspection.engine) else {
            return Err(ImageError::NeedsWasip3 { image: reference.to_string() });
        };
        if !is_engine_id(engine_id) {
            let detail = format!("engine id {engine_id:?} is not 64 hex digits");
            return Err(ImageError::Compile { image: reference.to_string(), detail });
        }
        if !self.config.engines.has(engine_id) {
            self.older.note(engine_id);
        }
        Ok(CodeKey { wasm: module.wasm, engine_id: engine_id.to_owned() })
    }

    /// What of the image runs.
    async fn choose(
        self: &Arc<Self>,
        request: &Request<'_>,
        record: &ImageRecord,
    ) -> Result<Result<Chosen, NoProgram>, ImageError> {
        match (&record.root, record.module) {
            (Some(root), _) => self.choose_file(request, record, root).await,
            (None, Some(module)) => Ok(Ok(Chosen { module, source: Source::Blob(module.wasm) })),
            (None, None) => Err(ImageError::Disk(format!("{} is recorded without content", record.digest))),
        }
    }

    async fn choose_file(
        self: &Arc<Self>,
        request: &Request<'_>,
        record: &ImageRecord,
        root: &RootRecord,
    ) -> Result<Result<Chosen, NoProgram>, ImageError> {
        let directory = self.store.root_path(root.manifest);
        let (mut config, command, args) = (record.config.clone(), request.command.to_vec(), request.args.to_vec());
        config.env.extend(request.path.map(|path| format!("PATH={path}")));
        let found = blocking(move || {
            let tree = Tree::open(&directory).map_err(|err| DiskError::new("open", &directory, err))?;
            Ok(program::find(&tree, &config, &command, &args))
        });
        let path: PathBuf = match found.await? {
            Ok(path) => path,
            Err(why) => return Ok(Err(why)),
        };
        let source = Source::File { root: root.manifest, path: path.clone() };
        if let Some(module) = self.store.module(root.manifest, &path) {
            return Ok(Ok(Chosen { module, source }));
        }
        let (store, opened) = (Arc::clone(&self.store), source.clone());
        let (digest, size) = blocking(move || {
            let (file, size) = store.open_source(&opened)?;
            Ok((Hasher::read_all(file).map_err(|err| DiskError::new("read", opened.path(), err))?, size))
        })
        .await?;
        check_module_size(self, request.reference, size)?;
        let module = module_of(self, request.reference, source.clone(), digest).await?;
        self.store.put_module(root.manifest, &path, module).await?;
        Ok(Ok(Chosen { module, source }))
    }
}

/// Looks at stored wasm of a known digest.
pub(crate) async fn module_of(
    inner: &Inner,
    reference: &Reference,
    source: Source,
    wasm: Digest,
) -> Result<Module, ImageError> {
    let store = Arc::clone(&inner.store);
    let looked = blocking(move || Ok(inspect(&mut store.open_source(&source)?.0))).await?;
    let inspection = looked.map_err(|err| match err {
        InspectError::NotWasm(what) => ImageError::not_wasm(reference, what),
        InspectError::Invalid(detail) => ImageError::InvalidWasm { image: reference.to_string(), detail },
        InspectError::Io(err) => ImageError::Disk(format!("read {wasm}: {err}")),
    })?;
    Ok(Module { wasm, inspection })
}

pub(crate) fn check_module_size(inner: &Inner, reference: &Reference, size: u64) -> Result<(), ImageError> {
    let limit = inner.config.max_module_size;
    if size <= limit {
        return Ok(());
    }
    Err(ImageError::TooLarge { image: reference.to_string(), size, limit })
}
