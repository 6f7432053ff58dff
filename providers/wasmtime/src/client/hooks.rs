//! What the engine asks of us when a guest uses `wasi:http`.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::send::send;
use crate::net::Network;

/// The outcome of a request's own work, of which we have none that is not done when there is a response.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Bytes of a body that the host holds for a guest in one piece; there are two of them at most. The engine's own bound
/// is a megabyte, which is not counted against anybody's limit.
const BODY_CHUNK: usize = 64 << 10;

pub(crate) struct Hooks {
    network: Arc<Network>,
}

impl Hooks {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        Self { network }
    }
}

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        let sending = send(self.network.clone(), request, options);
        Box::new(async move {
            let response = sending.await?;
            Ok((response, Box::new(async { Ok(()) }) as Io))
        })
    }
}
