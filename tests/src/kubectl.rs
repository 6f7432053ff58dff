//! kubectl as a user runs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::paths;

/// Longer than any command here takes on a busy machine; `-f` and `--wait` end by themselves.
const PATIENCE: Duration = Duration::from_secs(120);

/// kubectl with one identity and, perhaps, a namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    namespace: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Kubectl {
    /// With the credentials of a kubeconfig file.
    pub fn new(kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), namespace: None }
    }

    /// The same in `namespace`.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The command with these arguments, for those who want its streams.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(paths::cluster_program("kubectl"));
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        // The default is below the user's home folder, which tests leave alone.
        command.env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"));
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs to the end, whatever that is.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.run_with(arguments, None).await
    }

    /// Runs to the end and returns standard output.
    ///
    /// # Errors
    /// When kubectl fails, with what it said.
    pub async fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments).await?.ok(arguments)
    }

    /// Applies one object, or a list of them.
    pub async fn apply(&self, object: &Value) -> Result<String> {
        let arguments = ["apply", "-f", "-"];
        self.run_with(&arguments, Some(object.to_string())).await?.ok(&arguments)
    }

    async fn run_with(&self, arguments: &[&str], input: Option<String>) -> Result<Output> {
        let what = || format!("kubectl {}", arguments.join(" "));
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().with_context(what)?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes()).await.with_context(what)?;
        }
        let output = timeout(PATIENCE, child.wait_with_output()).await.with_context(what)?.with_context(what)?;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Output {
    fn ok(self, arguments: &[&str]) -> Result<String> {
        let Self { code, stdout, stderr } = self;
        ensure!(code == Some(0), "kubectl {} ended with {code:?}: {stderr}{stdout}", arguments.join(" "));
        Ok(stdout)
    }
}
