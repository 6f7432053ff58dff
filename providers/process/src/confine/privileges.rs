//! Capabilities, inherited descriptors, and what else a process has from its parent.

use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::ConfineError;

/// Files of a group are for its user, and read by its group.
const UMASK: Mode = Mode::from_raw_mode(0o027);

/// Descriptors beyond the standard three that a careless parent left open.
#[allow(unsafe_code)]
pub(super) fn close_inherited() {
    // SAFETY: by the contract of `confine` nothing in this process owns one of the closed numbers.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

pub(super) fn give_up() -> Result<(), ConfineError> {
    let done = |what, result: rustix::io::Result<()>| {
        result.map_err(|errno| ConfineError::Privileges { what, source: io::Error::from(errno) })
    };
    done("core dumps", rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }))?;
    done("new privileges", rustix::thread::set_no_new_privs(true))?;
    done("the bounding set of capabilities", empty_bounding_set())?;
    done("ambient capabilities", rustix::thread::clear_ambient_capability_set())?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    done("capabilities", rustix::thread::set_capabilities(None, sets))?;
    done("the session", new_session())?;
    rustix::process::umask(UMASK);
    Ok(())
}

/// Needs a capability itself. Without that one the other sets were as good as empty, and stay so.
fn empty_bounding_set() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Of a newer kernel than this one.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::PERM) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Who leads a session or a group already was started in one of its own.
fn new_session() -> rustix::io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}
