//! A process held by its pidfd: signals reach this one or none, whoever gets its pid later.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::death::Status;

/// How long the kernel may take to hand over the status of a process whose parent is another: its parent has to ask
/// for it first.
const REAPED_WITHIN: Duration = Duration::from_millis(500);
const REAPED_POLL: Duration = Duration::from_millis(20);

/// A process, alive or not.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    fd: AsyncFd<OwnedFd>,
}

// === impl Process ===

impl Process {
    /// Must be called on a tokio runtime.
    #[allow(unsafe_code)]
    pub(crate) fn open(pid: i32) -> io::Result<Self> {
        let known = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = rustix::process::pidfd_open(known, PidfdFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is open and the same until it is dropped, and the `AsyncFd` owns it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { pid, fd })
    }

    /// The process of this pid that began at `start_time`; `None` if that one is gone: nothing has the pid, or something
    /// that began at another time.
    ///
    /// # Errors
    /// Whatever keeps from knowing, such as a want of descriptors.
    pub(crate) fn find(pid: i32, start_time: u64) -> io::Result<Option<Self>> {
        if pid <= 0 {
            return Ok(None);
        }
        // In this order: once the descriptor is held, the pid stays with its process until that was waited for.
        let process = Self::open(pid);
        if process.as_ref().is_err_and(is_gone) {
            return Ok(None);
        }
        match self::start_time(pid) {
            Err(error) if is_gone(&error) => Ok(None),
            // Whatever has the pid, a thread of another process perhaps, for which there is no descriptor.
            Ok(at) if at != start_time => Ok(None),
            Ok(_) => process.map(Some),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(self.fd.get_ref(), signal)?)
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&self) {
        // Fails only while the runtime is being dropped.
        let _ready = self.fd.readable().await;
    }

    /// How it ended, if this process or the kernel can tell.
    pub(crate) async fn status(&self) -> Option<Status> {
        let child = rustix::process::waitid(WaitId::PidFd(self.fd.get_ref().as_fd()), WaitIdOptions::EXITED);
        if let Ok(Some(waited)) = child {
            let exited = waited.exit_status().map(Status::Exited);
            return exited.or_else(|| waited.terminating_signal().map(Status::Signalled));
        }
        let reaped = async {
            loop {
                if let Some(status) = exit_info(self.fd.get_ref()) {
                    return status;
                }
                tokio::time::sleep(REAPED_POLL).await;
            }
        };
        tokio::time::timeout(REAPED_WITHIN, reaped).await.ok()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}

/// Ends a child that was not waited for, and waits. Blocks, shortly.
pub(crate) fn kill_child(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // Fails only if it is gone, which is what is wanted.
    let _gone = rustix::process::kill_process(pid, Signal::KILL);
    let _waited = rustix::process::waitpid(Some(pid), WaitOptions::empty());
}

/// No such process: `ESRCH`, which is `ENOENT` in the names of `/proc`.
fn is_gone(error: &io::Error) -> bool {
    let gone = [rustix::io::Errno::SRCH, rustix::io::Errno::NOENT];
    error.raw_os_error().is_some_and(|code| gone.iter().any(|errno| errno.raw_os_error() == code))
}

/// What Linux 6.15 and later keep of a process that was reaped, for those who held it before.
#[allow(unsafe_code)]
fn exit_info(fd: &OwnedFd) -> Option<Status> {
    // SAFETY: all fields are integers.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(libc::PIDFD_INFO_EXIT);
    // SAFETY: the kernel writes at most the size that the request's number carries, which is that of `info`.
    let answered = unsafe { libc::ioctl(fd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) } == 0;
    let known = answered && info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0;
    known.then(|| Status::from_wait(info.exit_code))
}

/// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
pub(crate) fn start_time(pid: i32) -> io::Result<u64> {
    let field = stat_field(pid, 22)?.parse().ok();
    field.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/<pid>/stat has no start time"))
}

/// Whether the process of this pid that began at `start_time` can do anything still: one that only waits for its
/// parent cannot.
pub(crate) fn is_running(pid: i32, start_time: u64) -> bool {
    let over = |state: &str| matches!(state, "Z" | "X");
    self::start_time(pid).is_ok_and(|at| at == start_time) && stat_field(pid, 3).is_ok_and(|state| !over(&state))
}

/// Counted from 1, and after the second.
fn stat_field(pid: i32, number: usize) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = number.checked_sub(3).and_then(|skipped| after.split_ascii_whitespace().nth(skipped));
    field.map(str::to_owned).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/<pid>/stat is too short"))
}

/// Changes with every boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Runners by the id in their arguments, for those whose record is not complete.
pub(crate) fn find_runner(id: &str) -> Option<Process> {
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_runner(*pid, id)).find_map(|pid| {
        let process = Process::open(pid).ok()?;
        is_runner(pid, id).then_some(process)
    })
}

fn is_runner(pid: i32, id: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    // Not the first word while `systemd-run` has not become the runner yet.
    words.contains(&b"runner".as_slice()) && words.windows(2).any(|pair| pair == [b"--id", id.as_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn child(script: &str) -> std::process::Child {
        Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[tokio::test]
    async fn tells_how_a_child_ended() {
        for (script, status) in [("read x; exit 3", Status::Exited(3)), ("read x; kill -9 $$", Status::Signalled(9))] {
            let mut child = child(script);
            let process = Process::open(child.id().try_into().unwrap()).unwrap();
            drop(child.stdin.take());
            process.ended().await;
            assert_eq!(process.status().await, Some(status));
            assert!(child.wait().is_err(), "that was its status, which is given once");
        }
    }

    /// What an adopted runner is: somebody else's child.
    #[tokio::test]
    async fn tells_how_another_ones_child_ended() {
        use std::io::BufRead;
        let mut parent = child("sleep 100 <&- >&- & echo $!; wait");
        let mut line = String::new();
        std::io::BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let process = Process::open(line.trim().parse().unwrap()).unwrap();
        process.signal(Signal::KILL).unwrap();
        process.ended().await;
        let status = process.status().await;
        parent.wait().unwrap();
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let version: Vec<u32> = release.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
        let expected = (version >= vec![6, 15]).then_some(Status::Signalled(9));
        assert_eq!(status, expected, "Linux {release}");
    }

    #[tokio::test]
    async fn a_pid_alone_is_nobody() {
        let mut child = child("read x");
        let pid = child.id().try_into().unwrap();
        let started = start_time(pid).unwrap();
        assert_eq!(Process::find(pid, started).unwrap().unwrap().pid(), pid);
        assert!(Process::find(pid, started + 1).unwrap().is_none());
        assert!(is_running(pid, started) && !is_running(pid, started + 1));
        assert!(Process::find(0, 0).unwrap().is_none() && Process::find(-1, 0).unwrap().is_none());
        assert!(find_runner("0123456789abcdef").is_none());
        Process::find(pid, started).unwrap().unwrap().signal(Signal::KILL).unwrap();
        Process::open(pid).unwrap().ended().await;
        assert!(!is_running(pid, started), "it waits for its parent");
        child.wait().unwrap();
        assert!(Process::find(pid, started).unwrap().is_none());
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
