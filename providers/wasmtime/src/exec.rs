//! Another instance of a run's module, with other arguments.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use wasmnode_provider_api::{Error, ExecSpec, Streams as ClientStreams};

use crate::entered::Entered;
use crate::exit::Verdict;
use crate::guest::{self, Streams};
use crate::run::Run;
use crate::stdio::{Output, Pipe, Stream, Tee};

/// Runs to the end and returns the exit code. The instance ends with the run, and when the future is dropped.
pub(crate) async fn exec(run: Arc<Run>, spec: ExecSpec, client: ClientStreams) -> Result<i32, Error> {
    let guests = run.program.guests.clone();
    let executed = AbortOnDropHandle::new(guests.spawn(execute(run, spec, client))).await;
    executed.map_err(|e| Error::Failed(format!("exec ended without a result: {e}")))?
}

async fn execute(run: Arc<Run>, spec: ExecSpec, client: ClientStreams) -> Result<i32, Error> {
    let ClientStreams { stdin, stdout, stderr, resize: _ } = client;
    let output = Output::new(run.program.guests.clone());
    output.add_tee(Tee { stdout, stderr });
    let pipe = stdin.as_ref().map(|_| Arc::new(Pipe::default()));
    let streams = Streams { stdin: pipe.clone(), output: output.clone(), by_line: false };

    let entered = Entered::silent();
    let running = async {
        let opening = run.clone();
        let wasi = run.program.blocking(move || guest::open(&opening.spec, &spec.argv, spec.tty, &streams)).await?;
        run.program.enter(wasi, &entered).await
    };
    let feeding = async {
        if let (Some(pipe), Some(stdin)) = (pipe, stdin) {
            pipe.feed(stdin).await;
            pipe.close();
        }
        pending::<Infallible>().await
    };
    let verdict = tokio::select! {
        () = run.ended.cancelled() => Verdict::killed(),
        ended = running => ended?,
        never = feeding => match never {},
    };
    if !verdict.message.is_empty() {
        output.push(Stream::Stderr, format!("{}\n", verdict.message).into());
    }
    // A client that has left has closed its channels, and one that reads slowly shall have all.
    output.finish(Duration::MAX).await;
    Ok(verdict.code)
}
