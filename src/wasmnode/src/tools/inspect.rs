//! What a program is, what it asks for, and whether this node would run it: the engine itself says.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use serde_json::json;
use wasmnode_images::{Description, Engine, Image, Images, Kind, PullPolicy, Reference, Request, describe};
use wasmnode_pods::{PullRequest, Puller};
use wasmnode_provider_api::{Artifact, SandboxId};

use super::Bench;
use super::args::{Format, InspectArgs};
use super::push::{credentials, user_keyring};
use super::store::{kind_name, size};
use crate::exit::Failure;
use crate::run::puller::{Source, with_progress};

/// What was found out.
struct Found {
    name: String,
    digest: String,
    size_bytes: u64,
    description: Description,
    /// Why it does not run here.
    problem: Option<String>,
}

/// Inspects a file or an image.
pub(super) async fn inspect(args: &InspectArgs) -> Result<String, Failure> {
    let bench = Bench::new(&args.store).await?;
    let _using = bench.using()?;
    let found = find(&bench, &args.image).await?;
    Ok(match args.output {
        Format::Text => found.text(),
        Format::Json => format!("{:#}\n", found.json()),
    })
}

/// Gets an image, with a line of progress on a terminal.
pub(super) async fn get(
    bench: &Bench,
    images: &Images,
    reference: &Reference,
    policy: PullPolicy,
    pulling: &AtomicBool,
) -> anyhow::Result<Image> {
    let credentials = credentials(reference);
    let request = Request { credentials: &credentials, ..Request::new(reference, policy) };
    let getting = images.ensure(&request);
    let name = reference.to_string();
    with_progress(&bench.console, images, &name, pulling, getting).await.context("cannot get the image")
}

async fn find(bench: &Bench, name: &str) -> Result<Found, Failure> {
    let opened = bench.cache.open().await?;
    let images = &opened.images;
    let imported = Source::of(name, &bench.base).import(images).await.context("cannot read the image")?;
    let (text, policy) = match &imported {
        Some(stored) => (stored.as_str(), PullPolicy::Never),
        None => (name, PullPolicy::IfNotPresent),
    };
    let reference = Reference::parse(text).map_err(|error| Failure::Usage(error.to_string()))?;
    let image = get(bench, images, &reference, policy, &AtomicBool::new(true)).await?;
    let wasm = images.wasm(&image).await.context("cannot read the image")?;
    let description = describe(&wasm).map_err(|error| anyhow::anyhow!("{name} is not valid WebAssembly: {error}"))?;
    let problem = problem(bench, images, &image).await;
    let digest = image.digest.to_string();
    Ok(Found { name: name.to_owned(), digest, size_bytes: image.size_bytes, description, problem })
}

/// What keeps the engine from running it.
async fn problem(bench: &Bench, images: &Images, image: &Image) -> Option<String> {
    let (name, keyring) = (image.reference.to_string(), user_keyring());
    let policy = wasmnode_core::desired::PullPolicy::Never;
    let request =
        PullRequest { image: &name, policy, keyring: &keyring, command: &[], args: &[], path: None, target: None };
    match Puller::ensure(images, request, &|| {}).await.map(|pulled| pulled.artifact) {
        Ok(Ok(artifact)) => refusal(bench, &artifact).await,
        Ok(Err(why)) => Some(why),
        Err(error) => Some(error.message),
    }
}

/// The engine is in this process and knows no sandbox; any will do.
async fn refusal(bench: &Bench, artifact: &Artifact) -> Option<String> {
    let sandbox = match SandboxId::new("0".repeat(64)) {
        Ok(sandbox) => sandbox,
        Err(error) => return Some(error.to_string()),
    };
    bench.provider.prepare(&sandbox, artifact).await.err().map(|error| error.to_string())
}

// === impl Found ===

impl Found {
    fn what(&self) -> &'static str {
        match (self.description.kind, self.description.engine) {
            (Kind::Module, _) => "a core module (WASI preview 1)",
            (Kind::Component, Engine::Base) => "a component (WASI 0.2)",
            (Kind::Component, Engine::Wasip3) => "a component (WASI 0.3)",
        }
    }

    fn text(&self) -> String {
        let Self { name, digest, size_bytes, description, problem } = self;
        let mut text = format!("{name} is {}, {}\ndigest: {digest}\n", self.what(), size(*size_bytes));
        for (heading, names) in [("imports", &description.imports), ("exports", &description.exports)] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{heading}: {}", if names.is_empty() { "none" } else { "" });
            for name in names {
                let _ = writeln!(text, "  {name}");
            }
        }
        let text = text.replace(": \n", ":\n");
        match problem {
            None => text + "runs here: yes\n",
            Some(problem) => format!("{text}runs here: no: {problem}\n"),
        }
    }

    fn json(&self) -> serde_json::Value {
        let Self { name, digest, size_bytes, description, problem } = self;
        json!({
            "name": name,
            "digest": digest,
            "kind": kind_name(description.kind),
            "engine": description.engine.name(),
            "sizeBytes": size_bytes,
            "imports": description.imports,
            "exports": description.exports,
            "runsHere": problem.is_none(),
            "problem": problem,
        })
    }
}
