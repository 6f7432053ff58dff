//! The provider contract, checked over every provider, directly, through an encode/decode shim, and behind a socket.
//!
//! [`cases`] holds what every provider must do; [`real`], [`resources`] and [`streams`] what only a provider that
//! executes guests can show.

#![allow(clippy::unwrap_used)]

mod cases;
mod guests;
mod real;
mod remote;
mod resources;
mod rig;
mod shim;
mod streams;
mod subject;

/// Every case over every provider, one test each.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        conformance! { @over fake_direct = Fake(Nothing); $($case),* }
        conformance! { @over fake_shim = Fake(Shim); $($case),* }
        conformance! { @over fake_remote = Fake(Socket); $($case),* }
        conformance! { @over wasmtime_direct = Wasmtime(Nothing); $($case),* }
        conformance! { @over wasmtime_shim = Wasmtime(Shim); $($case),* }
        conformance! { @over wasmtime_remote = Wasmtime(Socket); $($case),* }
    };
    (@over $provider:ident = $kind:ident($behind:ident); $($case:ident),*) => {
        mod $provider {
            use crate::rig::Rig;
            use crate::subject::{Behind, Subject};

            $(#[tokio::test]
            async fn $case() {
                crate::cases::$case(Rig::new(Subject::$kind(Behind::$behind)).await).await;
            })*
        }
    };
}

conformance![
    says_hello,
    exits_with_the_low_byte_of_its_code,
    stops_with_143,
    kills_with_137,
    stop_and_kill_after_the_end_change_nothing,
    traps_with_134_and_a_backtrace,
    ends_at_its_memory_limit,
    closes_stdin_to_stop,
    refuses_a_second_start_of_the_same_run,
    refuses_unknown_ids,
    forgives_what_may_be_repeated,
    lists_what_runs,
    lists_exits_until_acknowledged,
    removing_a_sandbox_kills_what_runs_in_it,
    reports_start_then_exit_once,
    a_second_event_stream_ends_the_first,
    is_full_at_its_capacity,
    executes_with_other_arguments,
    ends_an_exec_with_its_run,
    accounts_for_memory,
    has_typed_refusals_for_what_it_lacks,
];
