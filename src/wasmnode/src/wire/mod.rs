//! Joins crates that do not know each other: each type here makes what one crate has into what another one asks for.

mod feed;
mod health;
mod pods;
mod reviewer;
mod statuses;

pub(crate) use feed::forward;
pub(crate) use health::NodeHealth;
pub(crate) use pods::ServedPods;
pub(crate) use reviewer::ClusterReviewer;
pub(crate) use statuses::PostedStatuses;
