//! A registry on loopback, written on a bare socket: what a real one cannot be made to do (short
//! bodies, endless ones, silence, wrong headers) is one line here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use wasmnode_images::{Digest, Reference};

pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "pass";
/// `user:pass` in base64.
const BASIC: &str = "Basic dXNlcjpwYXNz";
const AUTHORIZATION: &str = "authorization";
const TOKEN: &str = "t0k3n";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How one path answers.
#[derive(Clone)]
pub(crate) enum Reply {
    Ok {
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// The same with a `Docker-Content-Digest` of its own.
    Claims {
        digest: String,
        body: Vec<u8>,
    },
    Status {
        line: &'static str,
        body: &'static str,
    },
    /// Announces one byte more than it sends.
    Short(Vec<u8>),
    /// Sends zeroes without a length until the client goes.
    Endless,
    /// Answers, then says nothing more.
    Stall,
    /// One byte every 50 ms.
    Drip(Vec<u8>),
    /// Waits for [`Registry::open_gate`].
    Gated(Vec<u8>),
    Redirect(String),
    /// The first once, then the second.
    Then(Box<Reply>, Box<Reply>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    None,
    Basic,
    /// Tokens for [`USER`] only.
    Bearer,
    /// Tokens for anyone.
    Token,
}

pub(crate) struct Registry {
    pub(crate) host: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    host: String,
    auth: Mutex<Auth>,
    routes: Mutex<HashMap<String, Reply>>,
    log: Mutex<Vec<String>>,
    /// Headers that came, in small letters, with their values.
    headers: Mutex<Vec<(String, String)>>,
    gate: Notify,
}

/// What was pushed.
pub(crate) struct Pushed {
    pub(crate) manifest: Digest,
    pub(crate) wasm: Digest,
    pub(crate) manifest_bytes: Vec<u8>,
}

struct Request {
    method: String,
    path: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
}

// === impl Registry ===

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            host: host.clone(),
            auth: Mutex::new(Auth::None),
            routes: Mutex::default(),
            log: Mutex::default(),
            headers: Mutex::default(),
            gate: Notify::new(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                connections.spawn(async move { shared.serve(stream).await });
            }
        });
        Self { host, shared, task }
    }

    pub(crate) fn reference(&self, image: &str) -> Reference {
        Reference::parse(&format!("{}/{image}", self.host)).unwrap()
    }

    pub(crate) fn require(&self, auth: Auth) {
        *self.shared.auth.lock().unwrap() = auth;
    }

    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.shared.routes.lock().unwrap().insert(path.to_owned(), reply);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.shared.routes.lock().unwrap().remove(path);
    }

    /// Requests since the last call, as `METHOD path`.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }

    /// Whether anybody showed a credential or a token.
    pub(crate) fn was_shown_credentials(&self) -> bool {
        self.shared.headers.lock().unwrap().iter().any(|(name, _)| name == AUTHORIZATION)
    }

    /// Values of a header that came until now.
    pub(crate) fn take_headers(&self, name: &str) -> Vec<String> {
        let mut headers = self.shared.headers.lock().unwrap();
        headers.extract_if(.., |(other, _)| other == name).map(|(_, value)| value).collect()
    }

    /// Takes blobs, and a manifest under one name; what comes is not kept.
    pub(crate) fn accept_pushes(&self, name: &str, tag: &str) {
        let reply = |line| Reply::Status { line, body: "" };
        self.set(&format!("/v2/{name}/blobs/uploads/"), reply("202 Accepted\r\nLocation: /upload"));
        self.set("/upload", reply("201 Created"));
        self.set(&format!("/v2/{name}/manifests/{tag}"), reply("201 Created"));
    }

    pub(crate) fn open_gate(&self) {
        self.shared.gate.notify_one();
    }

    /// Pushes wasm as a CNCF artifact.
    pub(crate) fn push(&self, name: &str, tag: &str, wasm: &[u8]) -> Pushed {
        let config = br#"{"architecture":"wasm","os":"wasip1"}"#;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": Digest::of(config).to_string(),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/wasm",
                "digest": Digest::of(wasm).to_string(),
                "size": wasm.len(),
                "annotations": {"org.opencontainers.image.title": "hello.wasm"},
            }],
        });
        let manifest_bytes = serde_json::to_vec(&manifest).unwrap();
        self.put_blob(name, config);
        self.put_blob(name, wasm);
        let manifest = self.put_manifest(name, tag, MANIFEST, &manifest_bytes);
        Pushed { manifest, wasm: Digest::of(wasm), manifest_bytes }
    }

    /// Pushes a container image for `wasi/wasm` of uncompressed layers.
    pub(crate) fn push_image(&self, name: &str, tag: &str, layers: &[Vec<u8>], run: &serde_json::Value) -> Digest {
        self.push_image_for(("wasi", "wasm"), name, tag, layers, run)
    }

    /// The same for any platform.
    pub(crate) fn push_image_for(
        &self,
        (os, architecture): (&str, &str),
        name: &str,
        tag: &str,
        layers: &[Vec<u8>],
        run: &serde_json::Value,
    ) -> Digest {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let config = serde_json::json!({
            "architecture": architecture,
            "os": os,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let descriptor = |media_type: &str, bytes: &[u8]| {
            serde_json::json!({
                "mediaType": media_type,
                "digest": Digest::of(bytes).to_string(),
                "size": bytes.len(),
            })
        };
        let layer = |bytes: &Vec<u8>| descriptor("application/vnd.oci.image.layer.v1.tar", bytes);
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        layers.iter().chain([&config]).for_each(|blob| self.put_blob(name, blob));
        self.put_manifest(name, tag, MANIFEST, &serde_json::to_vec(&manifest).unwrap())
    }

    pub(crate) fn put_blob(&self, name: &str, bytes: &[u8]) {
        let path = format!("/v2/{name}/blobs/{}", Digest::of(bytes));
        self.set(&path, Reply::Ok { content_type: "application/octet-stream", body: bytes.to_vec() });
    }

    pub(crate) fn put_manifest(&self, name: &str, tag: &str, content_type: &'static str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        for wanted in [tag.to_owned(), digest.to_string()] {
            let body = bytes.to_vec();
            self.set(&format!("/v2/{name}/manifests/{wanted}"), Reply::Ok { content_type, body });
        }
        digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Request ===

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn authorization(&self) -> Option<&str> {
        self.header(AUTHORIZATION)
    }
}

// === impl Shared ===

impl Shared {
    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        // The client may go at any point of an answer: that is what many tests are about.
        if let Some(request) = read_request(&mut stream).await {
            self.log.lock().unwrap().push(format!("{} {}", request.method, request.path));
            self.headers.lock().unwrap().extend(request.headers.clone());
            let _ = self.answer(&mut stream, &request).await;
        }
    }

    async fn answer(&self, stream: &mut BufReader<TcpStream>, request: &Request) -> std::io::Result<()> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path == "/token" {
            return self.answer_token(stream, request, query).await;
        }
        if let Some(challenge) = self.challenge(request) {
            let head = format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n");
            return send(stream, &head, b"{}").await;
        }
        match self.reply_for(path) {
            Some(reply) if request.method == "HEAD" => answer_head(stream, reply).await,
            Some(reply) => self.answer_reply(stream, reply).await,
            None => send(stream, "HTTP/1.1 404 Not Found\r\n", b"{}").await,
        }
    }

    fn reply_for(&self, path: &str) -> Option<Reply> {
        let mut routes = self.routes.lock().unwrap();
        let Some(Reply::Then(first, second)) = routes.get(path).cloned() else { return routes.get(path).cloned() };
        routes.insert(path.to_owned(), *second);
        Some(*first)
    }

    fn challenge(&self, request: &Request) -> Option<String> {
        let auth = *self.auth.lock().unwrap();
        let expected = match auth {
            Auth::None => return None,
            Auth::Basic => BASIC.to_owned(),
            Auth::Bearer | Auth::Token => format!("Bearer {TOKEN}"),
        };
        let challenge = match auth {
            Auth::Basic => "Basic realm=\"test\"".to_owned(),
            _ => format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.host),
        };
        (request.authorization() != Some(expected.as_str())).then_some(challenge)
    }

    async fn answer_token(
        &self,
        stream: &mut BufReader<TcpStream>,
        request: &Request,
        query: &str,
    ) -> std::io::Result<()> {
        assert!(query.contains("%3Apull&service=test"), "{query}");
        let known = request.authorization() == Some(BASIC);
        if known || *self.auth.lock().unwrap() == Auth::Token {
            let body = format!("{{\"access_token\":\"{TOKEN}\"}}");
            return send(stream, "HTTP/1.1 200 OK\r\n", body.as_bytes()).await;
        }
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}"#;
        send(stream, "HTTP/1.1 401 Unauthorized\r\n", body).await
    }

    async fn answer_reply(&self, stream: &mut BufReader<TcpStream>, reply: Reply) -> std::io::Result<()> {
        match reply {
            Reply::Ok { content_type, body } => {
                send(stream, &format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"), &body).await
            }
            Reply::Claims { digest, body } => {
                let head = format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n");
                send(stream, &head, &body).await
            }
            Reply::Status { line, body } => send(stream, &format!("HTTP/1.1 {line}\r\n"), body.as_bytes()).await,
            Reply::Redirect(to) => {
                send(stream, &format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\n"), b"").await
            }
            Reply::Gated(body) => {
                self.gate.notified().await;
                send(stream, "HTTP/1.1 200 OK\r\n", &body).await
            }
            Reply::Short(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await
            }
            Reply::Endless => loop_writes(stream).await,
            Reply::Stall => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await?;
                std::future::pending().await
            }
            Reply::Drip(body) => drip(stream, &body).await,
            Reply::Then(..) => unreachable!("taken apart before"),
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut request = Request { method, path, headers: Vec::new() };
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await.ok()? <= 2 {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    // What is left unread would cut off the answer.
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(request)
}

async fn answer_head(stream: &mut BufReader<TcpStream>, reply: Reply) -> std::io::Result<()> {
    let head = match reply {
        Reply::Ok { body, .. } => {
            format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {}\r\n", Digest::of(&body))
        }
        _ => "HTTP/1.1 405 Method Not Allowed\r\n".to_owned(),
    };
    send(stream, &head, b"").await
}

async fn send(stream: &mut BufReader<TcpStream>, head: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn loop_writes(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
    loop {
        stream.write_all(&[b' '; 64 << 10]).await?;
    }
}

async fn drip(stream: &mut BufReader<TcpStream>, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    for byte in body {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
