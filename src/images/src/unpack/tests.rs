//! Layers as tools write them, and layers as nobody should.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

/// An entry of a layer.
#[derive(Debug, Clone)]
struct Item {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    data: Vec<u8>,
}

/// A directory whose `root` is unpacked into; what is beside it must never change.
struct Sandbox {
    top: TempDir,
}

fn item(kind: u8, name: &str, link: &str, data: &[u8]) -> Item {
    Item { kind, name: name.into(), link: link.into(), mode: 0o644, data: data.to_vec() }
}

fn file(name: &str, text: &str) -> Item {
    item(b'0', name, "", text.as_bytes())
}

fn dir(name: &str) -> Item {
    Item { mode: 0o755, ..item(b'5', name, "", b"") }
}

fn symlink(name: &str, target: &str) -> Item {
    item(b'2', name, target, b"")
}

fn hard_link(name: &str, target: &str) -> Item {
    item(b'1', name, target, b"")
}

/// Writes names as they are, which tar libraries refuse to do.
fn mk_tar(items: &[Item]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        let (name, link) = (&item.name[..item.name.len().min(100)], &item.link[..item.link.len().min(100)]);
        gnu.name[..name.len()].copy_from_slice(name);
        gnu.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(EntryType::new(item.kind));
        header.set_mode(item.mode);
        header.set_mtime(1_000_000);
        header.set_size(item.data.len() as u64);
        header.set_cksum();
        builder.append(&header, item.data.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn mk_layer(bytes: &[u8], diff_id: Digest) -> LayerFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    LayerFile { digest: Digest::of(bytes), diff_id, file }
}

fn plain(items: &[Item]) -> LayerFile {
    let tar = mk_tar(items);
    mk_layer(&tar, Digest::of(&tar))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn limits() -> Limits {
    Limits { bytes: 4 << 20, entries: 1000, cancelled: Arc::default() }
}

// === impl Sandbox ===

impl Sandbox {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("root")).unwrap();
        std::fs::create_dir(top.path().join("outside")).unwrap();
        std::fs::write(top.path().join("outside/secret"), "secret").unwrap();
        Self { top }
    }

    fn root(&self) -> PathBuf {
        self.top.path().join("root")
    }

    fn unpack(&self, layers: &[LayerFile]) -> Result<u64, UnpackError> {
        unpack(&self.root(), layers, &limits())
    }

    /// Everything that was unpacked, as `path=text`, `path/` or `path->target`.
    fn listing(&self) -> Vec<String> {
        let mut all = Vec::new();
        list(&self.root(), "", &mut all);
        all.sort();
        all
    }

    fn assert_untouched(&self) {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.top.path()).unwrap() {
            all.push(entry.unwrap().file_name().into_string().unwrap());
        }
        all.sort();
        assert_eq!(all, ["outside", "root"]);
        let mut outside = Vec::new();
        list(&self.top.path().join("outside"), "", &mut outside);
        assert_eq!(outside, ["secret=secret"]);
    }
}

fn list(directory: &Path, prefix: &str, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), all);
        } else if kind.is_symlink() {
            all.push(format!("{name}->{}", std::fs::read_link(entry.path()).unwrap().display()));
        } else {
            all.push(format!("{name}={}", String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap())));
        }
    }
}

fn refusal(layers: &[LayerFile]) -> String {
    let sandbox = Sandbox::new();
    let err = sandbox.unpack(layers).unwrap_err();
    sandbox.assert_untouched();
    assert!(matches!(err, UnpackError::Content { .. }), "{err:?}");
    err.to_string()
}

#[test]
fn one_layer_in_every_compression() {
    let items = [
        dir("./"),
        dir("bin"),
        file("bin/app.wasm", "wasm"),
        file("etc/deep/conf", "x"),
        symlink("sh", "bin/app.wasm"),
    ];
    let tar = mk_tar(&items);
    let half = tar.len() / 2;
    let frames = [&tar[..half], &tar[half..]].map(|part| compress_to_vec(part, CompressionLevel::Fastest)).concat();
    let members = [gzip(&tar[..half]), gzip(&tar[half..])].concat();
    for bytes in [tar.clone(), gzip(&tar), members, compress_to_vec(tar.as_slice(), CompressionLevel::Fastest), frames]
    {
        let sandbox = Sandbox::new();
        let used = sandbox.unpack(&[mk_layer(&bytes, Digest::of(&tar))]).unwrap();
        let expected = ["bin/", "bin/app.wasm=wasm", "etc/", "etc/deep/", "etc/deep/conf=x", "sh->bin/app.wasm"];
        assert_eq!(sandbox.listing(), expected);
        assert_eq!(used, 4 * 4096);
    }
}

