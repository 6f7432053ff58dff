//! The pod's own loopback: listeners in memory, shared by its containers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Connections that wait to be accepted, as the backlog of a socket.
const BACKLOG: usize = 64;

/// Bytes in flight in each direction of a connection.
const BUFFER: usize = 64 << 10;

type Ports = Arc<Mutex<HashMap<u16, mpsc::Sender<DuplexStream>>>>;

/// The listeners by port.
#[derive(Debug, Default)]
pub(crate) struct Loopback(Ports);

/// A port that is taken for as long as this exists.
#[derive(Debug)]
pub(crate) struct Listening {
    port: u16,
    ports: Ports,
    accepting: mpsc::Receiver<DuplexStream>,
}

fn lock(ports: &Ports) -> MutexGuard<'_, HashMap<u16, mpsc::Sender<DuplexStream>>> {
    ports.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Loopback ===

impl Loopback {
    /// `None` where another container of the pod has the port.
    pub(crate) fn listen(&self, port: u16) -> Option<Listening> {
        let (to, accepting) = mpsc::channel(BACKLOG);
        match lock(&self.0).entry(port) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(to);
                Some(Listening { port, ports: self.0.clone(), accepting })
            }
        }
    }

    /// A connection to the port, `None` where nothing listens or too many wait.
    pub(crate) fn connect(&self, port: u16) -> Option<DuplexStream> {
        let listener = lock(&self.0).get(&port).cloned()?;
        let (near, far) = tokio::io::duplex(BUFFER);
        listener.try_send(far).ok().map(|()| near)
    }
}

// === impl Listening ===

impl Listening {
    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Option<DuplexStream> {
        self.accepting.recv().await
    }

    /// Takes no more connections; those that wait can still be accepted.
    pub(crate) fn close(&mut self) {
        lock(&self.ports).remove(&self.port);
        self.accepting.close();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut ports = lock(&self.ports);
        // After `close` the port may belong to the next run of the container.
        if !self.accepting.is_closed() {
            ports.remove(&self.port);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn connects_inside_the_pod() {
        let loopback = Loopback::default();
        assert!(loopback.connect(80).is_none());
        let mut listening = loopback.listen(80).unwrap();
        assert!(loopback.listen(80).is_none(), "the port is taken");
        let mut client = loopback.connect(80).unwrap();
        client.write_all(b"hello").await.unwrap();
        drop(client);
        let mut text = String::new();
        listening.accept().await.unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    }

    #[tokio::test]
    async fn a_closed_port_is_free_for_the_next_while_the_last_connections_are_accepted() {
        let loopback = Loopback::default();
        let mut first = loopback.listen(80).unwrap();
        let _client = loopback.connect(80).unwrap();
        first.close();
        let second = loopback.listen(80).unwrap();
        assert!(first.accept().await.is_some());
        assert!(first.accept().await.is_none());
        drop(first);
        assert!(loopback.connect(80).is_some(), "the second still listens");
        drop(second);
        assert!(loopback.connect(80).is_none());
    }

    #[tokio::test]
    async fn a_full_backlog_refuses() {
        let loopback = Loopback::default();
        let _listening = loopback.listen(80).unwrap();
        let waiting: Vec<_> = (0..BACKLOG).map_while(|_| loopback.connect(80)).collect();
        assert_eq!(waiting.len(), BACKLOG);
        assert!(loopback.connect(80).is_none());
    }
}
