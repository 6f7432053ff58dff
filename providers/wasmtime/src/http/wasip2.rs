//! Requests to an instance of WASI 0.2: one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use super::slot::{Job, Slot};
use crate::guest::ComponentState;

/// Serves until the last job, or until the instance was idle for long enough.
///
/// # Errors
/// A trap. The job at hand is dropped, and those that wait with it.
pub(super) async fn serve(
    store: &mut Store<ComponentState>,
    proxy: &Proxy,
    slot: &Slot,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    idle: Duration,
) -> Result<(), wasmtime::Error> {
    loop {
        match tokio::time::timeout(idle, jobs.recv()).await {
            Ok(Some(job)) => handle(store, proxy, job).await?,
            Ok(None) => return Ok(()),
            Err(_idle) => slot.retire_if_idle(),
        }
    }
}

async fn handle(store: &mut Store<ComponentState>, proxy: &Proxy, job: Job) -> Result<(), wasmtime::Error> {
    let Job { request, reply, busy } = job;
    // Also held here, because an instance that lives on would keep what the guest did not use.
    let reply = Arc::new(Mutex::new(Some(reply)));
    let take = |reply: &Mutex<Option<_>>| reply.lock().unwrap_or_else(PoisonError::into_inner).take();
    let out = reply.clone();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let out = http.new_response_outparam_from_callback(move |response| {
        if let Some(reply) = take(&out) {
            let _left = reply.send(response.map_err(Into::into));
        }
    })?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await?;
    if let Some(reply) = take(&reply) {
        let _left = reply.send(Err(wasmtime::Error::msg("the handler returned without a response")));
    }
    drop(busy);
    Ok(())
}
