//! Requests to an instance of WASI 0.3: many at the same time.

use std::future::{pending, poll_fn};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

use super::slot::{Busy, Job, Slot};
use crate::guest::ComponentState;

/// Serves until the last job, or until the instance was idle for long enough, and then until the guest has done what
/// it does after its responses.
///
/// # Errors
/// A trap. All jobs at hand are dropped.
pub(super) async fn serve(
    store: &mut Store<ComponentState>,
    proxy: &Proxy,
    slot: &Slot,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    idle: Duration,
) -> Result<(), wasmtime::Error> {
    let served = store.run_concurrent(async |accessor| {
        serve_all(accessor, proxy, slot, jobs, idle).await?;
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        Ok(())
    });
    served.await?
}

async fn serve_all(
    accessor: &Accessor<ComponentState>,
    proxy: &Proxy,
    slot: &Slot,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    idle: Duration,
) -> Result<(), wasmtime::Error> {
    let mut running = FuturesUnordered::new();
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            Some(done) = running.next() => done?,
            job = jobs.recv(), if open => match job {
                Some(job) => {
                    let (prepared, busy) = prepare(accessor, proxy, job)?;
                    running.push(run(accessor, prepared, busy));
                }
                None => open = false,
            },
            () = tokio::time::sleep(idle), if open && running.is_empty() => slot.retire_if_idle(),
            else => return Ok(()),
        }
    }
}

fn prepare<'a>(
    accessor: &Accessor<ComponentState>,
    proxy: &'a Proxy,
    job: Job,
) -> Result<(Prepared<'a, ComponentState>, Busy), wasmtime::Error> {
    let Job { request, reply, busy } = job;
    let prepared = accessor
        .with(|mut store| Prepared::new(store.as_context_mut(), proxy, request, ComponentState::http, reply))?;
    Ok((prepared, busy))
}

/// Until the response's head. Whoever waits for the rest keeps the instance.
async fn run(
    accessor: &Accessor<ComponentState>,
    prepared: Prepared<'_, ComponentState>,
    busy: Busy,
) -> Result<(), wasmtime::Error> {
    prepared.run(accessor, pending()).await?;
    drop(busy);
    Ok(())
}
