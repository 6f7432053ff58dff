//! What crosses the socket, besides the contract's own messages.
//!
//! Numbers of fields and names of verbs are never used for anything else; `tests/transcripts` holds every released
//! major version to that.

mod frame;
mod reply;
mod requests;
mod verb;
mod version;

pub(crate) use frame::{AttachStart, Channel, ConnectStart, ExecStart, Frame, FrameKind, MAX_DATA_BYTES, Wanted};
pub(crate) use reply::{Reply, error_of};
pub(crate) use requests::Prepare;
pub(crate) use verb::Verb;
pub use version::{OLDEST_PROTOCOL, PROTOCOL};
pub(crate) use version::{accept, agreed};

/// The largest request. A pod's object is 1.5 MiB at most, and what its environment draws in a few times that.
pub(crate) const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The largest reply to `list`: a thousand runs and eight thousand exits with messages of 4 KiB, and half again.
pub(crate) const MAX_LISTING_BYTES: usize = 64 << 20;

/// What a peer may send on one stream before it was read.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Conversations (exec, attach, connect) and event streams of a client at the same time. Together their windows are
/// half of a connection's, so that clients that read nothing never hold up the other verbs.
pub(crate) const MAX_CONVERSATIONS: usize = 512;

/// See [`MAX_CONVERSATIONS`].
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES * 512;

/// Requests of all kinds at the same time on one connection.
pub(crate) const MAX_REQUESTS: u32 = 4096;

/// What a stream's sender holds that the peer has no room for yet.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 << 10;

/// Requests that the client gave up and the server has not seen yet: every one that runs into its deadline.
pub(crate) const MAX_GIVEN_UP: usize = 1024;

/// Frames between a conversation and the socket.
pub(crate) const FRAMES_IN_FLIGHT: usize = 2;
