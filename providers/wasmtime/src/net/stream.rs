//! Byte channels of the contract, made of a connection in memory.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use wasmnode_provider_api::Duplex;

/// Bytes of one message at most.
const CHUNK: usize = 16 << 10;

/// The caller's end of a connection. Its pumps run on `runtime` until one of the sides has closed.
pub(crate) fn duplex(runtime: &Handle, connection: DuplexStream) -> Duplex {
    let (theirs, ours) = Duplex::pair();
    let (reading, writing) = tokio::io::split(connection);
    runtime.spawn(forward(reading, ours.to));
    runtime.spawn(feed(ours.from, writing));
    theirs
}

async fn forward(mut from: ReadHalf<DuplexStream>, to: mpsc::Sender<Bytes>) {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        buffer.reserve(CHUNK);
        let read = tokio::select! {
            read = from.read_buf(&mut buffer) => read,
            () = to.closed() => return,
        };
        if !matches!(read, Ok(1..)) || to.send(buffer.split().freeze()).await.is_err() {
            return;
        }
    }
}

async fn feed(mut from: mpsc::Receiver<Bytes>, mut to: WriteHalf<DuplexStream>) {
    while let Some(bytes) = from.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _closed = to.shutdown().await;
}
