//! What a scripted run does.

use std::time::Duration;

/// Steps in order; after the last one the run exits with 0.
///
/// Written as words, separated by blanks or commas: `run 2s, exit 1`, `ignore stop, never exit`, `trap`,
/// `use 64 MiB`, `await stdin`. A first word that begins no step is the program's name and skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) ignores_stop: bool,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `run 2s`: goes on after this time; `ms`, `s` and `m` are units.
    Run(Duration),
    /// `exit 3`: ends with n & 0xff.
    Exit(i32),
    /// `trap`: ends with 134.
    Trap,
    /// `use 64 MiB`: ends with 137 where the memory limit is lower.
    Use(u64),
    /// `await stdin`: goes on when the standard input is closed.
    AwaitStdin,
    /// `never exit`.
    NeverExit,
}

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The word at fault.
    pub word: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "script has no step at {:?}", self.word)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Goes on until it is told to end.
    pub fn never_exit() -> Self {
        Self { steps: vec![Step::NeverExit], ignores_stop: false }
    }

    /// Reads a script from a run's arguments.
    ///
    /// # Errors
    /// [`ScriptError`] naming the first word that begins no step.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Self, ScriptError> {
        let words: Vec<&str> =
            arguments.iter().flat_map(|a| a.as_ref().split([' ', ','])).filter(|word| !word.is_empty()).collect();
        let mut rest = words.as_slice();
        if let Some((_program, arguments)) = rest.split_first().filter(|(first, _)| !begins_step(first)) {
            rest = arguments;
        }
        let mut script = Self { steps: Vec::new(), ignores_stop: false };
        while !rest.is_empty() {
            rest = script.take_step(rest)?;
        }
        Ok(script)
    }

    /// Reads one step and returns the words after it.
    fn take_step<'a>(&mut self, words: &'a [&'a str]) -> Result<&'a [&'a str], ScriptError> {
        let wrong = || ScriptError { word: words.first().copied().unwrap_or_default().to_owned() };
        let (step, rest) = match words {
            ["ignore", "stop", rest @ ..] => {
                self.ignores_stop = true;
                return Ok(rest);
            }
            ["run", time, rest @ ..] => (duration(time).map(Step::Run), rest),
            ["exit", code, rest @ ..] => (code.parse().ok().map(Step::Exit), rest),
            ["use", size, "MiB", rest @ ..] => (mebibytes(size), rest),
            ["use", size, rest @ ..] => (size.strip_suffix("MiB").and_then(mebibytes), rest),
            ["trap", rest @ ..] => (Some(Step::Trap), rest),
            ["await", "stdin", rest @ ..] => (Some(Step::AwaitStdin), rest),
            ["never", "exit", rest @ ..] => (Some(Step::NeverExit), rest),
            _ => return Err(wrong()),
        };
        self.steps.push(step.ok_or_else(wrong)?);
        Ok(rest)
    }
}

fn begins_step(word: &str) -> bool {
    matches!(word, "ignore" | "run" | "exit" | "use" | "trap" | "await" | "never")
}

fn mebibytes(size: &str) -> Option<Step> {
    size.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << 20)).map(Step::Use)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let n: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(n)),
        "s" => Some(Duration::from_secs(n)),
        "m" => n.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_says() {
        let two_seconds = Step::Run(Duration::from_secs(2));
        let cases: [(&[&str], &[Step], bool); 7] = [
            (&["run", "2s", "exit", "1"], &[two_seconds, Step::Exit(1)], false),
            (&["program.wasm", "run 2s, exit 1"], &[two_seconds, Step::Exit(1)], false),
            (&["ignore stop", "never exit"], &[Step::NeverExit], true),
            (&["use 64 MiB", "trap"], &[Step::Use(64 << 20), Step::Trap], false),
            (&["use 1MiB", "run", "5ms"], &[Step::Use(1 << 20), Step::Run(Duration::from_millis(5))], false),
            (&["await stdin"], &[Step::AwaitStdin], false),
            (&["program.wasm"], &[], false),
        ];
        for (arguments, steps, ignores_stop) in cases {
            assert_eq!(Script::parse(arguments), Ok(Script { steps: steps.to_vec(), ignores_stop }), "{arguments:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_script() {
        for arguments in [&["program", "--help"][..], &["run", "fast"], &["exit"], &["use", "64", "apples"]] {
            assert!(Script::parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
