//! Events and exits.

use super::{Id, Time, malformed, required, variant, wire};
use crate::Error;

/// As [`crate::ExitReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum ExitReason {
    Unspecified = 0,
    Exited = 1,
    Trap = 2,
    OutOfMemory = 3,
    Stopped = 4,
    Killed = 5,
    Lost = 6,
}

impl From<crate::ExitReason> for ExitReason {
    fn from(reason: crate::ExitReason) -> Self {
        match reason {
            crate::ExitReason::Exited => Self::Exited,
            crate::ExitReason::Trap => Self::Trap,
            crate::ExitReason::OutOfMemory => Self::OutOfMemory,
            crate::ExitReason::Stopped => Self::Stopped,
            crate::ExitReason::Killed => Self::Killed,
            crate::ExitReason::Lost => Self::Lost,
        }
    }
}

impl TryFrom<ExitReason> for crate::ExitReason {
    type Error = ();

    fn try_from(reason: ExitReason) -> Result<Self, ()> {
        match reason {
            ExitReason::Unspecified => Err(()),
            ExitReason::Exited => Ok(Self::Exited),
            ExitReason::Trap => Ok(Self::Trap),
            ExitReason::OutOfMemory => Ok(Self::OutOfMemory),
            ExitReason::Stopped => Ok(Self::Stopped),
            ExitReason::Killed => Ok(Self::Killed),
            ExitReason::Lost => Ok(Self::Lost),
        }
    }
}

/// As [`crate::Exit`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Exit {
    #[prost(message, optional, tag = "1")]
    pub run: Option<Id>,
    #[prost(sint32, tag = "2")]
    pub code: i32,
    #[prost(enumeration = "ExitReason", tag = "3")]
    pub reason: i32,
    #[prost(string, tag = "4")]
    pub message: String,
    #[prost(message, optional, tag = "5")]
    pub started_at: Option<Time>,
    #[prost(message, optional, tag = "6")]
    pub finished_at: Option<Time>,
}

impl From<crate::Exit> for Exit {
    fn from(exit: crate::Exit) -> Self {
        Self {
            run: Some(exit.run.into()),
            code: exit.code,
            reason: ExitReason::from(exit.reason).into(),
            message: exit.message,
            started_at: Some(exit.started_at.into()),
            finished_at: Some(exit.finished_at.into()),
        }
    }
}

impl TryFrom<Exit> for crate::Exit {
    type Error = Error;

    fn try_from(exit: Exit) -> Result<Self, Error> {
        Ok(Self {
            run: required(exit.run, "exit.run")?,
            code: exit.code,
            reason: variant::<ExitReason, _>(exit.reason, "exit.reason")?,
            message: exit.message,
            started_at: required(exit.started_at, "exit.started_at")?,
            finished_at: required(exit.finished_at, "exit.finished_at")?,
        })
    }
}

/// As [`crate::Event::Started`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct Started {
    #[prost(message, optional, tag = "1")]
    pub run: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub at: Option<Time>,
}

/// As [`crate::Event::FirstRequest`].
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs)]
pub struct FirstRequest {
    #[prost(message, optional, tag = "1")]
    pub run: Option<Id>,
}

/// As [`crate::Event`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Which.
    #[prost(oneof = "EventKind", tags = "1, 2, 3")]
    pub kind: Option<EventKind>,
}

/// The variants of [`crate::Event`].
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum EventKind {
    #[prost(message, tag = "1")]
    Started(Started),
    #[prost(message, tag = "2")]
    Exited(Exit),
    #[prost(message, tag = "3")]
    FirstRequest(FirstRequest),
}

impl From<crate::Event> for Event {
    fn from(event: crate::Event) -> Self {
        let kind = match event {
            crate::Event::Started { run, at } => {
                EventKind::Started(Started { run: Some(run.into()), at: Some(at.into()) })
            }
            crate::Event::Exited(exit) => EventKind::Exited(exit.into()),
            crate::Event::FirstRequest { run } => EventKind::FirstRequest(FirstRequest { run: Some(run.into()) }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<Event> for crate::Event {
    type Error = Error;

    fn try_from(event: Event) -> Result<Self, Error> {
        match event.kind.ok_or_else(|| malformed("event has no known kind"))? {
            EventKind::Started(started) => Ok(Self::Started {
                run: required(started.run, "started.run")?,
                at: required(started.at, "started.at")?,
            }),
            EventKind::Exited(exit) => Ok(Self::Exited(exit.try_into()?)),
            EventKind::FirstRequest(first) => Ok(Self::FirstRequest { run: required(first.run, "first_request.run")? }),
        }
    }
}

wire!(Exit => Exit, Event => Event);
