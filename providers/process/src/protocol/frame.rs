//! What the two ends of an exec, attach or connect say to each other.
//!
//! The client's first frame says what it wants. Then bytes go both ways per channel; who has no more to say on a
//! channel says `closed`, who no longer reads one says `left`. The server's last frame is the result.

use bytes::Bytes;
use wasmnode_provider_api::{Error, ExecSpec, RunId, SandboxId, wire};

use super::requests::required;

/// More in one piece is cut, so that a message stays far below its limit and other streams get their turn.
pub(crate) const MAX_DATA_BYTES: usize = 64 << 10;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Frame {
    #[prost(oneof = "FrameKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub(crate) kind: Option<FrameKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FrameKind {
    #[prost(message, tag = "1")]
    Exec(ExecStart),
    #[prost(message, tag = "2")]
    Attach(AttachStart),
    #[prost(message, tag = "3")]
    Connect(ConnectStart),
    #[prost(message, tag = "4")]
    Data(Data),
    #[prost(message, tag = "5")]
    Closed(Closed),
    #[prost(message, tag = "6")]
    Left(Left),
    #[prost(message, tag = "7")]
    Resize(wire::TerminalSize),
    /// A connection is open.
    #[prost(message, tag = "8")]
    Accepted(()),
    /// An exec has ended.
    #[prost(sint32, tag = "9")]
    Exit(i32),
    /// An attach or a connection has ended.
    #[prost(message, tag = "10")]
    Done(()),
    #[prost(message, tag = "11")]
    Failure(wire::Failure),
}

/// The streams that the client has. A connection has standard input towards the pod and standard output from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Channel {
    Unspecified = 0,
    Stdin = 1,
    Stdout = 2,
    Stderr = 3,
}

/// Which streams the client asked for.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Wanted {
    #[prost(bool, tag = "1")]
    pub(crate) stdin: bool,
    #[prost(bool, tag = "2")]
    pub(crate) stdout: bool,
    #[prost(bool, tag = "3")]
    pub(crate) stderr: bool,
    #[prost(bool, tag = "4")]
    pub(crate) resize: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecStart {
    #[prost(message, optional, tag = "1")]
    pub(crate) spec: Option<wire::ExecSpec>,
    #[prost(message, optional, tag = "2")]
    pub(crate) wanted: Option<Wanted>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AttachStart {
    #[prost(message, optional, tag = "1")]
    pub(crate) run: Option<wire::Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) wanted: Option<Wanted>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectStart {
    #[prost(message, optional, tag = "1")]
    pub(crate) sandbox: Option<wire::Id>,
    #[prost(uint32, tag = "2")]
    pub(crate) port: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Data {
    #[prost(enumeration = "Channel", tag = "1")]
    pub(crate) channel: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) bytes: Bytes,
}

/// No more bytes will come.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Closed {
    #[prost(enumeration = "Channel", tag = "1")]
    pub(crate) channel: i32,
}

/// Bytes are no longer read.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Left {
    #[prost(enumeration = "Channel", tag = "1")]
    pub(crate) channel: i32,
}

impl From<FrameKind> for Frame {
    fn from(kind: FrameKind) -> Self {
        Self { kind: Some(kind) }
    }
}

// === impl Channel ===

impl Channel {
    pub(crate) fn data(self, bytes: Bytes) -> Frame {
        FrameKind::Data(Data { channel: self.into(), bytes }).into()
    }

    pub(crate) fn closed(self) -> Frame {
        FrameKind::Closed(Closed { channel: self.into() }).into()
    }

    pub(crate) fn left(self) -> Frame {
        FrameKind::Left(Left { channel: self.into() }).into()
    }
}

// === impl ExecStart ===

impl ExecStart {
    pub(crate) fn new(spec: ExecSpec, wanted: Wanted) -> Self {
        Self { spec: Some(spec.into()), wanted: Some(wanted) }
    }

    pub(crate) fn read(self) -> Result<(ExecSpec, Wanted), Error> {
        Ok((required(self.spec, "exec.spec")?, self.wanted.unwrap_or_default()))
    }
}

// === impl AttachStart ===

impl AttachStart {
    pub(crate) fn new(run: &RunId, wanted: Wanted) -> Self {
        Self { run: Some(run.clone().into()), wanted: Some(wanted) }
    }

    pub(crate) fn read(self) -> Result<(RunId, Wanted), Error> {
        Ok((required(self.run, "attach.run")?, self.wanted.unwrap_or_default()))
    }
}

// === impl ConnectStart ===

impl ConnectStart {
    pub(crate) fn new(sandbox: &SandboxId, port: u16) -> Self {
        Self { sandbox: Some(sandbox.clone().into()), port: port.into() }
    }

    pub(crate) fn read(self) -> Result<(SandboxId, u16), Error> {
        let port = u16::try_from(self.port)
            .map_err(|_| Error::Malformed(format!("connect.port is {}, more than 65535", self.port)))?;
        Ok((required(self.sandbox, "connect.sandbox")?, port))
    }
}
