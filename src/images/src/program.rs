//! Which file of an image runs.
//!
//! As a container runtime finds an executable: the first word of the command line, through PATH and links. Guests
//! are often told to run a shell or a tool that a wasm image does not have; then the image's own program gets those
//! words as its arguments, as an image without a root file system has it.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::image::RunConfig;
use crate::tree::{Tree, through};

const MAGIC: [u8; 4] = *b"\0asm";
const EXTENSION: &str = ".wasm";
/// Where a program is looked for if the image sets no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Text of a pod in a message.
const MAX_SHOWN: usize = 200;

/// Why an image that is here cannot be started with this command; reads like a container runtime's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoProgram(String);

/// What a name in a root file system leads to.
enum Look {
    Wasm(PathBuf),
    Other,
    Nothing,
}

/// The file that runs, relative to the root. `command` and `args` are the pod's. Blocking.
pub(crate) fn find(tree: &Tree, config: &RunConfig, command: &[String], args: &[String]) -> Result<PathBuf, NoProgram> {
    let own = config.entrypoint.first().or_else(|| config.cmd.first());
    let words = [command, config.entrypoint.as_slice(), args, config.cmd.as_slice()];
    let Some(asked) = words.into_iter().find_map(<[String]>::first) else {
        return only(tree)
            .ok_or_else(|| NoProgram("no command specified, and the image has not one wasm file".to_owned()));
    };
    let refusal = match look(tree, config, asked) {
        Look::Wasm(path) => return Ok(path),
        Look::Other => not_wasm(asked),
        Look::Nothing => missing(asked),
    };
    // Who names a wasm file means that one.
    if asked.ends_with(EXTENSION) || asked.contains(".wasm#") {
        return Err(refusal);
    }
    let fallback = match own {
        Some(own) if own != asked => match look(tree, config, own) {
            Look::Wasm(path) => Some(path),
            Look::Other | Look::Nothing => None,
        },
        Some(_) => None,
        None => only(tree),
    };
    fallback.ok_or(refusal)
}

fn look(tree: &Tree, config: &RunConfig, name: &str) -> Look {
    let mut found = Look::Nothing;
    for path in candidates(config, name) {
        match tree.file(&path).and_then(is_wasm) {
            Ok(true) => return Look::Wasm(path),
            Ok(false) => found = Look::Other,
            // Whatever it is, it is no program.
            Err(_) => {}
        }
    }
    found
}

/// Places where `name` may be, relative to the root.
fn candidates(config: &RunConfig, name: &str) -> Vec<PathBuf> {
    let inside = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
    let working = Path::new(config.working_dir.as_deref().unwrap_or("/")).join(name);
    if name.contains('/') {
        return vec![inside(&working)];
    }
    let path = config.env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH);
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    // Images for wasm runtimes name the file alone, which those look for in the working directory, too.
    directories.map(|directory| inside(&Path::new(directory).join(name))).chain([inside(&working)]).collect()
}

fn is_wasm(mut file: impl Read) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| start == MAGIC),
    }
}

/// The only `.wasm` file there is.
fn only(tree: &Tree) -> Option<PathBuf> {
    let mut found = Vec::new();
    // What cannot be read holds no program.
    let _ = collect(tree, Path::new(""), &mut found);
    if found.len() == 1 { found.pop() } else { None }
}

/// Goes down without following links, until there are two. Roots are as deep as unpacking allows.
fn collect(tree: &Tree, directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let opened = tree.dir(directory)?;
    for entry in std::fs::read_dir(through(std::os::fd::AsFd::as_fd(&opened), OsStr::new("")))? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let path = directory.join(entry.file_name());
        if kind.is_dir() {
            collect(tree, &path, found)?;
        } else if kind.is_file() && path.extension() == Some(OsStr::new("wasm")) && is_wasm(tree.file(&path)?)? {
            found.push(path);
        }
        if found.len() > 1 {
            break;
        }
    }
    Ok(())
}

// === texts ===

/// The words of Go's exec, which runc and with it every kubelet shows.
fn missing(name: &str) -> NoProgram {
    let shown = shown(name);
    if let Some((file, function)) = name.split_once(".wasm#") {
        let file = self::shown(file);
        return NoProgram(format!(
            "exec: {shown:?}: running one function of a module ({:?}) is not supported, name \"{file}.wasm\" alone",
            self::shown(function)
        ));
    }
    if name.contains('/') {
        return NoProgram(format!("exec: {shown:?}: stat {shown}: no such file or directory"));
    }
    NoProgram(format!("exec: {shown:?}: executable file not found in $PATH"))
}

