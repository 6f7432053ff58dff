//! A runner: the engine in a process of its own, which outlives the agent that started it.
//!
//! It is told everything on its command line, and gets its listening socket as standard input from the agent, which
//! bound it. All that it writes besides logs and guests' files are exits and its last words.

mod args;
mod place;
mod stop;
mod words;

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;
use wasmnode_provider_api::Provider;
use wasmnode_provider_process::{Journal, confine, serve};
use wasmnode_provider_wasmtime::{Settings, WasmtimeProvider};

pub(crate) use args::RunnerArgs;

use crate::config::sections::{Logging, Switch};
use crate::exit::Failure;
use crate::{limits, log};
use place::Place;

/// Verbs and exits are short; guests have threads of their own.
const THREADS: usize = 2;

/// Runs until it is told to end.
pub(crate) fn run(args: &RunnerArgs) -> Result<(), Failure> {
    log::init(&Logging { format: args.log_format.into(), verbosity: args.v });
    let place = Place::of(args);
    words::keep_panics(&place.exits);
    host(args, &place).inspect_err(|error| words::keep(&place.exits, &crate::exit::chain(error)))?;
    Ok(())
}

fn host(args: &RunnerArgs, place: &Place) -> anyhow::Result<()> {
    limits::end_at(limits::PODS);
    // Asks the kernel for files that are closed off afterwards.
    let settings =
        Settings { capacity: args.capacity, wasip3: Switch::from(args.wasip3) == Switch::On, ..Settings::default() };
    let confined = confine::confine(&place.allowed(&args.paths)).context("cannot confine this process")?;
    let socket = listener().context("cannot use standard input as the socket")?;
    let provider = WasmtimeProvider::new(settings).context("cannot make the engine")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    runtime.block_on(async {
        let journal = Journal::open(Arc::new(provider), &place.exits).await.context("cannot keep exits")?;
        let journal = journal.described(args.build.clone(), confined.features());
        answer(socket, Arc::new(journal), args).await
    })
}

/// The socket that is standard input.
fn listener() -> std::io::Result<StdListener> {
    let socket = StdListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    // A file or a pipe has no address.
    socket.local_addr()?;
    Ok(socket)
}

async fn answer(socket: StdListener, provider: Arc<dyn Provider>, args: &RunnerArgs) -> anyhow::Result<()> {
    let mut signals = stop::Signals::new()?;
    let stopped = CancellationToken::new();
    let listener = UnixListener::from_std(socket).context("cannot use standard input as the socket")?;
    let mut serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, provider.clone(), stopped.clone())));
    info!(group = args.group, runner = args.id, build = args.build, "This runner is ready");
    tokio::select! {
        served = &mut serving => served.context("the socket is served no longer")?.context("cannot serve")?,
        () = signals.next() => {
            info!("This runner was told to end");
            // Who is connected hears of the exits meanwhile.
            stop::end_all(&*provider).await;
            stopped.cancel();
        }
    }
    Ok(())
}
