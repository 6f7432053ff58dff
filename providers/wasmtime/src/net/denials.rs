//! Denials that were logged: a guest that tries again for ever shall not fill the node's log.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::policy::Attempt;

/// Targets that are told apart, per pod. What comes after them is counted, not logged.
const MAX_TARGETS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<HashSet<String>>);

impl Denials {
    /// Whether this target was not denied before.
    pub(super) fn is_news(&self, attempt: &Attempt<'_>) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() < MAX_TARGETS && seen.insert(attempt.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tells_each_target_once_and_not_without_end() {
        let denials = Denials::default();
        let attempt = |port: usize| Attempt::Connect(format!("169.254.169.254:{port}").parse().unwrap());
        assert!(denials.is_news(&attempt(1)));
        assert!(!denials.is_news(&attempt(1)));
        let told = (0..1000).filter(|port| denials.is_news(&attempt(*port))).count();
        assert_eq!(told, MAX_TARGETS - 1);
    }
}
