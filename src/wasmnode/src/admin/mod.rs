//! How a command line speaks to the agent of its machine: a socket in the run directory that only the agent's user may
//! open.
//!
//! One line asks, lines answer as things happen, and the last one says how it went:
//!
//! ```text
//! drain 1m30s                ask; the time may be left out
//! . 3 pods left              what happens meanwhile
//! ok                         or: error <what went wrong>
//! ```

mod client;
mod drain;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::units::GoDuration;

pub(crate) use client::{AdminError, ask};
pub(crate) use drain::{Drain, SHUTTING_DOWN, ensure_ended};
pub(crate) use server::{Answer, Server};

/// A line is a word or a sentence; who sends more is not one of us.
const MAX_LINE: usize = 4096;

/// A client that asks nothing is not waited for.
const ASKING: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// End all pods in order, within that time, and take no more.
    Drain(Option<GoDuration>),
}

impl Request {
    fn to_line(self) -> String {
        match self {
            Self::Drain(None) => "drain".to_owned(),
            Self::Drain(Some(within)) => format!("drain {within}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("drain", "") => Some(Self::Drain(None)),
            ("drain", within) => within.parse().ok().map(|within| Self::Drain(Some(within))),
            _ => None,
        }
    }
}

/// The socket of the agent that uses this run directory.
pub(crate) fn socket(run: &Path) -> PathBuf {
    run.join("agent.sock")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    async fn serving(top: &Path) -> CancellationToken {
        let server = Server::bind(&socket(top)).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(
            |request, answer: Answer| async move {
                answer.say(&format!("asked to {}\nat once", request.to_line())).await;
                Ok(())
            },
            stop.clone(),
        ));
        stop
    }

    #[tokio::test]
    async fn an_answer_comes_line_by_line() {
        let top = tempfile::tempdir().unwrap();
        let _stop = serving(top.path()).await;
        for (request, answer) in [
            (Request::Drain(None), "asked to drain at once"),
            (Request::Drain(Some(GoDuration::secs(90))), "asked to drain 1m30s at once"),
        ] {
            let mut said = Vec::new();
            ask(&socket(top.path()), request, |line| said.push(line.to_owned())).await.unwrap();
            assert_eq!(said, [answer]);
        }
    }

    #[tokio::test]
    async fn without_an_agent_there_is_nobody_to_ask() {
        let top = tempfile::tempdir().unwrap();
        let error = ask(&socket(top.path()), Request::Drain(None), |_| {}).await.unwrap_err();
        assert!(matches!(error, AdminError::NoAgent), "{error}");
        // What a killed agent leaves.
        drop(Server::bind(&socket(top.path())).unwrap());
        let error = ask(&socket(top.path()), Request::Drain(None), |_| {}).await.unwrap_err();
        assert!(matches!(error, AdminError::NoAgent), "{error}");
        let _stop = serving(top.path()).await;
        ask(&socket(top.path()), Request::Drain(None), |_| {}).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_talks_nonsense_is_told_and_disturbs_nobody() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let top = tempfile::tempdir().unwrap();
        let _stop = serving(top.path()).await;
        for nonsense in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"drain soon\n".to_vec(), vec![0xff; 100_000]] {
            let mut stream = tokio::net::UnixStream::connect(socket(top.path())).await.unwrap();
            // The agent may have hung up already.
            let _ = stream.write_all(&nonsense).await;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            assert!(answer.is_empty() || answer.starts_with("error "), "{answer:?}");
        }
        ask(&socket(top.path()), Request::Drain(None), |_| {}).await.unwrap();
    }
}
