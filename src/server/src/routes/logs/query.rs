//! The options of a log request: a v1 PodLogOptions in a query string, decoded and validated as the kubelet does.

use jiff::{SignedDuration, Timestamp};
use wasmnode_logs::Options;

use super::LogError;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) previous: bool,
    pub(super) options: Options,
    stream: Option<String>,
}

/// The query's pairs. The first of several with the same key counts.
struct Pairs<'a>(&'a [(String, String)]);

// === impl Query ===

impl Query {
    pub(super) fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<Self, LogError> {
        let pairs = Pairs(pairs);
        let tail_lines = pairs.tail_lines()?;
        let limit_bytes = pairs.number("limitBytes")?;
        let since_seconds = pairs.number("sinceSeconds")?;
        let since_time = pairs.time("sinceTime")?;
        let stream = pairs.get("stream").map(str::to_owned);
        let out_of_range =
            tail_lines.is_some_and(|n| n < 0) || [limit_bytes, since_seconds].iter().flatten().any(|n| *n < 1);
        if out_of_range || (since_seconds.is_some() && since_time.is_some()) || !is_valid(stream.as_deref(), tail_lines)
        {
            return Err(LogError::Invalid);
        }
        let options = Options {
            follow: pairs.flag("follow"),
            tail_lines: tail_lines.map(i64::unsigned_abs),
            since: since_time.or_else(|| since_seconds.map(|seconds| before(now, seconds))),
            timestamps: pairs.flag("timestamps"),
            limit_bytes: limit_bytes.map(i64::unsigned_abs),
            stream: None,
        };
        Ok(Self { previous: pairs.flag("previous"), options, stream })
    }

    /// Apart from `parse`, since the kubelet looks for pod and container first.
    pub(super) fn check_stream(&self) -> Result<(), LogError> {
        match &self.stream {
            Some(stream) if stream != "All" => Err(LogError::Stream { stream: stream.clone() }),
            _ => Ok(()),
        }
    }
}

// === impl Pairs ===

impl Pairs<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whatever is not written as false is true, the empty string too.
    fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn number(&self, key: &str) -> Result<Option<i64>, LogError> {
        self.get(key).map(|value| value.parse().map_err(|_| LogError::Undecodable)).transpose()
    }

    /// `tail` is what `tailLines` was called once, and wins.
    fn tail_lines(&self) -> Result<Option<i64>, LogError> {
        match self.get("tail") {
            None | Some("") => self.number("tailLines"),
            Some("all") => Ok(None),
            Some(_) => self.number("tail"),
        }
    }

    fn time(&self, key: &str) -> Result<Option<Timestamp>, LogError> {
        match self.get(key) {
            // Go's zero time: before everything.
            Some("" | "null") => Ok(Some(Timestamp::MIN)),
            Some(value) => value.parse().map(Some).map_err(|_| LogError::Undecodable),
            None => Ok(None),
        }
    }
}

fn is_valid(stream: Option<&str>, tail_lines: Option<i64>) -> bool {
    match stream {
        None | Some("All") => true,
        Some("Stdout" | "Stderr") => tail_lines.is_none(),
        Some(_) => false,
    }
}

fn before(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(query: &str) -> Result<Query, LogError> {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        };
        let pairs: Vec<_> = query.split('&').filter(|p| !p.is_empty()).map(pair).collect();
        Query::parse(&pairs, "2026-01-02T15:04:05Z".parse().unwrap())
    }

    #[test]
    fn options_are_read() {
        let since = |time: &str| Options { since: Some(time.parse().unwrap()), ..Options::default() };
        for (query, expected) in [
            ("", Options::default()),
            ("follow=true&follow=false", Options { follow: true, ..Options::default() }),
            ("follow=false&timestamps=0", Options::default()),
            ("follow&timestamps=yes", Options { follow: true, timestamps: true, ..Options::default() }),
            ("tailLines=0&limitBytes=1", Options { tail_lines: Some(0), limit_bytes: Some(1), ..Options::default() }),
            ("tail=7&tailLines=9", Options { tail_lines: Some(7), ..Options::default() }),
            ("tail=all&tailLines=9", Options::default()),
            ("sinceSeconds=5", since("2026-01-02T15:04:00Z")),
            ("sinceTime=2026-01-02T15:04:05+01:00", since("2026-01-02T14:04:05Z")),
            ("sinceTime=", Options { since: Some(Timestamp::MIN), ..Options::default() }),
            ("sinceSeconds=9223372036854775807", Options { since: Some(Timestamp::MIN), ..Options::default() }),
            ("stream=All&tailLines=2", Options { tail_lines: Some(2), ..Options::default() }),
            ("insecureSkipTLSVerifyBackend=true&container=x", Options::default()),
        ] {
            assert_eq!(parse(query).map(|q| q.options), Ok(expected), "{query}");
        }
        assert!(parse("previous=1").unwrap().previous);
    }

    #[test]
    fn bad_queries_are_refused() {
        for (query, expected) in [
            ("tailLines=x", LogError::Undecodable),
            ("tailLines=", LogError::Undecodable),
            ("limitBytes=1.5", LogError::Undecodable),
            ("sinceTime=yesterday", LogError::Undecodable),
            ("tail=-1", LogError::Invalid),
            ("tailLines=-1", LogError::Invalid),
            ("limitBytes=0", LogError::Invalid),
            ("sinceSeconds=0", LogError::Invalid),
            ("sinceSeconds=1&sinceTime=2026-01-02T15:04:05Z", LogError::Invalid),
            ("stream=stdout", LogError::Invalid),
            ("stream=Stdout&tailLines=1", LogError::Invalid),
        ] {
            assert_eq!(parse(query), Err(expected), "{query}");
        }
        let stream = LogError::Stream { stream: "Stdout".to_owned() };
        assert_eq!(parse("stream=Stdout").unwrap().check_stream(), Err(stream));
    }
}
