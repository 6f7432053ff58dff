//! What a Job controller decides, for one Job and without a cluster: when to start another pod, and when to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::manifest::{JobPlan, named};

/// Between a failed pod and the next one: the Job controller's, doubled for each failure in a row.
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(360);

/// How a Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    Failed,
}

/// A Job under way.
#[derive(Debug)]
pub(super) struct JobRun {
    plan: JobPlan,
    active: BTreeSet<String>,
    succeeded: usize,
    failed: u32,
    /// Restarts of containers, by pod.
    restarts: BTreeMap<String, u32>,
    started: usize,
    retry_at: Option<Instant>,
}

// === impl JobRun ===

impl JobRun {
    pub(super) fn new(plan: JobPlan) -> Self {
        Self {
            plan,
            active: BTreeSet::new(),
            succeeded: 0,
            failed: 0,
            restarts: BTreeMap::new(),
            started: 0,
            retry_at: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Whether it is over, and how. A failed Job's pods are to be deleted.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        if self.succeeded >= self.plan.completions {
            return Some(Outcome::Complete);
        }
        let failures = self.failed + self.restarts.values().sum::<u32>();
        (failures > self.plan.backoff_limit).then_some(Outcome::Failed)
    }

    /// Pods to be started now.
    pub(super) fn wanted(&mut self, now: Instant) -> Vec<Pod> {
        let waits = self.retry_at.is_some_and(|at| now < at);
        if waits || self.outcome().is_some() {
            return Vec::new();
        }
        let left = self.plan.completions - self.succeeded;
        let count = left.min(self.plan.parallelism).saturating_sub(self.active.len());
        let first = self.started;
        self.started += count;
        (first..self.started).map(|n| named(&self.plan.template, &format!("{}-{n}", self.plan.name))).collect()
    }

    /// When to ask [`Self::wanted`] again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.outcome().is_none())
    }

    /// A wanted pod was started.
    pub(super) fn began(&mut self, uid: &str) {
        self.active.insert(uid.to_owned());
    }

    /// A pod's containers were restarted so often.
    pub(super) fn restarted(&mut self, uid: &str, restarts: u32) {
        self.restarts.insert(uid.to_owned(), restarts);
    }

    /// A pod is over.
    pub(super) fn ended(&mut self, uid: &str, succeeded: bool, now: Instant) {
        if !self.active.remove(uid) {
            return;
        }
        if succeeded {
            self.succeeded += 1;
            self.retry_at = None;
            return;
        }
        self.failed += 1;
        let doubled = FIRST_DELAY * 2_u32.saturating_pow(self.failed.saturating_sub(1).min(16));
        self.retry_at = Some(now + doubled.min(LONGEST_DELAY));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn job(completions: usize, parallelism: usize, backoff_limit: u32) -> JobRun {
        let name = "j".to_owned();
        JobRun::new(JobPlan { name, template: Pod::default(), completions, parallelism, backoff_limit })
    }

    fn start(job: &mut JobRun, now: Instant) -> Vec<String> {
        let names: Vec<String> = job.wanted(now).into_iter().map(|pod| pod.metadata.name.unwrap()).collect();
        names.iter().for_each(|name| job.began(name));
        names
    }

    #[test]
    fn as_many_at_once_and_in_all_as_asked_for() {
        let (mut job, now) = (job(3, 2, 0), Instant::now());
        assert_eq!(start(&mut job, now), ["j-0", "j-1"]);
        assert!(start(&mut job, now).is_empty());
        job.ended("j-1", true, now);
        assert_eq!(start(&mut job, now), ["j-2"]);
        job.ended("j-1", true, now);
        job.ended("j-0", true, now);
        assert_eq!(job.outcome(), None);
        job.ended("j-2", true, now);
        assert_eq!(job.outcome(), Some(Outcome::Complete));
    }

    #[test]
    fn failures_are_retried_later_and_later_until_the_limit() {
        let (mut job, mut now) = (job(1, 1, 2), Instant::now());
        for (name, delay) in [("j-0", 10), ("j-1", 20)] {
            assert_eq!(start(&mut job, now), [name]);
            job.ended(name, false, now);
            assert_eq!(job.retry_at(), Some(now + Duration::from_secs(delay)));
            assert!(start(&mut job, now).is_empty());
            now += Duration::from_secs(delay);
        }
        assert_eq!(start(&mut job, now), ["j-2"]);
        job.ended("j-2", false, now);
        assert_eq!((job.outcome(), job.retry_at()), (Some(Outcome::Failed), None));
    }

    #[test]
    fn restarts_count_as_failures() {
        let (mut job, now) = (job(1, 1, 1), Instant::now());
        start(&mut job, now);
        job.restarted("j-0", 1);
        assert_eq!(job.outcome(), None);
        job.restarted("j-0", 2);
        assert_eq!(job.outcome(), Some(Outcome::Failed));
    }
}
