#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

type Files = BTreeMap<String, (Vec<u8>, u32)>;

fn payload(files: &Files) -> Payload {
    let mut payload = Payload::default();
    for (path, (bytes, mode)) in files {
        payload.insert(path, bytes.clone(), i32::try_from(*mode).unwrap()).unwrap();
    }
    payload
}

fn one(path: &str, text: &str) -> Files {
    Files::from([(path.to_owned(), (text.as_bytes().to_vec(), 0o644))])
}

/// What a user sees: every file that can be reached through names that do not start with two dots.
fn seen(top: &Path) -> Files {
    let mut files = Files::new();
    let mut open = vec![(top.to_owned(), String::new())];
    while let Some((directory, prefix)) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if prefix.is_empty() && name.starts_with("..") {
                continue;
            }
            let path = directory.join(&name);
            let metadata = fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push((path, format!("{prefix}{name}/")));
            } else {
                let mode = metadata.permissions().mode() & 0o777;
                files.insert(format!("{prefix}{name}"), (fs::read(&path).unwrap(), mode));
            }
        }
    }
    files
}

fn directory(top: &Path) -> PathBuf {
    fs::read_link(top.join(DATA)).unwrap()
}

#[test]
fn nothing_is_rewritten_without_a_change() {
    let top = tempfile::tempdir().unwrap();
    let root = Root::open(top.path()).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    assert!(write(&root, &payload(&one("a", "1")), Owner::CALLER, now).unwrap());
    let first = directory(top.path());
    assert!(first.to_str().unwrap().starts_with("..1970_01_01_00_00_00.000000000"), "{}", first.display());
    assert!(!write(&root, &payload(&one("a", "1")), Owner::CALLER, now).unwrap());
    assert_eq!(directory(top.path()), first);

    assert!(write(&root, &payload(&one("a", "2")), Owner::CALLER, now).unwrap());
    assert_ne!(directory(top.path()), first);
    assert!(!top.path().join(first).exists());
    let private = Files::from([("a".to_owned(), (b"2".to_vec(), 0o600))]);
    assert!(write(&root, &payload(&private), Owner::CALLER, now).unwrap(), "a changed mode is a change");
    assert!(write(&root, &Payload::default(), Owner::CALLER, now).unwrap());
    assert_eq!(seen(top.path()), Files::new());
    assert!(!write(&root, &Payload::default(), Owner::CALLER, now).unwrap());
}

#[test]
fn what_was_planted_is_repaired_and_not_followed() {
    let top = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a"), "precious").unwrap();
    let root = Root::open(top.path()).unwrap();
    let wanted = one("a", "1");
    let plants: [&dyn Fn(); 5] = [
        &|| std::os::unix::fs::symlink(outside.path(), top.path().join(DATA)).unwrap(),
        &|| fs::create_dir_all(top.path().join(DATA).join("x")).unwrap(),
        &|| std::os::unix::fs::symlink(outside.path().join("a"), top.path().join("a")).unwrap(),
        &|| fs::create_dir_all(top.path().join("a/b")).unwrap(),
        &|| fs::write(top.path().join(DATA_TMP), "x").unwrap(),
    ];
    for plant in plants {
        for entry in fs::read_dir(top.path()).unwrap() {
            root.remove_tree(Path::new(&entry.unwrap().file_name())).unwrap();
        }
        plant();
        write(&root, &payload(&wanted), Owner::CALLER, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(seen(top.path()), wanted);
    }
    assert_eq!(fs::read(outside.path().join("a")).unwrap(), b"precious");
}

#[test]
fn a_reader_never_sees_a_mix() {
    let top = tempfile::tempdir().unwrap();
    let root = Root::open(top.path()).unwrap();
    let content =
        |n: u32| -> Files { (0..4).map(|i| (format!("k{i}"), (n.to_string().into_bytes(), 0o644))).collect() };
    write(&root, &payload(&content(0)), Owner::CALLER, Timestamp::UNIX_EPOCH).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut complete = 0;
            while !done.load(Ordering::Relaxed) || complete == 0 {
                // As programs do: follow the link once, read everything there.
                let Ok(data) = fs::canonicalize(top.path().join(DATA)) else { continue };
                let values: Vec<_> = (0..4).filter_map(|i| fs::read(data.join(format!("k{i}"))).ok()).collect();
                assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
                complete += usize::from(values.len() == 4);
            }
        });
        for n in 1..200 {
            write(&root, &payload(&content(n)), Owner::CALLER, Timestamp::UNIX_EPOCH).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

fn contents() -> impl Strategy<Value = Files> {
    // No name is both a file and a directory: such a volume is refused before it gets here, or fails to mount.
    let path = prop_oneof!["[a-c]", "d/[a-b]", "d/e/[a-b]", "\\.[a-b]"];
    let file = (prop::collection::vec(any::<u8>(), 0..4), prop_oneof![Just(0o644_u32), Just(0o600), Just(0o444)]);
    prop::collection::btree_map(path, file, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_contents_yields_exactly_those_files(sequence in prop::collection::vec(contents(), 1..6)) {
        let top = tempfile::tempdir().unwrap();
        let root = Root::open(top.path()).unwrap();
        let mut before = None;
        for files in sequence {
            let changed = write(&root, &payload(&files), Owner::CALLER, Timestamp::UNIX_EPOCH).unwrap();
            prop_assert_eq!(seen(top.path()), files.clone());
            prop_assert_eq!(changed, before.as_ref() != Some(&files));
            let hidden = fs::read_dir(top.path()).unwrap().filter(|e| {
                e.as_ref().unwrap().file_name().to_str().unwrap().starts_with("..")
            }).count();
            prop_assert_eq!(hidden, 2, "..data and the directory it points to");
            before = Some(files);
        }
    }
}
