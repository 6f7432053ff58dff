//! Messages as bytes: over the socket and in files.

use std::fs;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status, Streaming};

use super::Said;
use crate::protocol::Verb;
use crate::remote::link::Link;

/// Messages that nobody looks into.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A verb with one request looks like one with many.
pub(super) async fn open(link: &Link, verb: Verb, requests: &[Bytes]) -> Streaming<Bytes> {
    let request = Request::new(tokio_stream::iter(requests.to_vec()));
    link.clone().grpc().streaming(request, verb.request_path(), Raw).await.unwrap().into_inner()
}

pub(super) async fn all(mut replies: Streaming<Bytes>, most: usize) -> Vec<Bytes> {
    let mut all = Vec::new();
    while all.len() < most
        && let Some(reply) = replies.message().await.unwrap()
    {
        all.push(reply);
    }
    all
}

/// Each message behind its length, four bytes, the most significant first.
fn framed(messages: &[Bytes]) -> Vec<u8> {
    let mut file = Vec::new();
    for message in messages {
        file.put_u32(u32::try_from(message.len()).unwrap());
        file.put_slice(message);
    }
    file
}

fn unframed(mut file: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while !file.is_empty() {
        let length = usize::try_from(file.get_u32()).unwrap();
        messages.push(file.split_to(length));
    }
    messages
}

pub(super) fn store(directory: &Path, said: &[Said]) {
    fs::create_dir_all(directory).unwrap();
    for (n, Said { verb, requests, replies }) in said.iter().enumerate() {
        let path = |kind| directory.join(format!("{n:02}-{}.{kind}.bin", verb.name()));
        fs::write(path("requests"), framed(requests)).unwrap();
        fs::write(path("replies"), framed(replies)).unwrap();
    }
}

pub(super) fn load(directory: &Path) -> Vec<Said> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut requests: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".requests.bin")).collect();
    requests.sort();
    let said = requests.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned();
        let verb = name.split('.').next().unwrap();
        let replies = path.to_str().unwrap().replace(".requests.", ".replies.");
        let read = |path: &Path| unframed(fs::read(path).unwrap().into());
        Said {
            verb: Verb::of_path(&format!("/wasmnode.Runner/{verb}")).unwrap(),
            requests: read(&path),
            replies: read(Path::new(&replies)),
        }
    });
    said.collect()
}