#[test]
fn modes_lose_what_is_dangerous() {
    let sandbox = Sandbox::new();
    let setuid = Item { mode: 0o6755, ..file("setuid", "x") };
    let closed = Item { mode: 0, ..dir("closed") };
    let sticky = Item { mode: 0o1777, ..dir("tmp") };
    sandbox.unpack(&[plain(&[setuid, closed, file("closed/file", "x"), sticky])]).unwrap();
    let mode = |name: &str| std::fs::metadata(sandbox.root().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("setuid"), mode("closed"), mode("tmp")], [0o755, 0o700, 0o777]);
    assert_eq!(std::fs::metadata(sandbox.root().join("setuid")).unwrap().mtime(), 1_000_000);
}

#[test]
fn upper_layers_change_lower_ones() {
    let lower = [
        file("etc/a", "lower"),
        file("etc/b", "lower"),
        file("opt/x/y", "lower"),
        file("opt/z", "lower"),
        file("var/kept", "lower"),
        file("becomes/dir/soon", "lower"),
        file("was-file", "lower"),
        symlink("link", "/etc/a"),
    ];
    let upper = [
        file("etc/.wh.a", ""),
        // Whiteouts are about the layers below, wherever they stand.
        file("opt/new", "upper"),
        file("opt/.wh..wh..opq", ""),
        file("opt/x/new", "upper"),
        file("etc/b", "upper"),
        file("var/.wh.missing", ""),
        file("nowhere/at/.wh.all", ""),
        file("var/.wh..wh.plnk", ""),
        file("becomes", "file"),
        dir("was-file"),
        file("link", "no link any more"),
    ];
    let sandbox = Sandbox::new();
    sandbox.unpack(&[plain(&lower), plain(&upper)]).unwrap();
    let expected = [
        "becomes=file",
        "etc/",
        "etc/b=upper",
        "link=no link any more",
        "opt/",
        "opt/new=upper",
        "opt/x/",
        "opt/x/new=upper",
        "var/",
        "var/kept=lower",
        "was-file/",
    ];
    assert_eq!(sandbox.listing(), expected);
}

#[test]
fn whiteouts_of_the_lowest_layer_are_about_nothing() {
    let sandbox = Sandbox::new();
    sandbox.unpack(&[plain(&[file("a", "x"), file(".wh.a", ""), file("d/.wh..wh..opq", "")])]).unwrap();
    assert_eq!(sandbox.listing(), ["a=x"]);
}

#[test]
fn hard_links_share_their_file_until_it_is_replaced() {
    let sandbox = Sandbox::new();
    let lower = [
        file("a", "1"),
        hard_link("d/b", "a"),
        hard_link("d/b", "/a"),
        hard_link("a", "d/b"),
        symlink("s", "a"),
        hard_link("t", "s"),
    ];
    let upper = [file("a", "2"), hard_link("c", "./d/b")];
    sandbox.unpack(&[plain(&lower), plain(&upper)]).unwrap();
    assert_eq!(sandbox.listing(), ["a=2", "c=1", "d/", "d/b=1", "s->a", "t->a"]);
    let inode = |name: &str| std::fs::metadata(sandbox.root().join(name)).unwrap().ino();
    assert_eq!(inode("c"), inode("d/b"));
}

