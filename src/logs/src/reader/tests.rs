#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Writer;

const LARGE: u64 = 1 << 30;

fn log(max_bytes: u64, max_files: u32) -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("c")).unwrap();
    let writer = Writer::open(dir.path().join("c/0.log"), max_bytes, max_files).unwrap();
    (dir, writer)
}

async fn open(dir: &Path, options: Options, ended: &CancellationToken) -> Reader {
    Reader::open(dir.to_owned(), "c/0.log".into(), options, ended.clone()).await.unwrap()
}

async fn read_all(reader: &mut Reader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await {
        all.extend_from_slice(&bytes.unwrap());
    }
    all
}

async fn read(dir: &Path, options: Options) -> String {
    let ended = CancellationToken::new();
    String::from_utf8(read_all(&mut open(dir, options, &ended).await).await).unwrap()
}

/// Reads until as much has come as `expected` has.
async fn expect(reader: &mut Reader, expected: &str) {
    let mut read = Vec::new();
    while read.len() < expected.len() {
        read.extend_from_slice(&reader.next().await.unwrap().unwrap());
    }
    assert_eq!(std::str::from_utf8(&read).unwrap(), expected);
}

#[tokio::test]
async fn tail_counts_lines_of_the_file() {
    let (dir, writer) = log(LARGE, 2);
    writer.stream(Stream::Stdout).write(b"1\n2\n3\n").unwrap();
    for (tail, expected) in [(None, "1\n2\n3\n"), (Some(0), ""), (Some(2), "2\n3\n"), (Some(9), "1\n2\n3\n")] {
        assert_eq!(read(dir.path(), Options { tail_lines: tail, ..Options::default() }).await, expected);
    }
    assert_eq!(last_output(dir.path(), Path::new("c/0.log"), 2, 3).unwrap(), b"\n3\n");
}

#[tokio::test]
async fn without_follow_the_end_is_where_it_was_at_first() {
    let (dir, writer) = log(LARGE, 2);
    let out = writer.stream(Stream::Stdout);
    out.write(b"before\n").unwrap();
    let mut reader = open(dir.path(), Options::default(), &CancellationToken::new()).await;
    out.write(b"after\n").unwrap();
    assert_eq!(read_all(&mut reader).await, b"before\n");
}

#[tokio::test(start_paused = true)]
async fn follow_delivers_what_comes_until_the_end() {
    let (dir, writer) = log(LARGE, 2);
    let ended = CancellationToken::new();
    let out = writer.stream(Stream::Stdout);
    out.write(b"old\n").unwrap();
    let options = Options { follow: true, tail_lines: Some(0), ..Options::default() };
    let mut reader = open(dir.path(), options, &ended).await;
    out.write(b"new\nunfinished").unwrap();
    expect(&mut reader, "new\n").await;
    writer.finish().unwrap();
    ended.cancel();
    assert_eq!(read_all(&mut reader).await, b"unfinished");
}

#[tokio::test(start_paused = true)]
async fn follow_ends_with_a_deleted_pod() {
    let (dir, writer) = log(LARGE, 2);
    let ended = CancellationToken::new();
    writer.stream(Stream::Stdout).write(b"last words\n").unwrap();
    let mut reader = open(dir.path(), Options { follow: true, ..Options::default() }, &ended).await;
    std::fs::remove_dir_all(dir.path().join("c")).unwrap();
    ended.cancel();
    assert_eq!(read_all(&mut reader).await, b"last words\n");
}

#[tokio::test(start_paused = true)]
async fn follow_goes_through_files_rotated_while_it_slept() {
    let (dir, writer) = log(100, 20);
    let ended = CancellationToken::new();
    let out = writer.stream(Stream::Stdout);
    out.write(b"000\n").unwrap();
    let mut reader = open(dir.path(), Options { follow: true, ..Options::default() }, &ended).await;
    expect(&mut reader, "000\n").await;
    let lines: Vec<_> = (1..30).map(|n| format!("{n:03}\n")).collect();
    lines.iter().for_each(|line| out.write(line.as_bytes()).unwrap());
    expect(&mut reader, &lines.concat()).await;
    out.write(b"end\n").unwrap();
    ended.cancel();
    assert_eq!(read_all(&mut reader).await, b"end\n");
}

#[tokio::test(start_paused = true)]
async fn follow_goes_on_with_what_is_kept_when_its_file_is_gone() {
    let (dir, writer) = log(100, 3);
    let ended = CancellationToken::new();
    let out = writer.stream(Stream::Stdout);
    out.write(b"000\n").unwrap();
    let mut reader = open(dir.path(), Options { follow: true, ..Options::default() }, &ended).await;
    (1..30).for_each(|n| out.write(format!("{n:03}\n").as_bytes()).unwrap());
    ended.cancel();
    let read = String::from_utf8(read_all(&mut reader).await).unwrap();
    let mut lines: Vec<_> = read.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("000", "029"));
    let unsorted = lines.clone();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines, unsorted, "doubled or out of order");
}

#[tokio::test]
async fn a_planted_link_is_not_followed() {
    let (dir, writer) = log(LARGE, 2);
    drop(writer);
    let path = dir.path().join("c/0.log");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(dir.path().join("secret"), "2026-01-02T15:04:05Z stdout F secret\n").unwrap();
    std::os::unix::fs::symlink("../secret", &path).unwrap();
    let opened = Reader::open(dir.path().into(), "c/0.log".into(), Options::default(), CancellationToken::new()).await;
    assert!(opened.is_err());
}

/// Writes `writes` from a thread of its own and follows with a reader that started before.
fn follow(writes: Vec<Vec<u8>>, max_bytes: u64, max_files: u32) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (dir, writer) = log(max_bytes, max_files);
        let ended = CancellationToken::new();
        let mut reader = open(dir.path(), Options { follow: true, ..Options::default() }, &ended).await;
        let thread = std::thread::spawn(move || {
            let out = writer.stream(Stream::Stdout);
            writes.iter().for_each(|bytes| out.write(bytes).unwrap());
            writer.finish().unwrap();
            ended.cancel();
        });
        let read = read_all(&mut reader).await;
        thread.join().unwrap();
        read
    })
}

fn writes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![4 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b' ')];
    let short = prop::collection::vec(byte, 0..200);
    let long = (any::<u8>(), 0_usize..40_000).prop_map(|(byte, length)| vec![byte; length]);
    prop::collection::vec(prop_oneof![9 => short, 1 => long], 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_is_read_back(writes in writes()) {
        let expected = writes.concat();
        prop_assert!(follow(writes, LARGE, 2) == expected);
    }

    #[test]
    fn rotation_loses_and_doubles_nothing_for_a_follower(writes in writes(), max_bytes in 100_u64..5_000) {
        let expected = writes.concat();
        prop_assert!(follow(writes, max_bytes, 100_000) == expected);
    }
}
