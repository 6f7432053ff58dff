//! What a new status takes over from the one before: times tell when something changed, not when it was looked at.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Keeps the start time, which never changes, and the transition times of conditions whose status did not.
pub(super) fn carry_over(status: &mut PodStatus, base: Option<&PodStatus>, now: Timestamp) {
    if let Some(start) = base.and_then(|base| base.start_time.as_ref()) {
        status.start_time = Some(start.clone());
    }
    let before = base.and_then(|base| base.conditions.as_deref()).unwrap_or_default();
    for condition in status.conditions.iter_mut().flatten() {
        let same = before.iter().find(|old| old.type_ == condition.type_ && old.status == condition.status);
        if let Some(since) = same.and_then(|old| old.last_transition_time.as_ref()) {
            condition.last_transition_time = Some(since.clone());
        }
        condition.last_transition_time.get_or_insert(Time(now));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::at;

    fn status(value: serde_json::Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn times_change_with_what_they_tell() {
        let base = status(json!({"startTime": "2026-01-01T00:00:00Z", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
            {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"},
        ]}));
        let mut new = status(json!({"startTime": "2026-02-01T00:00:00Z", "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-02-01T00:00:01Z"},
            {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-02-01T00:00:02Z"},
            {"type": "ContainersReady", "status": "True"},
        ]}));
        carry_over(&mut new, Some(&base), at(0));
        assert_eq!(
            serde_json::to_value(new).unwrap(),
            json!({"startTime": "2026-01-01T00:00:00Z", "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": "2026-02-01T00:00:01Z"},
                {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"},
            ]})
        );
    }
}
