//! One compilation: `PROGRAM compile --engine NAME --nice N --memory-limit BYTES`, wasm on stdin,
//! compiled code on stdout, one line of text on stderr where it fails.
//!
//! The job gets no environment, no other descriptor and no path: broken or hostile wasm can cost
//! it its own memory and time, and both are bounded.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::config::CompileConfig;
use crate::image::Engine;

/// sysexits' EX_DATAERR: the wasm is at fault, not the job.
const EXIT_INVALID: i32 = 65;
/// stderr that is kept: one line.
const MAX_STDERR: u64 = 4096;

/// What to compile, and where to.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a CompileConfig,
    /// Instead of the one in `config`.
    pub(crate) program: &'a Path,
    pub(crate) engine: Engine,
    pub(crate) wasm: File,
    pub(crate) output: File,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Compiling again will fail again.
    #[error("{0}")]
    Invalid(String),
    /// Killed, out of memory or time, not started: the next try may do better.
    #[error("{0}")]
    Failed(String),
}

// === impl Job ===

impl Job<'_> {
    /// Runs the job to its end. Dropping the future kills it.
    pub(crate) async fn run(self) -> Result<(), JobError> {
        let config = self.config;
        let mut child = self.spawn()?;
        let stderr = child.stderr.take();
        let ended = tokio::time::timeout(config.timeout, async {
            let (words, status) = tokio::join!(last_words(stderr), child.wait());
            (words, status)
        })
        .await;
        match ended {
            Ok((words, Ok(status))) => judge(status, &words, config),
            Ok((_, Err(err))) => Err(JobError::Failed(format!("cannot wait for the compiler: {err}"))),
            Err(_) => {
                let _ = child.kill().await;
                Err(JobError::Failed(format!("the compiler was stopped after {:?}", config.timeout)))
            }
        }
    }

    fn spawn(self) -> Result<Child, JobError> {
        let config = self.config;
        Command::new(self.program)
            .args(["compile", "--engine", self.engine.name()])
            .args(["--nice", &config.nice.to_string()])
            .args(["--memory-limit", &config.memory_bytes.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(self.wasm)
            .stdout(self.output)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|err| JobError::Failed(format!("cannot start {}: {err}", self.program.display())))
    }
}

/// The start of stderr; the rest is read and dropped, so that a talkative job does not block.
async fn last_words(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(MAX_STDERR).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn judge(status: ExitStatus, words: &str, config: &CompileConfig) -> Result<(), JobError> {
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(EXIT_INVALID), _) if words.is_empty() => Err(JobError::Invalid("the compiler refused it".to_owned())),
        (Some(EXIT_INVALID), _) => Err(JobError::Invalid(words.to_owned())),
        (Some(code), _) => Err(JobError::Failed(format!("the compiler exited with code {code}{said}"))),
        (None, signal) => Err(JobError::Failed(format!(
            "the compiler was killed by signal {} (its memory limit is {} bytes){said}",
            signal.unwrap_or_default(),
            config.memory_bytes
        ))),
    }
}