#[test]
fn nothing_leaves_the_root() {
    let outside = "../outside";
    type Case = (&'static str, Vec<Item>, Result<&'static [&'static str], &'static str>);
    let cases: [Case; 13] = [
        ("absolute name", vec![file("/outside/new", "x")], Ok(&["outside/", "outside/new=x"])),
        ("upwards", vec![file("../outside/new", "x")], Err("leads out of the image")),
        ("upwards later", vec![file("a/../../outside/new", "x")], Err("leads out of the image")),
        ("upwards hidden", vec![file("/a/b/../../../outside/new", "x")], Err("leads out of the image")),
        (
            "through a link",
            vec![symlink("l", outside), dir("outside"), file("l/new", "x")],
            Ok(&["l->../outside", "outside/", "outside/new=x"]),
        ),
        (
            "through an absolute link",
            vec![symlink("l", "/outside"), file("outside/a", "x"), file("l/new", "x")],
            Ok(&["l->/outside", "outside/", "outside/a=x", "outside/new=x"]),
        ),
        ("through a dangling link", vec![symlink("l", "/nowhere"), file("l/new", "x")], Err("File exists")),
        ("onto a link", vec![symlink("l", "../outside/secret"), file("l", "x")], Ok(&["l=x"])),
        ("hard link out", vec![hard_link("l", "../outside/secret")], Err("leads out of the image")),
        ("hard link through a link", vec![symlink("d", outside), hard_link("l", "d/secret")], Err("link to")),
        ("hard link to a directory", vec![dir("d"), hard_link("l", "d")], Err("a hard link to a directory")),
        ("whiteout upwards", vec![file("../outside/.wh.secret", "")], Err("leads out of the image")),
        (
            "devices",
            vec![item(b'3', "null", "", b""), item(b'4', "sda", "", b""), item(b'6', "fifo", "", b"")],
            Ok(&[]),
        ),
    ];
    for (name, items, expected) in cases {
        let sandbox = Sandbox::new();
        match (sandbox.unpack(&[plain(&items)]), expected) {
            (Ok(_), Ok(expected)) => assert_eq!(sandbox.listing(), expected, "{name}"),
            (Err(err), Err(expected)) => assert!(err.to_string().contains(expected), "{name}: {err}"),
            (result, _) => panic!("{name}: {result:?}"),
        }
        sandbox.assert_untouched();
    }
}

#[test]
fn whiteouts_do_not_leave_the_root() {
    for (name, whiteout) in [
        ("one file", file("l/.wh.secret", "")),
        ("opaque", file("l/.wh..wh..opq", "")),
        ("upwards", file("l/.wh...", "")),
        ("itself", file("d/.wh..", "")),
    ] {
        let sandbox = Sandbox::new();
        let lower = [symlink("l", "../outside"), file("outside/secret", "x"), file("d/e", "x")];
        let result = sandbox.unpack(&[plain(&lower), plain(&[whiteout])]);
        sandbox.assert_untouched();
        assert_eq!(result.is_ok(), ["one file", "opaque"].contains(&name), "{name}: {result:?}");
        if result.is_ok() {
            assert_eq!(sandbox.listing(), ["d/", "d/e=x", "l->../outside", "outside/"], "{name}");
        }
    }
}

#[test]
fn bounds() {
    let zeroes = vec![0; 8 << 20];
    let bomb = mk_tar(&[item(b'0', "zeroes", "", &zeroes)]);
    let many: Vec<_> = (0..1001).map(|n| file(&format!("f{n}"), "")).collect();
    let wide: Vec<_> = (0..1025).map(|n| file(&format!("d/f{n}"), "")).collect();
    let deep = dir(&"d/".repeat(50));
    let cases = [
        (gzip(&bomb), "more than the 4194304 bytes"),
        (compress_to_vec(bomb.as_slice(), CompressionLevel::Fastest), "more than the 4194304 bytes"),
        (mk_tar(&many), "more than 1000 files"),
        (mk_tar(&wide), "more than"),
        (
            mk_tar(&[item(b'L', "././@LongLink", "", &vec![b'a'; 2 << 20]), file("a", "")]),
            "names and attributes are too long",
        ),
        (mk_tar(&[item(b'x', "pax", "", &vec![b'a'; 2 << 20]), file("a", "")]), "names and attributes are too long"),
        (mk_tar(&[item(b'L', "././@LongLink", "", &b"d/".repeat(200)), file("a", "")]), "more than 128 parts"),
        (mk_tar(&[item(b'L', "././@LongLink", "", &[b'a'; 5000]), file("a", "")]), "is no path"),
        (mk_tar(&[item(b'L', "././@LongLink", "", &[b'a'; 300]), file("a", "")]), "too long"),
        (mk_tar(&[item(b'7', "a", "", b""), item(b'Z', "b", "", b"")]), "unknown kind of entry"),
        (mk_tar(&[item(b'2', "a", "", b"")]), "a link to nothing"),
    ];
    for (bytes, expected) in cases {
        let err = refusal(&[mk_layer(&bytes, Digest::of(&bytes))]);
        assert!(err.contains(expected), "{expected}: {err}");
    }
    Sandbox::new().unpack(&[plain(&[deep])]).unwrap();
}

#[test]
fn long_names_are_read() {
    let name = format!("d/{}", "n".repeat(200));
    let record = format!("path={name}p\n");
    let record = format!("{} {record}", record.len() + 4);
    let items = [
        item(b'L', "././@LongLink", "", name.as_bytes()),
        file("short", "gnu"),
        item(b'x', "PaxHeaders/x", "", record.as_bytes()),
        file("short", "pax"),
    ];
    let sandbox = Sandbox::new();
    sandbox.unpack(&[plain(&items)]).unwrap();
    assert_eq!(sandbox.listing(), ["d/".to_owned(), format!("{name}=gnu"), format!("{name}p=pax")]);
}

/// One data block of 512 bytes at `at`, in a file that claims `size`.
fn mk_sparse(at: &[u8; 12], size: &[u8; 12]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_size(512);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse[0].offset = *at;
    gnu.sparse[0].numbytes = *b"00000001000\0";
    gnu.realsize = *size;
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, [b'x'; 512].as_slice()).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn sparse_files_are_as_large_as_they_say() {
    let small = mk_sparse(b"00000002000\0", b"00000003000\0");
    let sandbox = Sandbox::new();
    sandbox.unpack(&[mk_layer(&small, Digest::of(&small))]).unwrap();
    let bytes = std::fs::read(sandbox.root().join("sparse")).unwrap();
    assert_eq!((bytes.len(), bytes[1023], bytes[1024]), (1536, 0, b'x'));
    // 4 GiB of nothing, in a layer to write and in one whose whiteouts are looked for.
    let huge = mk_sparse(b"40000000000\0", b"40000001000\0");
    let huge = || mk_layer(&huge, Digest::of(&huge));
    assert!(refusal(&[huge()]).contains("more than the"));
    assert!(refusal(&[plain(&[]), huge()]).contains("more than the"));
    let record = "26 GNU.sparse.realsize=10\n";
    let pax = [item(b'x', "pax", "", record.as_bytes()), file("a", "x")];
    assert!(refusal(&[plain(&pax)]).contains("not supported"));
}

#[test]
fn a_layer_is_what_its_diff_id_says() {
    let tar = mk_tar(&[file("a", "x")]);
    let err = refusal(&[mk_layer(&tar, Digest::of(b"other"))]);
    assert!(err.contains("mismatched rootfs diff_id"), "{err}");
    // What follows the end of the archive is part of the stream.
    let padded = [tar.as_slice(), &[7; 5000]].concat();
    assert!(refusal(&[mk_layer(&padded, Digest::of(&tar))]).contains("mismatched"));
    Sandbox::new().unpack(&[mk_layer(&padded, Digest::of(&padded))]).unwrap();
    for broken in [&tar[..600], &gzip(&tar)[..40], b"neither tar nor anything".as_slice()] {
        refusal(&[mk_layer(broken, Digest::of(broken))]);
    }
}

#[test]
fn what_nobody_wants_any_more_stops() {
    let limits = limits();
    limits.cancelled.store(true, Ordering::Relaxed);
    let sandbox = Sandbox::new();
    let err = unpack(&sandbox.root(), &[plain(&[file("a", "x")])], &limits).unwrap_err();
    assert!(matches!(err, UnpackError::Cancelled), "{err:?}");
}

fn mk_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-c]",
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(".wh.a".to_owned()),
        Just(".wh..wh..opq".to_owned()),
        Just("outside".to_owned()),
        Just("secret".to_owned())
    ];
    (any::<bool>(), proptest::collection::vec(part, 1..4))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn mk_item() -> impl Strategy<Value = Item> {
    let kind = prop_oneof![4 => Just(b'0'), 3 => Just(b'2'), 2 => Just(b'1'), 2 => Just(b'5'), 1 => any::<u8>()];
    (kind, mk_name(), mk_name(), 0..0o10000_u32, proptest::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, name, link, mode, data)| Item { mode, ..item(kind, &name, &link, &data) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_layers_leave_the_root(layers in proptest::collection::vec(proptest::collection::vec(mk_item(), 0..8), 1..4)) {
        let sandbox = Sandbox::new();
        // A layer that breaks off leaves what it had written: that must be inside, too.
        let _ = sandbox.unpack(&layers.iter().map(|items| plain(items)).collect::<Vec<_>>());
        sandbox.assert_untouched();
    }

    #[test]
    fn no_bytes_make_it_panic(items in proptest::collection::vec(mk_item(), 1..4), damage in proptest::collection::vec((0..4096_usize, any::<u8>()), 0..6), packing in 0..3) {
        let mut tar = mk_tar(&items);
        for (at, byte) in &damage {
            let at = at % tar.len();
            tar[at] = *byte;
        }
        let mut bytes = match packing {
            0 => tar.clone(),
            1 => gzip(&tar),
            _ => compress_to_vec(tar.as_slice(), CompressionLevel::Fastest),
        };
        if let Some((at, byte)) = damage.first() {
            let at = at % bytes.len();
            bytes[at] ^= byte;
        }
        let sandbox = Sandbox::new();
        let _ = sandbox.unpack(&[mk_layer(&bytes, Digest::of(&tar))]);
        sandbox.assert_untouched();
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed(files in proptest::collection::btree_map("[a-z]{1,3}/[a-z]{1,3}", "[a-z]{0,30}", 0..10)) {
        let items: Vec<_> = files.iter().map(|(name, text)| file(name, text)).collect();
        let sandbox = Sandbox::new();
        sandbox.unpack(&[plain(&items)]).unwrap();
        let listed: Vec<_> = sandbox.listing().into_iter().filter(|line| line.contains('=')).collect();
        let expected: Vec<_> = files.iter().map(|(name, text)| format!("{name}={text}")).collect();
        prop_assert_eq!(listed, expected);
    }
}
