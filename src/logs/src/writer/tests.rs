#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flate2::read::GzDecoder;

use super::*;

fn log() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    (dir, path)
}

/// Messages of the log without their time stamps.
fn messages(path: &Path) -> Vec<String> {
    let content = std::fs::read_to_string(path).unwrap();
    content.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: PathBuf| {
        let mut content = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|e| e == "gz") {
            let compressed = std::mem::take(&mut content);
            GzDecoder::new(&compressed[..]).read_to_end(&mut content).unwrap();
        }
        content
    };
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), read(e.path()))).collect()
}

#[test]
fn both_streams_share_the_file_and_keep_their_unfinished_lines_apart() {
    let (_dir, path) = log();
    let writer = Writer::open(&path, 1 << 20, 2).unwrap();
    let (out, err) = (writer.stream(Stream::Stdout), writer.stream(Stream::Stderr));
    out.write(b"a").unwrap();
    err.write(b"b\nc").unwrap();
    out.clone().write(b"d\n").unwrap();
    assert_eq!(messages(&path), ["stderr F b", "stdout F ad"]);
    writer.finish().unwrap();
    assert_eq!(messages(&path).last().unwrap(), "stderr P c");
    assert_eq!(writer.lost_bytes(), 0);
}

#[test]
fn dropping_the_last_handle_writes_the_unfinished_line() {
    let (_dir, path) = log();
    let out = Writer::open(&path, 1 << 20, 2).unwrap().stream(Stream::Stdout);
    out.write(b"prompt> ").unwrap();
    drop(out);
    assert_eq!(messages(&path), ["stdout P prompt> "]);
}

#[test]
fn a_prompt_is_written_before_its_line_ends() {
    let (_dir, path) = log();
    let out = Writer::open(&path, 1 << 20, 2).unwrap().stream(Stream::Stdout);
    for piece in ["name? ", "", "\n", "hi ", "you\n"] {
        out.write(piece.as_bytes()).unwrap();
        out.flush().unwrap();
    }
    assert_eq!(messages(&path), ["stdout P name? ", "stdout F ", "stdout P hi ", "stdout F you"]);
}

#[test]
fn an_existing_file_is_continued_after_its_torn_line() {
    let (_dir, path) = log();
    std::fs::write(&path, "2026-01-02T15:04:05Z stdout F cu").unwrap();
    let writer = Writer::open(&path, 1 << 20, 2).unwrap();
    writer.stream(Stream::Stdout).write(b"next\n").unwrap();
    assert_eq!(messages(&path), ["stdout F cu", "stdout F next"]);
}

#[test]
fn rotation_keeps_every_line_once_in_order_and_bounds_size_and_number() {
    let (dir, path) = log();
    let writer = Writer::open(&path, 200, 4).unwrap();
    let out = writer.stream(Stream::Stdout);
    for n in 0..40 {
        out.write(format!("line {n:02}\n").as_bytes()).unwrap();
    }
    let files = files(dir.path());
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    assert!(files.values().all(|content| content.len() <= 200));
    let names: Vec<_> = files.keys().collect();
    // The newest rotated file stays as it is, so that collectors can finish reading it.
    assert_eq!(names.iter().filter(|n| n.ends_with(".gz")).count(), 2);
    assert!(!names[3].ends_with(".gz"), "{names:?}");
    let in_order: Vec<u8> = names[1..].iter().chain(&names[..1]).flat_map(|n| files[*n].clone()).collect();
    let lines: Vec<_> = String::from_utf8(in_order).unwrap().lines().map(|l| l[l.len() - 2..].to_owned()).collect();
    let expected: Vec<_> = (40 - lines.len()..40).map(|n| format!("{n:02}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(writer.lost_bytes(), 0);
}

#[test]
fn one_large_write_is_spread_over_files() {
    let (dir, path) = log();
    let out = Writer::open(&path, 100_000, 5).unwrap().stream(Stream::Stderr);
    out.write(&[&[b'x'; 999][..], b"\n"].concat().repeat(300)).unwrap();
    let files = files(dir.path());
    assert_eq!(files.len(), 4);
    assert_eq!(files.values().map(|c| c.iter().filter(|b| **b == b'\n').count()).sum::<usize>(), 300);
    assert!(files.values().all(|c| c.len() <= 100_000));
}

#[test]
fn a_failing_disk_is_reported_once_per_series_and_counted() {
    let (_dir, path) = log();
    let writer = Writer::open(&path, 1 << 20, 2).unwrap();
    let out = writer.stream(Stream::Stdout);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let good = std::mem::replace(&mut writer.shared.lock().file.file, full);
    assert_eq!(out.write(b"1234\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    out.write(b"5678\n").unwrap();
    out.write(b"un").unwrap();
    assert_eq!(writer.lost_bytes(), 8);
    let full = std::mem::replace(&mut writer.shared.lock().file.file, good);
    out.write(b"finished\n").unwrap();
    assert_eq!(messages(&path), ["stdout F unfinished"]);
    writer.shared.lock().file.file = full;
    assert!(out.write(b"9\n").is_err());
}

#[test]
fn a_failed_rotation_loses_no_line() {
    let (dir, path) = log();
    let writer = Writer::open(&path, 100, 2).unwrap();
    let out = writer.stream(Stream::Stdout);
    out.write(b"first\n").unwrap();
    // Nothing can be created any more, as on a disk without free inodes.
    std::fs::remove_dir_all(dir.path()).unwrap();
    let mut kept = writer.shared.lock().file.file.try_clone().unwrap();
    assert!(out.write(&[&[b'x'; 100][..], b"\nlast\n"].concat()).is_err());
    out.write(b"reported once\n").unwrap();
    kept.rewind().unwrap();
    assert_eq!(io::read_to_string(kept).unwrap().lines().count(), 4);
    assert_eq!(writer.lost_bytes(), 0);
}

#[test]
fn links_in_the_place_of_the_log_are_refused() {
    let (dir, path) = log();
    std::os::unix::fs::symlink(dir.path().join("target"), &path).unwrap();
    assert!(Writer::open(&path, 100, 2).is_err());
    assert!(!dir.path().join("target").exists());
}
