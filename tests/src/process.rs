//! A program that a test runs beside itself: started with a log file, ended with the test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// How much of a log a failure shows, bytes.
const TAIL: usize = 16 << 10;

/// A running program; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Kept open: a later line must not end the program with SIGPIPE.
    _announcements: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `command` with both output streams appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = open_log(log)?;
        command.stdout(output.try_clone().context("cannot share the log")?);
        Self::spawn(name, command, output, log)
    }

    /// Starts `command` and returns once it has written its first line of standard output: JSON, by which
    /// it says that it is ready. Standard error goes to `log`.
    pub async fn announced<T: DeserializeOwned>(
        name: &str,
        command: &mut Command,
        log: &Path,
        patience: Duration,
    ) -> Result<(Self, T)> {
        let mut process = Self::spawn(name, command.stdout(Stdio::piped()), open_log(log)?, log)?;
        let stdout = process.child.stdout.take().with_context(|| format!("{name} has no output"))?;
        let mut announcements = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(patience, announcements.read_line(&mut line)).await;
        let ready = match read {
            Ok(Ok(0)) => Err(anyhow!("{name} ended before it was ready")),
            Ok(Ok(_)) => serde_json::from_str(&line).with_context(|| format!("{name} said {line:?}")),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(anyhow!("{name} was not ready within {patience:?}")),
        };
        let ready = ready.with_context(|| format!("log of {name}:\n{}", tail(log)))?;
        process._announcements = Some(announcements);
        Ok((process, ready))
    }

    fn spawn(name: &str, command: &mut Command, stderr: File, log: &Path) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), _announcements: None })
    }

    /// Process id; none once it has ended.
    pub fn id(&self) -> Option<i32> {
        self.child.id().and_then(|id| i32::try_from(id).ok())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().and_then(Pid::from_raw).with_context(|| format!("{} has ended", self.name))?;
        kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for the end.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => status.with_context(|| format!("cannot wait for {}", self.name)),
            Err(_) => bail!("{} did not end within {patience:?}", self.name),
        }
    }

    /// Sends SIGTERM and waits for the end; after `grace` it is killed and that is an error.
    pub async fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        let outcome = self.wait(grace).await;
        if outcome.is_err() {
            self.kill().await?;
        }
        outcome
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

fn open_log(path: &Path) -> Result<File> {
    let open = File::options().create(true).append(true).open(path);
    open.with_context(|| format!("cannot open {}", path.display()))
}

/// The last lines of a text file, or why there are none.
pub fn tail(path: &Path) -> String {
    match fs::read(path) {
        Ok(content) => String::from_utf8_lossy(&content[content.len().saturating_sub(TAIL)..]).into_owned(),
        Err(error) => format!("{}: {error}", path.display()),
    }
}
