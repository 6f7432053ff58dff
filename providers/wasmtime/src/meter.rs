//! Wraps the future in which a guest runs: counts its CPU time, holds it to its limits, keeps the clock ticking.
//!
//! The guest gives way at every tick, so control comes back here often enough to enforce a limit, for waits inside
//! host functions as for loops inside the guest.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep};

use crate::cpu::{CpuAccount, thread_time};
use crate::ticker::Clock;

pub(crate) struct Metered<F> {
    guest: Pin<Box<F>>,
    clock: Arc<Clock>,
    account: Arc<CpuAccount>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<F> Metered<F> {
    pub(crate) fn new(guest: F, clock: Arc<Clock>, account: Arc<CpuAccount>) -> Self {
        Self { guest: Box::pin(guest), clock, account, waiting: None }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.waiting.is_none() {
            this.waiting = this.account.wait().map(|wait| Box::pin(sleep(wait)));
        }
        while let Some(waiting) = &mut this.waiting {
            ready!(waiting.as_mut().poll(cx));
            this.waiting = this.account.wait().map(|wait| Box::pin(sleep(wait)));
        }
        let on_cpu = this.clock.enter();
        let before = thread_time();
        let result = this.guest.as_mut().poll(cx);
        this.account.charge(thread_time().saturating_sub(before));
        drop(on_cpu);
        result
    }
}
