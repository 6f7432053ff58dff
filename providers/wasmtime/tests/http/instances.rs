//! How instances live and end.

use std::time::{Duration, Instant};

use wasmnode_provider_api::{HttpSettings, Limits, Provider};

use crate::client::{Connection, MOMENT, empty, get, request};
use crate::rig::{Guest, PATIENCE, Rig};

fn reused(times: u32) -> HttpSettings {
    HttpSettings { requests_per_instance: Some(times), ..HttpSettings::default() }
}

#[tokio::test]
async fn each_request_has_an_instance_unless_the_settings_say_otherwise() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let mut connection = Connection::http1(serving.address).await;
    for _ in 0..5 {
        assert_eq!(connection.get("/count").await.1, "1");
    }
}

#[tokio::test]
async fn an_instance_is_used_again_as_often_as_it_may() {
    let mut rig = Rig::new().await;
    // With room for one instance, a request waits for it to be free, however long idle ones are kept.
    let settings = HttpSettings { max_requests: 1, instance_idle: 10 * PATIENCE, ..reused(2) };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let mut connection = Connection::http1(serving.address).await;
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(connection.get("/count").await.1.parse::<u32>().unwrap());
    }
    assert_eq!(found, [1, 2, 1, 2]);
}

#[tokio::test]
async fn an_idle_server_has_no_instance() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, reused(100)).await;
    rig.until("nothing before the first request", |usage| usage.instances == 0).await;
    assert_eq!(get(serving.address, "/count").await.0, 200);
    let usage = rig.until("the end of the idle instance", |usage| usage.instances == 0).await;
    assert_eq!((usage.memory_bytes, usage.requests), (0, 1));
}

#[tokio::test]
async fn a_trap_fails_its_request_and_not_the_run() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    assert_eq!(get(serving.address, "/trap").await.0, 500);
    assert_eq!(get(serving.address, "/count").await.0, 200);
    let (exit, log) = rig.stopped(&serving).await;
    assert_eq!(exit.code, 0);
    assert!(log.contains("wasm `unreachable` instruction executed") && log.contains("wasm backtrace:"), "{log}");
}

#[tokio::test]
async fn a_trap_in_the_middle_of_a_response_breaks_it_off() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let text =
        crate::client::raw(serving.address, b"GET /late-trap HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(text.contains("the beginning"), "{text}");
    assert!(!text.ends_with("0\r\n\r\n"), "the end of the body would make it look complete: {text}");
    assert_eq!(get(serving.address, "/count").await.0, 200);
}

#[tokio::test]
async fn a_handler_without_an_answer_is_an_error_that_the_log_explains() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, reused(10)).await;
    assert_eq!(get(serving.address, "/none").await.0, 500);
    assert_eq!(get(serving.address, "/error").await.0, 500);
    let (_, log) = rig.stopped(&serving).await;
    assert!(log.contains("the handler returned without a response"), "{log}");
    assert!(log.contains("as told"), "{log}");
}

#[tokio::test]
async fn the_containers_memory_limit_holds_for_its_instances() {
    let mut rig = Rig::new().await;
    let (mut spec, address) = rig.server_spec(Guest::Wasip2, HttpSettings::default()).await;
    spec.limits = Limits { memory_bytes: Some(16 << 20), cpu_millis: None };
    let serving = rig.start(spec, address).await;
    assert_eq!(get(address, "/alloc?8").await.0, 200);
    assert_eq!(get(address, "/alloc?64").await.0, 500);
    assert_eq!(get(address, "/alloc?8").await.0, 200);
    let usage = rig.until("the end of the instances", |usage| usage.instances == 0).await;
    assert_eq!(usage.memory_bytes, 0);
    assert_eq!(rig.provider.metrics().handlers_out_of_memory, 1);
    let (exit, log) = rig.stopped(&serving).await;
    assert_eq!(exit.code, 0);
    assert!(log.contains("memory limit of 16777216 bytes reached"), "{log}");
}

#[tokio::test]
async fn the_containers_cpu_limit_holds_for_its_instances() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { response_timeout: Duration::from_millis(1500), ..HttpSettings::default() };
    let (mut spec, address) = rig.server_spec(Guest::Wasip2, settings).await;
    spec.limits = Limits { memory_bytes: None, cpu_millis: Some(100) };
    let _serving = rig.start(spec, address).await;
    let began = Instant::now();
    let (a, b) = tokio::join!(get(address, "/spin"), get(address, "/spin"));
    assert_eq!((a.0, b.0), (504, 504));
    let used = Duration::from_nanos(rig.until("usage", |_| true).await.cpu_nanoseconds);
    assert!(used < began.elapsed() / 4, "{used:?} of {:?} with a limit of a tenth", began.elapsed());
}

#[tokio::test]
async fn a_handler_that_goes_on_after_its_answer_is_ended() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { after_response: MOMENT, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    assert_eq!(get(serving.address, "/spin-after").await, (200, "answered".to_owned()));
    rig.until("the end of the instance", |usage| usage.instances == 0).await;
}

#[tokio::test]
async fn a_client_that_has_left_holds_no_instance() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { after_response: MOMENT, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let address = serving.address;
    let asking = tokio::spawn(async move {
        let mut connection = Connection::http1(address).await;
        connection.send(request("/spin").body(empty()).unwrap()).await
    });
    rig.until("the request", |usage| usage.instances == 1).await;
    asking.abort();
    rig.until("the end of the instance", |usage| usage.instances == 0).await;
    rig.provider.ping().await.unwrap();
}

async fn all_are_answered(guest: Guest, settings: HttpSettings) {
    let mut rig = Rig::new().await;
    let serving = rig.serve(guest, settings).await;
    let address = serving.address;
    let clients = (0..20).map(|_| async move {
        let mut connection = Connection::http1(address).await;
        for _ in 0..20 {
            assert_eq!(connection.get("/count").await.0, 200);
        }
    });
    futures::future::join_all(clients).await;
    let usage = rig.until("the end of the instances", |usage| usage.instances == 0).await;
    assert_eq!((usage.requests, usage.memory_bytes), (400, 0));
    assert_eq!(rig.stopped(&serving).await.0.code, 0);
}

#[tokio::test]
async fn none_of_many_requests_at_the_same_time_is_lost() {
    let few = || HttpSettings { max_requests: 3, ..HttpSettings::default() };
    all_are_answered(Guest::Wasip2, HttpSettings::default()).await;
    all_are_answered(Guest::Wasip2, few()).await;
    all_are_answered(Guest::Wasip2, HttpSettings { requests_per_instance: Some(7), ..few() }).await;
    all_are_answered(Guest::Wasip3, HttpSettings::default()).await;
    all_are_answered(Guest::Wasip3, HttpSettings { requests_per_instance: Some(7), ..few() }).await;
}
