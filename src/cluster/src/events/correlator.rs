//! Which events are sent, and how: again means counting up, many similar ones become one, and an object that never
//! stops is not listened to. client-go's correlator with its defaults (contract section 6), with the time passed in.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::bucket::Bucket;
use super::lru::Lru;
use super::object;

/// Entries of each cache.
const CACHE: usize = 4096;

/// From this many messages of one kind on they are combined.
const SIMILAR: usize = 10;

/// Messages further apart are not similar.
const SIMILAR_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Events about one object at once, and how many more a second.
const SPAM_BURST: f64 = 25.0;
const SPAM_RATE: f64 = 1.0 / 300.0;

/// What to do with an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Nothing: there are too many about this object.
    Filtered,
    /// It is new.
    Create(Box<Event>),
    /// It was there before: the patch counts it up. Where the old one has expired, the event is created.
    Count(Box<Event>, Value),
}

/// All memory of earlier events.
pub(super) struct Correlator {
    hasher: RandomState,
    similar: Lru<Similar>,
    seen: Lru<Seen>,
    spam: Lru<Bucket>,
}

/// Events that differ in their message only.
struct Similar {
    messages: HashSet<u64>,
    last: Timestamp,
}

/// The event that equal ones are counted in.
#[derive(Default)]
struct Seen {
    count: i32,
    name: Option<String>,
    first: Option<Time>,
}

impl Default for Correlator {
    fn default() -> Self {
        Self { hasher: RandomState::new(), similar: Lru::new(CACHE), seen: Lru::new(CACHE), spam: Lru::new(CACHE) }
    }
}

impl Correlator {
    /// Takes note of an event.
    pub(super) fn observe(&mut self, event: Event, now: Timestamp) -> Verdict {
        let (event, key) = self.combine(event, now);
        let about = self.hasher.hash_one(about(&event));
        let verdict = self.count(event, key);
        let bucket = self.spam.get_or_insert_with(about, || Bucket::full(SPAM_RATE, SPAM_BURST, now));
        if bucket.take(now).is_err() { Verdict::Filtered } else { verdict }
    }

    /// The event, or the one that stands for many similar ones, with the key by which it is counted.
    fn combine(&mut self, event: Event, now: Timestamp) -> (Event, u64) {
        let message = self.hasher.hash_one(&event.message);
        let kind = self.hasher.hash_one((about(&event), &event.type_, &event.reason));
        let similar = self.similar.get_or_insert_with(kind, || Similar { messages: HashSet::new(), last: now });
        if now.duration_since(similar.last) > SIMILAR_WITHIN {
            similar.messages.clear();
        }
        similar.last = now;
        if similar.messages.len() < SIMILAR - 1 || similar.messages.contains(&message) {
            similar.messages.insert(message);
            let key = self.hasher.hash_one((kind, &event.involved_object.field_path, message));
            return (event, key);
        }
        (combined(event, now), kind)
    }

