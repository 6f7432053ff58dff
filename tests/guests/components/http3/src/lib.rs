//! A `wasi:http` 0.3 handler that does what the path says:
//!
//! | path | what it does |
//! |---|---|
//! | `/request` | answers with the path, authority and headers of the request, one per line |
//! | `/echo` | sends the body back as it arrives, and its trailers |
//! | `/count` | how many requests this instance has begun |
//! | `/sleep?MS` | answers after that time |
//! | `/print` | prints a line to stdout |
//! | `/trap` | traps |
//! | `/spin` | never answers |
//! | `/fetch` | asks for the URL in the header `x-url` and answers with status and body of that |

use std::sync::atomic::{AtomicU32, Ordering};

use wasip3::cli::stdout;
use wasip3::clocks::monotonic_clock;
use wasip3::exports::http::handler::Guest;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Handler;

wasip3::http::service::export!(Handler);

static BEGUN: AtomicU32 = AtomicU32::new(0);

impl Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let count = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let number = query.parse::<u64>().unwrap_or(1);
        match path {
            "/request" => Ok(say(200, describe(&request))),
            "/echo" => Ok(echo(request)),
            "/count" => Ok(say(200, count.to_string())),
            "/sleep" => {
                monotonic_clock::wait_for(number * 1_000_000).await;
                Ok(say(200, "slept".to_owned()))
            }
            "/print" => {
                print("one line of stdout\n").await;
                Ok(say(200, "printed".to_owned()))
            }
            "/trap" => core::arch::wasm32::unreachable(),
            "/spin" => loop {
                core::hint::spin_loop();
            },
            "/fetch" => fetch(&request).await,
            _ => Ok(say(404, "no such path".to_owned())),
        }
    }
}

fn describe(request: &Request) -> String {
    let path = request.get_path_with_query().unwrap_or_default();
    let authority = request.get_authority().unwrap_or_default();
    let mut text = format!("{path} {authority}\n");
    for (name, value) in request.get_headers().copy_all() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    text
}

fn say(status: u16, text: String) -> Response {
    let (mut to, body) = wit_stream::new();
    let (trailers, result) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(Fields::new(), Some(body), result);
    response.set_status_code(status).unwrap();
    wit_bindgen::spawn_local(async move {
        to.write_all(text.into_bytes()).await;
    });
    response
}

fn echo(request: Request) -> Response {
    let (done, processed) = wit_future::new(|| Ok(()));
    drop(done);
    let (body, trailers) = Request::consume_body(request, processed);
    Response::new(Fields::new(), Some(body), trailers).0
}

async fn print(text: &str) {
    let (mut to, from) = wit_stream::new();
    let printed = stdout::write_via_stream(from);
    to.write_all(text.as_bytes().to_vec()).await;
    drop(to);
    let _ = printed.await;
}

async fn fetch(request: &Request) -> Result<Response, ErrorCode> {
    let url = request.get_headers().get("x-url").pop().unwrap_or_default();
    let url = String::from_utf8_lossy(&url).into_owned();
    match fetched(&url).await {
        Ok(response) => {
            let status = response.get_status_code();
            let (done, processed) = wit_future::new(|| Ok(()));
            drop(done);
            let (body, _trailers) = Response::consume_body(response, processed);
            let text = body.collect().await;
            Ok(say(200, format!("{status}\n{}", String::from_utf8_lossy(&text))))
        }
        Err(error) => Ok(say(502, format!("{error:?}"))),
    }
}

async fn fetched(url: &str) -> Result<Response, ErrorCode> {
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (request, _sent) = Request::new(Fields::new(), None, no_trailers, None);
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    request.set_authority(Some(authority)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    request.set_path_with_query(Some(path)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    client::send(request).await
}
