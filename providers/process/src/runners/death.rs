//! How a runner died, as far as Linux tells.

use rustix::process::Signal;

/// What is known after a death.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Death {
    /// From `waitid` or the pidfd; `None` where neither knew.
    pub(crate) status: Option<Status>,
    /// The kernel killed something in its cgroup for lack of memory.
    pub(crate) out_of_memory: bool,
    /// It was killed because it did not answer.
    pub(crate) hung: bool,
    /// The first line of its last words.
    pub(crate) crash: Option<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Signalled(i32),
}

/// Deaths by what caused them, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeathCause {
    /// It ended by itself.
    Exited,
    /// A signal that nobody here sent.
    Signal,
    /// The kernel, for lack of memory.
    OutOfMemory,
    /// It did not answer and was killed.
    Hung,
    /// It was gone when the agent started.
    Unknown,
}

// === impl Death ===

impl Death {
    pub(crate) fn cause(&self) -> DeathCause {
        match self.status {
            _ if self.hung => DeathCause::Hung,
            Some(Status::Signalled(_)) if self.out_of_memory => DeathCause::OutOfMemory,
            Some(Status::Signalled(_)) => DeathCause::Signal,
            Some(Status::Exited(_)) => DeathCause::Exited,
            None => DeathCause::Unknown,
        }
    }

    /// The message of every exit that the death caused.
    pub(crate) fn text(&self, pid: i32, group: &str, patience_seconds: u64) -> String {
        let crash = self.crash.as_ref().map(|line| format!(": {line}")).unwrap_or_default();
        let how = match (self.cause(), self.status) {
            (DeathCause::Hung, _) => format!("did not answer for {patience_seconds} s and was killed"),
            (DeathCause::OutOfMemory, _) => "ran out of memory (oom_kill)".to_owned(),
            (_, Some(Status::Exited(status))) => format!("exited with status {status}{crash}"),
            (_, Some(Status::Signalled(signal))) => {
                format!("was killed by signal {signal}{}{crash}", signal_name(signal))
            }
            (_, None) => format!("ended: cause unknown, the agent was restarted{crash}"),
        };
        format!("runner {pid} of group {group} {how}")
    }
}

// === impl Status ===

impl Status {
    /// From a status in the form that `wait` has.
    pub(crate) fn from_wait(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Exited((raw >> 8) & 0xff),
            signal => Self::Signalled(signal),
        }
    }
}

/// ` (SIGKILL)`, or nothing for a number without a name.
fn signal_name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 15] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
        (Signal::SYS, "SIGSYS"),
    ];
    let named = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    named.map(|(_, name)| format!(" ({name})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_known() {
        let crash = || Some("thread panicked".to_owned());
        let death = |status: Option<i32>| Death { status: status.map(Status::from_wait), ..Death::default() };
        let cases = [
            (death(Some(9)), "was killed by signal 9 (SIGKILL)", DeathCause::Signal),
            (death(Some(6 | 0x80)), "was killed by signal 6 (SIGABRT)", DeathCause::Signal),
            (death(Some(40)), "was killed by signal 40", DeathCause::Signal),
            (death(Some(0)), "exited with status 0", DeathCause::Exited),
            (
                Death { crash: crash(), ..death(Some(1 << 8)) },
                "exited with status 1: thread panicked",
                DeathCause::Exited,
            ),
            (
                Death { crash: crash(), ..death(Some(6)) },
                "was killed by signal 6 (SIGABRT): thread panicked",
                DeathCause::Signal,
            ),
            (Death { out_of_memory: true, ..death(Some(9)) }, "ran out of memory (oom_kill)", DeathCause::OutOfMemory),
            (Death { out_of_memory: true, ..death(Some(0)) }, "exited with status 0", DeathCause::Exited),
            (Death { hung: true, ..death(Some(9)) }, "did not answer for 15 s and was killed", DeathCause::Hung),
            (death(None), "ended: cause unknown, the agent was restarted", DeathCause::Unknown),
        ];
        for (death, text, cause) in cases {
            assert_eq!(death.text(4711, "ns-default", 15), format!("runner 4711 of group ns-default {text}"));
            assert_eq!(death.cause(), cause);
        }
    }
}
