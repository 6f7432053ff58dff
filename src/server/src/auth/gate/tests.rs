#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::Request;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Knows the token `good` of `jane`, who may do what `allowed` lists.
#[derive(Default)]
struct Fake {
    allowed: &'static [&'static str],
    broken: bool,
    silent: bool,
    token_reviews: AtomicUsize,
    access_reviews: AtomicUsize,
}

#[async_trait]
impl Reviewer for Fake {
    async fn token_review(&self, token: &str) -> Result<Option<User>, ReviewError> {
        self.token_reviews.fetch_add(1, Ordering::Relaxed);
        if self.silent {
            std::future::pending::<()>().await;
        }
        let jane = User { name: "jane".to_owned(), ..User::default() };
        Ok((token == "good").then_some(jane))
    }

    async fn access_review(&self, user: &User, verb: &str, subresource: &str, node: &str) -> Result<bool, ReviewError> {
        self.access_reviews.fetch_add(1, Ordering::Relaxed);
        assert_eq!((user.groups.as_slice(), node), (&["system:authenticated".to_owned()][..], "node-1"));
        if self.broken {
            return Err(ReviewError("away".to_owned()));
        }
        Ok(verb == "get" && self.allowed.contains(&subresource))
    }
}

fn gate(fake: Fake) -> (Gate, Arc<Fake>) {
    let fake = Arc::new(fake);
    (Gate::new("node-1".to_owned(), fake.clone(), TIMEOUT), fake)
}

fn request(path: &str, token: &str) -> Parts {
    let builder = Request::get(path);
    let builder = if token.is_empty() { builder } else { builder.header("Authorization", format!("Bearer {token}")) };
    builder.body(()).unwrap().into_parts().0
}

async fn check(gate: &Gate, path: &str, token: &str) -> Result<(), String> {
    gate.check(None, &request(path, token)).await.map_err(|denial| denial.to_string())
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused_before_anything_else() {
    let (gate, fake) = gate(Fake { allowed: &["proxy"], ..Fake::default() });
    for path in ["/healthz", "/no/such/path", "/pods"] {
        assert_eq!(check(&gate, path, "").await, Err("Unauthorized".to_owned()));
        assert_eq!(check(&gate, path, "bad").await, Err("Unauthorized".to_owned()));
    }
    assert_eq!(fake.token_reviews.load(Ordering::Relaxed), 1);
    assert_eq!(fake.access_reviews.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn refusals_name_what_was_asked() {
    let (gate, _) = gate(Fake::default());
    let text = "Forbidden (user=jane, verb=get, resource=nodes, subresource(s)=[pods proxy])\n";
    assert_eq!(check(&gate, "/pods", "good").await, Err(text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_allowed_subresource_is_enough() {
    let (gate, fake) = gate(Fake { allowed: &["proxy"], ..Fake::default() });
    assert_eq!(check(&gate, "/pods", "good").await, Ok(()));
    assert!(check(&gate, "/metrics", "good").await.is_err());
    assert_eq!(fake.access_reviews.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_as_long_as_the_kubelet_does() {
    let (gate, fake) = gate(Fake { allowed: &["proxy"], ..Fake::default() });
    let asked = || (fake.token_reviews.load(Ordering::Relaxed), fake.access_reviews.load(Ordering::Relaxed));
    for (advance, expected) in [(0, (1, 2)), (29, (1, 2)), (2, (1, 3)), (90, (2, 4)), (200, (3, 6))] {
        tokio::time::advance(Duration::from_secs(advance)).await;
        check(&gate, "/containerLogs/n/p/c", "good").await.unwrap();
        check(&gate, "/stats", "good").await.unwrap_err();
        assert_eq!(asked(), expected, "after {advance} more seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_review_is_no_permission_and_not_remembered() {
    let (gate, fake) = gate(Fake { broken: true, ..Fake::default() });
    let text = "Authorization error (user=jane, verb=get, resource=nodes, subresource=healthz)";
    assert_eq!(check(&gate, "/healthz", "good").await, Err(text.to_owned()));
    assert_eq!(check(&gate, "/healthz", "good").await, Err(text.to_owned()));
    assert_eq!(fake.access_reviews.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_strangers_waits_for_no_answer() {
    let (gate, fake) = gate(Fake { silent: true, ..Fake::default() });
    let start = Instant::now();
    let tokens: Vec<_> = (0..WAITING + 100).map(|n| n.to_string()).collect();
    let all = futures::future::join_all(tokens.iter().map(async |token| {
        assert_eq!(check(&gate, "/healthz", token).await, Err("Unauthorized".to_owned()));
        start.elapsed() == Duration::ZERO
    }));
    assert_eq!(all.await.iter().filter(|at_once| **at_once).count(), 100);
    assert!(fake.token_reviews.load(Ordering::Relaxed) <= WAITING);
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_ends_the_wait() {
    let (gate, _) = gate(Fake { silent: true, ..Fake::default() });
    let start = Instant::now();
    assert_eq!(check(&gate, "/healthz", "good").await, Err("Unauthorized".to_owned()));
    assert_eq!(start.elapsed(), TIMEOUT);
}