    fn count(&mut self, mut event: Event, key: u64) -> Verdict {
        let seen = self.seen.get_or_insert_with(key, Seen::default);
        seen.count = seen.count.saturating_add(1);
        event.count = Some(seen.count);
        if seen.count == 1 {
            seen.name = event.metadata.name.clone();
            seen.first = event.first_timestamp.clone();
            return Verdict::Create(Box::new(event));
        }
        event.metadata.name = seen.name.clone();
        event.first_timestamp = seen.first.clone();
        let patch = json!({ "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message });
        Verdict::Count(Box::new(event), patch)
    }
}

fn combined(mut event: Event, now: Timestamp) -> Event {
    let message = event.message.unwrap_or_default();
    event.metadata.name = Some(object::name(event.involved_object.name.as_deref().unwrap_or_default(), now));
    event.message = Some(format!("(combined from similar events): {message}"));
    event
}

/// Whom an event is about, and who says it.
fn about(event: &Event) -> [Option<&str>; 7] {
    let object = &event.involved_object;
    let source = event.source.as_ref();
    [
        source.and_then(|source| source.component.as_deref()),
        source.and_then(|source| source.host.as_deref()),
        object.kind.as_deref(),
        object.namespace.as_deref(),
        object.name.as_deref(),
        object.uid.as_deref(),
        object.api_version.as_deref(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmnode_core::{Record, Severity};

    use super::*;
    use crate::testing::{at, pod_ref};

    fn event(pod: &str, reason: &'static str, message: &str, second: i64) -> Event {
        let record = Record::pod(Severity::Warning, reason, message);
        object::about_pod("wasm-1", &pod_ref(pod, pod), "1", record, at(second))
    }

    /// `create MESSAGE`, `count N MESSAGE` or `filtered`.
    fn observe(correlator: &mut Correlator, event: Event, second: i64) -> String {
        match correlator.observe(event, at(second)) {
            Verdict::Filtered => "filtered".to_owned(),
            Verdict::Create(event) => format!("create {}", event.message.unwrap()),
            Verdict::Count(event, patch) => {
                assert_eq!(patch["count"], event.count.unwrap());
                format!("count {} {}", patch["count"], patch["message"].as_str().unwrap())
            }
        }
    }

    #[test]
    fn an_equal_event_counts_up_under_its_first_name() {
        let mut correlator = Correlator::default();
        let first = event("p", "BackOff", "Back-off", 1);
        let name = first.metadata.name.clone();
        assert_eq!(observe(&mut correlator, first, 1), "create Back-off");
        assert_eq!(observe(&mut correlator, event("q", "BackOff", "Back-off", 2), 2), "create Back-off");
        assert_eq!(observe(&mut correlator, event("p", "Failed", "Back-off", 3), 3), "create Back-off");
        let Verdict::Count(again, patch) = correlator.observe(event("p", "BackOff", "Back-off", 4), at(4)) else {
            panic!("not counted")
        };
        assert_eq!((again.metadata.name, again.count), (name, Some(2)));
        assert_eq!(again.first_timestamp, Some(Time(at(1))));
        assert_eq!(patch, json!({"count": 2, "lastTimestamp": "1970-01-01T00:00:04Z", "message": "Back-off"}));
    }

    #[test]
    fn the_tenth_similar_event_is_combined_and_counted() {
        let mut correlator = Correlator::default();
        for n in 0..9 {
            let message = format!("try {n}");
            assert_eq!(observe(&mut correlator, event("p", "Unhealthy", &message, n), n), format!("create {message}"));
        }
        let mut last = event("p", "Unhealthy", "try 9", 9);
        last.involved_object.field_path = Some("spec.containers{c}".to_owned());
        let tenth = observe(&mut correlator, last, 9);
        assert_eq!(tenth, "create (combined from similar events): try 9");
        let next = observe(&mut correlator, event("p", "Unhealthy", "try 10", 10), 10);
        assert_eq!(next, "count 2 (combined from similar events): try 10");
        let known = observe(&mut correlator, event("p", "Unhealthy", "try 3", 11), 11);
        assert_eq!(known, "count 2 try 3");
        let later = observe(&mut correlator, event("p", "Unhealthy", "try 11", 700), 700);
        assert_eq!(later, "create try 11");
    }

    #[test]
    fn an_object_that_never_stops_is_not_listened_to() {
        let mut correlator = Correlator::default();
        let told = |correlator: &mut Correlator, second| {
            observe(correlator, event("p", "BackOff", "Back-off", second), second) != "filtered"
        };
        assert_eq!((0..60).filter(|_| told(&mut correlator, 0)).count(), 25);
        assert!(!told(&mut correlator, 299));
        assert!(told(&mut correlator, 300));
        assert!(!told(&mut correlator, 301));
        assert_eq!(observe(&mut correlator, event("q", "BackOff", "Back-off", 301), 301), "create Back-off");
    }
}
