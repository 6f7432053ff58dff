//! A client at the standard streams of a run.

use std::future::pending;
use std::sync::Arc;

use wasmnode_provider_api::{Stdin, Streams as ClientStreams};

use crate::run::Run;
use crate::stdio::{Pipe, Tee};

/// Undoes what the client changed, also when it is dropped in the middle.
struct Attached {
    run: Arc<Run>,
    tee: u64,
    pipe: Option<Arc<Pipe>>,
}

impl Attached {
    /// The first client to leave takes the guest's standard input with it, where the pod says so.
    fn input_ended(&self) {
        if let Some(pipe) = &self.pipe
            && self.run.spec.stdio.stdin == (Stdin::Open { once: true })
        {
            pipe.close();
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.run.streams.output.remove_tee(self.tee);
        self.input_ended();
    }
}

/// Returns when the run or the client's streams end. Input for a run without an open stdin is not read.
pub(crate) async fn attach(run: Arc<Run>, client: ClientStreams) {
    let ClientStreams { stdin, stdout, stderr, resize: _ } = client;
    let tee = Tee { stdout, stderr };
    let listens = tee.stdout.is_some() || tee.stderr.is_some();
    let readable = run.spec.stdio.stdin != Stdin::Empty;
    let pipe = run.streams.stdin.clone().filter(|_| readable && stdin.is_some());
    let attached = Attached { tee: run.streams.output.add_tee(tee.clone()), pipe, run };

    let feeding = async {
        if let (Some(pipe), Some(stdin)) = (&attached.pipe, stdin) {
            pipe.feed(stdin).await;
            attached.input_ended();
        }
    };
    let streams = async {
        // A client that has said all may still listen.
        feeding.await;
        if listens {
            pending::<()>().await;
        }
    };
    let left = async {
        if listens {
            tee.closed().await;
        } else {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = attached.run.ended.cancelled() => {}
        () = streams => {}
        () = left => {}
    }
}
