//! A `wasi:http` 0.2 handler that does what the path says:
//!
//! | path | what it does |
//! |---|---|
//! | `/request` | answers with the method, path, authority and headers of the request, one per line |
//! | `/echo` | sends the body back as it arrives, and its trailers |
//! | `/stream?N` | N lines, one every 10 ms |
//! | `/count` | how many requests this instance has served |
//! | `/print` | prints a line to stdout in two pieces, and to stderr |
//! | `/sleep?MS` | answers after that time |
//! | `/trap`, `/late-trap` | traps before, or in the middle of the answer |
//! | `/spin`, `/spin-after` | never returns, without an answer or after it |
//! | `/alloc?MIB` | touches as much memory |
//! | `/none`, `/error` | no answer, an error instead |
//! | `/fetch` | asks for the URL in the header `x-url` and answers with status, headers and body of that |

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::cli::{stderr, stdout};
use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    RequestOptions, ResponseOutparam, Scheme, Trailers,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

struct Handler;

wasip2::http::proxy::export!(Handler);

static SERVED: AtomicU32 = AtomicU32::new(0);

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let count = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let number = query.parse::<u64>().unwrap_or(1);
        match path {
            "/request" => say(out, 200, &describe(&request)),
            "/echo" => echo(&request, out),
            "/stream" => stream(out, number),
            "/count" => say(out, 200, &count.to_string()),
            "/print" => print(out),
            "/sleep" => {
                monotonic_clock::subscribe_duration(number * 1_000_000).block();
                say(out, 200, "slept");
            }
            "/trap" => core::arch::wasm32::unreachable(),
            "/late-trap" => {
                let (body, stream) = begin(out, 200, &[]);
                let _ = write_all(&stream, b"the beginning\n");
                // So that what was written is under way.
                monotonic_clock::subscribe_duration(100_000_000).block();
                let _kept = (body, stream);
                core::arch::wasm32::unreachable();
            }
            "/spin" => spin(),
            "/spin-after" => {
                say(out, 200, "answered");
                spin();
            }
            "/alloc" => {
                let memory = vec![1u8; (number as usize) << 20];
                let sum: u64 = memory.iter().step_by(4096).map(|b| u64::from(*b)).sum();
                say(out, 200, &sum.to_string());
            }
            "/none" => {}
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("as told".to_owned())))),
            "/fetch" => fetch(&request, out),
            _ => say(out, 404, "no such path"),
        }
    }
}

fn describe(request: &IncomingRequest) -> String {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Other(other) => other,
        other => format!("{other:?}"),
    };
    let path = request.path_with_query().unwrap_or_default();
    let authority = request.authority().unwrap_or_default();
    let mut text = format!("{method} {path} {authority}\n");
    for (name, value) in request.headers().entries() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    text
}

fn begin(out: ResponseOutparam, status: u16, headers: &[(String, Vec<u8>)]) -> (OutgoingBody, OutputStream) {
    let response = OutgoingResponse::new(Fields::from_list(headers).unwrap());
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    let stream = body.write().unwrap();
    ResponseOutparam::set(out, Ok(response));
    (body, stream)
}

fn end(body: OutgoingBody, stream: OutputStream, trailers: Option<Trailers>) {
    drop(stream);
    let _ = OutgoingBody::finish(body, trailers);
}

fn say(out: ResponseOutparam, status: u16, text: &str) {
    let length = ("content-length".to_owned(), text.len().to_string().into_bytes());
    let (body, stream) = begin(out, status, &[length]);
    let _ = write_all(&stream, text.as_bytes());
    end(body, stream, None);
}

fn write_all(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    bytes.chunks(4096).try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

/// Copies until either side ends.
fn copy(from: &InputStream, to: &OutputStream) {
    while let Ok(bytes) = from.blocking_read(4096) {
        if write_all(to, &bytes).is_err() {
            return;
        }
    }
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().unwrap();
    let (body, stream) = begin(out, 200, &[]);
    let input = incoming.stream().unwrap();
    copy(&input, &stream);
    drop(input);
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    let trailers = match trailers.get() {
        Some(Ok(Ok(trailers))) => trailers.map(|trailers| Fields::from_list(&trailers.entries()).unwrap()),
        _ => None,
    };
    end(body, stream, trailers);
}

fn stream(out: ResponseOutparam, lines: u64) {
    let (body, stream) = begin(out, 200, &[]);
    for n in 0..lines {
        if write_all(&stream, format!("line {n}\n").as_bytes()).is_err() {
            return;
        }
        monotonic_clock::subscribe_duration(10_000_000).block();
    }
    end(body, stream, None);
}

fn print(out: ResponseOutparam) {
    let printed = stdout::get_stdout();
    let _ = write_all(&printed, b"one line ");
    monotonic_clock::subscribe_duration(20_000_000).block();
    let _ = write_all(&printed, b"of stdout\n");
    let _ = write_all(&stderr::get_stderr(), b"no newline on stderr");
    say(out, 200, "printed");
}

fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn fetch(request: &IncomingRequest, out: ResponseOutparam) {
    let header =
        |name: &str| request.headers().get(name).pop().map(|value| String::from_utf8_lossy(&value).into_owned());
    match fetched(&header("x-url").unwrap_or_default(), header("x-timeout-ms")) {
        Ok((text, incoming)) => {
            let (body, stream) = begin(out, 200, &[]);
            let _ = write_all(&stream, text.as_bytes());
            if let Ok(input) = incoming.stream() {
                copy(&input, &stream);
            }
            end(body, stream, None);
        }
        Err(error) => say(out, 502, &format!("{error:?}")),
    }
}

fn fetched(url: &str, timeout: Option<String>) -> Result<(String, IncomingBody), ErrorCode> {
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let outgoing = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    outgoing.set_authority(Some(authority)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    outgoing.set_path_with_query(Some(path)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let options = RequestOptions::new();
    if let Some(ms) = timeout.and_then(|ms| ms.parse::<u64>().ok()) {
        let _ = options.set_first_byte_timeout(Some(ms * 1_000_000));
    }
    let answer = outgoing_handler::handle(outgoing, Some(options))?;
    answer.subscribe().block();
    let response = answer.get().unwrap().unwrap()?;
    let mut text = format!("{}\n", response.status());
    for (name, value) in response.headers().entries() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    let body = response.consume().map_err(|()| ErrorCode::HttpProtocolError)?;
    Ok((text + "\n", body))
}