fn not_wasm(name: &str) -> NoProgram {
    NoProgram(format!("exec: {:?}: exec format error: the file is not WebAssembly", shown(name)))
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn mk_root(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        for (link, target) in links {
            symlink(target, root.path().join(link)).unwrap();
        }
        root
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn found(root: &TempDir, config: &RunConfig, command: &[&str], args: &[&str]) -> String {
        let tree = Tree::open(root.path()).unwrap();
        match find(&tree, config, &words(command), &words(args)) {
            Ok(path) => path.display().to_string(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn the_first_word_names_the_file() {
        let files: [(&str, &[u8]); 5] = [
            ("app.wasm", WASM),
            ("usr/bin/tool", WASM),
            ("opt/other.wasm", WASM),
            ("bin/script", b"#!/bin/sh"),
            ("bin/short", b"\0as"),
        ];
        let links = [("bin/sh", "/usr/bin/tool"), ("bin/up", "../../../opt/other.wasm"), ("bin/loop", "loop")];
        let root = mk_root(&files, &links);
        let config = RunConfig { entrypoint: words(&["/app.wasm"]), ..RunConfig::default() };
        let cases: [(&[&str], &str); 15] = [
            (&[], "app.wasm"),
            (&["tool"], "usr/bin/tool"),
            (&["/bin/sh", "-c"], "bin/sh"),
            (&["sh"], "bin/sh"),
            (&["up"], "bin/up"),
            (&["opt/other.wasm"], "opt/other.wasm"),
            (&["./opt/../opt/other.wasm"], "opt/../opt/other.wasm"),
            // Names none: the image's own program.
            (&["sleep", "1"], "app.wasm"),
            (&["/bin/script"], "app.wasm"),
            (&["loop"], "app.wasm"),
            (&["short"], "app.wasm"),
            (&[""], "app.wasm"),
            // Names one that is not there.
            (&["/missing.wasm"], "exec: \"/missing.wasm\": stat /missing.wasm: no such file or directory"),
            (&["missing.wasm"], "exec: \"missing.wasm\": executable file not found in $PATH"),
            (
                &["/app.wasm#run"],
                "exec: \"/app.wasm#run\": running one function of a module (\"run\") is not supported, name \"/app.wasm\" alone",
            ),
        ];
        for (command, expected) in cases {
            assert_eq!(found(&root, &config, command, &[]), expected, "{command:?}");
        }
    }

    #[test]
    fn an_image_whose_program_is_missing_starts_nothing() {
        let root = mk_root(&[("app.wasm", WASM), ("bin/native", b"\x7fELF....")], &[]);
        let cases = [
            ("server", "exec: \"server\": executable file not found in $PATH"),
            ("/bin/server", "exec: \"/bin/server\": stat /bin/server: no such file or directory"),
            ("native", "exec: \"native\": exec format error: the file is not WebAssembly"),
        ];
        for (entrypoint, expected) in cases {
            let config = RunConfig { entrypoint: words(&[entrypoint]), ..RunConfig::default() };
            assert_eq!(found(&root, &config, &[], &["x"]), expected);
            assert_eq!(found(&root, &config, &["sleep"], &[]), "exec: \"sleep\": executable file not found in $PATH");
        }
    }

    #[test]
    fn without_an_entrypoint_the_only_file_runs() {
        let config = RunConfig::default();
        let root = mk_root(&[("a/b/app.wasm", WASM), ("fake.wasm", b"text")], &[("link.wasm", "a/b/app.wasm")]);
        assert_eq!(found(&root, &config, &[], &[]), "a/b/app.wasm");
        assert_eq!(found(&root, &config, &["serve"], &[]), "a/b/app.wasm");
        assert_eq!(found(&root, &config, &[], &["-v"]), "a/b/app.wasm");
        let root = mk_root(&[("a.wasm", WASM), ("b.wasm", WASM)], &[]);
        assert!(found(&root, &config, &[], &[]).starts_with("no command specified"));
        assert_eq!(found(&root, &config, &["b.wasm"], &[]), "b.wasm");
    }

    #[test]
    fn path_and_working_directory_are_the_images() {
        let root = mk_root(&[("srv/app.wasm", WASM), ("x/tool", WASM), ("tool", b"text")], &[]);
        let config = RunConfig {
            cmd: words(&["app.wasm"]),
            env: words(&["PATH=/y", "PATH=relative:/x"]),
            working_dir: Some("/srv".to_owned()),
            ..RunConfig::default()
        };
        assert_eq!(found(&root, &config, &[], &[]), "srv/app.wasm");
        assert_eq!(found(&root, &config, &["./app.wasm"], &[]), "srv/./app.wasm");
        assert_eq!(found(&root, &config, &["tool"], &[]), "x/tool");
        // Without an entry point the pod's arguments are the command line.
        assert_eq!(found(&root, &config, &[], &["tool"]), "x/tool");
    }
}
