//! What the provider costs, without a cluster.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use wasmnode_provider_api::SandboxId;
use wasmnode_tests::guests;

use crate::bare::Bare;
use crate::figure::{percentile, print};
use crate::rig::Rig;

/// Enough for a stable median; the first ones warm the pool and are left out.
const SAMPLES: usize = 2000;
const WARM_UP: usize = 200;

/// From the call of `start` until the guest is entered, without a log file.
pub(crate) fn instantiate() -> Result<()> {
    Runtime::new()?.block_on(async {
        let (mut rig, sandbox, bare) = beside_bare().await?;
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..WARM_UP + SAMPLES {
            let spec = rig.spec(&sandbox, false)?;
            let (id, began) = (spec.id.clone(), Instant::now());
            rig.provider.start(spec).await?;
            ours.push(began.elapsed());
            rig.ended(&id).await?;
            peer.push(bare.instantiate().await?);
        }
        compare("instantiate_p50", &mut ours, "wasmtime embedded, instantiate", &mut peer);
        Ok(())
    })
}

/// From the call of `start` until the exit is known, with a log file, one after the other.
pub(crate) fn hello() -> Result<()> {
    Runtime::new()?.block_on(async {
        let (mut rig, sandbox, bare) = beside_bare().await?;
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..WARM_UP + SAMPLES {
            let spec = rig.spec(&sandbox, true)?;
            let (id, began) = (spec.id.clone(), Instant::now());
            rig.provider.start(spec).await?;
            rig.ended(&id).await?;
            ours.push(began.elapsed());
            peer.push(bare.run().await?);
        }
        compare("hello_start_to_exit_p50", &mut ours, "wasmtime embedded, start to exit, output discarded", &mut peer);
        Ok(())
    })
}

/// The provider with a sandbox, and its peer with the same guest.
async fn beside_bare() -> Result<(Rig, SandboxId, Bare)> {
    let rig = Rig::new("hello", 64).await?;
    let sandbox = rig.sandbox(1).await?;
    Ok((rig, sandbox, Bare::new(&guests::wat("hello")?)?))
}

fn compare(name: &str, ours: &mut Vec<Duration>, peer_name: &str, peer: &mut Vec<Duration>) {
    ours.drain(..WARM_UP);
    peer.drain(..WARM_UP);
    print(name, "us", percentile(ours, 0.5), Some((peer_name, percentile(peer, 0.5))));
}

/// Starts per second with 32 runs under way, each to its exit, with a log file.
pub(crate) fn starts() -> Result<()> {
    const UNDER_WAY: usize = 32;
    const ROUNDS: usize = 100;
    Runtime::new()?.block_on(async {
        let (mut rig, sandbox, bare) = beside_bare().await?;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let specs = (0..UNDER_WAY).map(|_| rig.spec(&sandbox, true)).collect::<Result<Vec<_>>>()?;
            let ids: Vec<_> = specs.iter().map(|spec| spec.id.clone()).collect();
            futures::future::try_join_all(specs.into_iter().map(|spec| rig.provider.start(spec))).await?;
            for id in ids {
                rig.ended(&id).await?;
            }
        }
        #[allow(clippy::cast_precision_loss)]
        let ours = (ROUNDS * UNDER_WAY) as f64 / began.elapsed().as_secs_f64();
        let began = Instant::now();
        for _ in 0..ROUNDS * UNDER_WAY {
            bare.run().await?;
        }
        #[allow(clippy::cast_precision_loss)]
        let peer = (ROUNDS * UNDER_WAY) as f64 / began.elapsed().as_secs_f64();
        print("starts_per_second", "1/s", ours, Some(("wasmtime embedded, one after the other", peer)));
        Ok(())
    })
}

/// Memory that 1,000 sleeping pods take beyond the empty provider: resident and page tables.
pub(crate) fn idle() -> Result<()> {
    const PODS: u64 = 1000;
    Runtime::new()?.block_on(async {
        let mut rig = Rig::new("sleeper", 1100).await?;
        let before = memory()?;
        let mut runs = Vec::new();
        for number in 0..PODS {
            let sandbox = rig.sandbox(number).await?;
            let spec = rig.spec(&sandbox, true)?;
            runs.push(spec.id.clone());
            rig.provider.start(spec).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        #[allow(clippy::cast_precision_loss)]
        let each = memory()?.saturating_sub(before) as f64 / PODS as f64;
        print("memory_per_idle_pod_at_1000", "KiB", each, None);
        for run in &runs {
            rig.provider.kill(run).await?;
        }
        for run in &runs {
            rig.ended(run).await?;
        }
        Ok(())
    })
}

/// Resident memory and page tables of this process, KiB.
fn memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let of = |key: &str| -> Result<u64> {
        let line = status.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key}"))?;
        Ok(line.split_whitespace().nth(1).with_context(|| format!("no value in {line}"))?.parse()?)
    };
    Ok(of("VmRSS:")? + of("VmPTE:")?)
}
