//! The asking side.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{MAX_LINE, Request};

/// Lines of one answer; a drain tells something every second.
const MAX_ANSWER: u64 = 64 << 20;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Nobody listens.
    #[error("no agent runs here")]
    NoAgent,
    /// The agent refused or failed.
    #[error("{0}")]
    Refused(String),
    /// The agent ended before it had answered.
    #[error("the agent ended before it was done")]
    Ended,
    /// The socket cannot be used.
    #[error("cannot speak to the agent: {0}")]
    Io(#[from] io::Error),
}

/// Asks the agent and shows what it says until it is done.
pub(crate) async fn ask(socket: &Path, request: Request, mut show: impl FnMut(&str)) -> Result<(), AdminError> {
    let mut stream = connect(socket).await?;
    stream.write_all(format!("{}\n", request.to_line()).as_bytes()).await?;
    let mut lines = BufReader::new(stream.take(MAX_ANSWER)).lines();
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", _) => return Ok(()),
            ("error", why) => return Err(AdminError::Refused(why.to_owned())),
            (_, text) => show(&text[..text.floor_char_boundary(MAX_LINE)]),
        }
    }
    Err(AdminError::Ended)
}

async fn connect(socket: &Path) -> Result<UnixStream, AdminError> {
    UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AdminError::NoAgent,
        _ => AdminError::Io(error),
    })
}
