//! The answering side, in the agent.

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{ASKING, MAX_LINE, Request};
use crate::exit::one_line;

/// Clients at the same time; people, and scripts of people.
const CLIENTS: usize = 16;

/// The socket, bound.
pub(crate) struct Server {
    listener: UnixListener,
}

/// Where the agent says what happens; nobody may be left to hear it.
#[derive(Clone)]
pub(crate) struct Answer(Arc<Mutex<OwnedWriteHalf>>);

// === impl Server ===

impl Server {
    /// Under the agent's lock, so that a socket that is there already is a dead agent's.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Answers until `stop`.
    pub(crate) async fn serve<F, A>(self, act: F, stop: CancellationToken)
    where
        F: Fn(Request, Answer) -> A + Send + Sync + 'static,
        A: Future<Output = anyhow::Result<()>> + Send,
    {
        let (act, places) = (Arc::new(act), Arc::new(Semaphore::new(CLIENTS)));
        let forever = async {
            loop {
                let place = Arc::clone(&places).acquire_owned().await;
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let act = Arc::clone(&act);
                        tokio::spawn(async move {
                            let _place = place;
                            answer(stream, act.as_ref()).await;
                        });
                    }
                    Err(error) => {
                        warn!(%error, "Cannot accept a command");
                        tokio::time::sleep(ASKING).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(forever).await;
    }
}

async fn answer<F, A>(stream: UnixStream, act: &F)
where
    F: Fn(Request, Answer) -> A,
    A: Future<Output = anyhow::Result<()>>,
{
    let (asked, answer) = stream.into_split();
    let answer = Answer(Arc::new(Mutex::new(answer)));
    let outcome = match timeout(ASKING, read(asked)).await {
        Ok(Ok(Some(request))) => act(request, answer.clone()).await,
        Ok(Ok(None)) => Err(anyhow::anyhow!("no such command")),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(anyhow::anyhow!("nothing was asked")),
    };
    match outcome {
        Ok(()) => answer.line("ok").await,
        Err(error) => answer.line(&format!("error {}", one_line(&format!("{error:#}")))).await,
    }
}

async fn read(asked: OwnedReadHalf) -> io::Result<Option<Request>> {
    let mut line = String::new();
    BufReader::new(asked.take(MAX_LINE as u64)).read_line(&mut line).await?;
    Ok(Request::parse(line.trim_end()))
}

// === impl Answer ===

impl Answer {
    /// One line about what happens.
    pub(crate) async fn say(&self, text: &str) {
        self.line(&format!(". {}", one_line(text))).await;
    }

    async fn line(&self, line: &str) {
        if let Err(error) = self.0.lock().await.write_all(format!("{line}\n").as_bytes()).await {
            debug!(%error, "Nobody hears the answer");
        }
    }
}
