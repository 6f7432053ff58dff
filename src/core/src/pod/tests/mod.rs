//! The lifecycle, as tables of what must follow what and as properties of random histories.

#![allow(clippy::unwrap_used)]

mod adopted;
mod broken;
mod checks;
mod ended;
mod live;
mod play;
mod properties;
mod survive;
mod table;
mod world;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod as ApiPod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::desired::{self, Deletion, Desired};

/// Seconds after an arbitrary start.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A pod `web` in `default` with containers of the given names.
pub(super) fn mk_desired(policy: &str, containers: &[&str]) -> Desired {
    let container = |name: &&str| Container {
        name: (*name).to_owned(),
        image: Some("registry.test/app:1".to_owned()),
        ..Container::default()
    };
    desired::parse(&ApiPod {
        metadata: ObjectMeta {
            name: Some("web".to_owned()),
            namespace: Some("default".to_owned()),
            uid: Some("uid-1".to_owned()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: containers.iter().map(container).collect(),
            restart_policy: Some(policy.to_owned()),
            ..PodSpec::default()
        }),
        status: None,
    })
}

pub(super) fn deleted(desired: &Desired, now: Timestamp, grace_seconds: i64) -> Arc<Desired> {
    let at = now + SignedDuration::from_secs(grace_seconds);
    Arc::new(Desired { deletion: Some(Deletion { at, grace_seconds }), ..desired.clone() })
}
