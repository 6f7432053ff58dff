//! The runner's side, as the real one in outline.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::Provider;
use wasmnode_provider_fake::FakeProvider;
use wasmnode_provider_process::{Journal, serve};

/// A group whose runners end at once.
pub(crate) const CRASHING: &str = "ns-crashing";

/// A group whose runners never say a word.
pub(crate) const MUTE: &str = "ns-mute";

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let option = |name: &str| {
        let value = arguments.iter().skip_while(|argument| *argument != name).nth(1);
        value.cloned().unwrap_or_else(|| panic!("{name} is missing in {arguments:?}"))
    };
    let group = option("--group");
    let exits = PathBuf::from(option("--state-root")).join("groups").join(&group).join("exits").join(option("--id"));
    match group.as_str() {
        CRASHING => {
            std::fs::write(exits.join("crash"), "scripted crash\nmore of it").expect("the directory is writable");
            return ExitCode::from(3);
        }
        MUTE => loop {
            std::thread::park();
        },
        _ => {}
    }
    assert_eq!(std::env::vars_os().count(), 0, "the environment is cleared");
    let capacity = option("--capacity").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(host(capacity, exits, option("--build"))).expect("a socket that works");
    ExitCode::SUCCESS
}

async fn host(capacity: u32, exits: PathBuf, build: String) -> io::Result<()> {
    let socket = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(socket)?;
    let fake = FakeProvider::with_capacity(capacity);
    let journal = Journal::open(Arc::new(fake.clone()), &exits).await.map_err(io::Error::other)?;
    let stop = CancellationToken::new();
    let mut told = signal(SignalKind::terminate())?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        told.recv().await;
        while let Ok(listing) = fake.list().await {
            if listing.runs.is_empty() {
                break;
            }
            for run in listing.runs {
                let _stopped = fake.stop(&run.run).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stopping.cancel();
    });
    serve(listener, Arc::new(journal.described(build, Vec::new())), stop).await.map_err(io::Error::other)
}
