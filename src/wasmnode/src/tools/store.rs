//! The verbs of `image`.

use std::sync::atomic::AtomicBool;

use anyhow::Context;
use serde_json::json;
use wasmnode_images::{Kind, PullPolicy, Reference, StoredImage};

use super::Bench;
use super::args::{Format, ListArgs, PruneArgs, PullArgs, RemoveArgs};
use super::inspect::get;
use super::table::table;
use crate::exit::Failure;

/// Pulls and compiles, and says under which name it is stored for ever.
pub(super) async fn pull(args: &PullArgs) -> Result<String, Failure> {
    let bench = Bench::new(&args.store).await?;
    let using = bench.using()?;
    let opened = bench.cache.open().await?;
    let reference = Reference::parse(&args.image).map_err(|error| Failure::Usage(error.to_string()))?;
    let image = get(&bench, &opened.images, &reference, PullPolicy::Always, &AtomicBool::new(true)).await?;
    bench.cache.note_growth(&opened.images);
    drop((opened, using));
    bench.cache.tidy().await?;
    Ok(format!("{}\n", image.image_id))
}

/// What is stored, the image used last first.
pub(super) async fn list(args: &ListArgs) -> Result<String, Failure> {
    let images = Bench::new(&args.store).await?.cache.open().await?.images.stored();
    if args.output == Format::Json {
        let images: Vec<_> = images.iter().map(as_json).collect();
        return Ok(format!("{:#}\n", json!(images)));
    }
    let rows = images.iter().flat_map(|image| {
        image.names.iter().map(|name| [name.clone(), kind(image).to_owned(), size(image.size_bytes), used(image)])
    });
    Ok(table(["IMAGE", "KIND", "SIZE", "LAST USED"], rows))
}

/// Each by its name.
pub(super) async fn remove(args: &RemoveArgs) -> Result<String, Failure> {
    let bench = Bench::new(&args.store).await?;
    let _alone = bench.alone()?;
    let opened = bench.cache.open().await?;
    let mut said = String::new();
    for image in &args.images {
        let reference = Reference::parse(image).map_err(|error| Failure::Usage(error.to_string()))?;
        let removed = opened.images.remove(&reference).await.context("cannot remove the image")?;
        if !removed {
            return Err(
                anyhow::anyhow!("there is no image {reference}: wasmnode image list shows what is there").into()
            );
        }
        said.push_str(&format!("removed {reference}\n"));
    }
    Ok(said)
}

/// Everything.
pub(super) async fn prune(args: &PruneArgs) -> Result<String, Failure> {
    let bench = Bench::new(&args.store).await?;
    let _alone = bench.alone()?;
    let removed = bench.cache.open().await?.images.prune().await.context("cannot remove the images")?;
    Ok(format!("removed {} images, {}\n", removed.images, size(removed.bytes)))
}

fn as_json(image: &StoredImage) -> serde_json::Value {
    json!({
        "names": image.names,
        "digest": image.digest.to_string(),
        "kind": kind(image),
        "sizeBytes": image.size_bytes,
        "lastUsed": timestamp(image),
    })
}

fn kind(image: &StoredImage) -> &'static str {
    match image.kind {
        Some(kind) => kind_name(kind),
        None => "container",
    }
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Module => "module",
        Kind::Component => "component",
    }
}

fn timestamp(image: &StoredImage) -> String {
    let second = i64::try_from(image.last_used).unwrap_or_default();
    jiff::Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default()
}

fn used(image: &StoredImage) -> String {
    timestamp(image).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// Bytes as people read them: 12.3 MiB.
pub(super) fn size(bytes: u64) -> String {
    let (mut whole, mut tenths) = (bytes, 0);
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        (tenths, whole, unit) = ((whole % 1024) * 10 / 1024, whole / 1024, next);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (12 << 20, "12.0 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
