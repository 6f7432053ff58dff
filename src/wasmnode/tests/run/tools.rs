//! The image tools.

use serde_json::Value;

use crate::support::Home;

#[test]
fn inspect_says_what_a_file_is_and_whether_it_runs() {
    let home = Home::with(&["hello", "hello-p2", "hello-p3", "unknown-imports"]);
    let hello = home.run(&["inspect", "hello.wasm"]);
    for line in [
        "hello.wasm is a core module (WASI preview 1), ",
        "  wasi_snapshot_preview1::fd_write",
        "  _start",
        "runs here: yes",
    ] {
        assert!(hello.stdout.lines().any(|said| said.starts_with(line)), "{line}: {hello:?}");
    }
    for (file, engine) in [("hello-p2.wasm", "base"), ("hello-p3.wasm", "wasip3")] {
        let said: Value = serde_json::from_str(&home.run(&["inspect", file, "-o", "json"]).stdout).unwrap();
        assert_eq!((&said["kind"], &said["engine"]), (&"component".into(), &engine.into()), "{said}");
        assert_eq!(said["runsHere"], true, "{said}");
    }
    let unknown: Value =
        serde_json::from_str(&home.run(&["inspect", "unknown-imports.wasm", "-o", "json"]).stdout).unwrap();
    assert_eq!(unknown["runsHere"], false);
    assert!(unknown["problem"].as_str().unwrap().contains("imports that this node does not provide"), "{unknown}");
    assert_eq!(home.run(&["inspect", "./missing.wasm"]).code, 1);
}

#[test]
fn images_are_listed_and_removed_by_name() {
    let home = Home::with(&["hello", "exit-42"]);
    home.run(&["run", "hello.wasm"]);
    home.run(&["run", "exit-42.wasm"]);
    let images: Value = serde_json::from_str(&home.run(&["image", "list", "--output", "json"]).stdout).unwrap();
    assert_eq!(images.as_array().unwrap().len(), 2, "{images}");
    let names = images.as_array().unwrap().iter().map(|image| image["names"][0].as_str().unwrap());
    let hello = names.clone().find(|name| name.starts_with("file.localhost/hello:")).unwrap();
    let listed = home.run(&["image", "list"]);
    assert!(listed.stdout.starts_with("IMAGE ") && listed.stdout.contains(hello), "{listed:?}");

    let removed = home.run(&["image", "remove", hello]);
    assert_eq!((removed.code, removed.stdout), (0, format!("removed {hello}\n")));
    let again = home.run(&["image", "remove", hello]);
    assert!(again.code == 1 && again.stderr.contains("there is no image"), "{again:?}");
    assert!(home.run(&["image", "prune"]).stdout.starts_with("removed 1 images, "));
    assert_eq!(home.run(&["image", "list", "-o", "json"]).stdout, "[]\n");
    // What was removed is made anew.
    assert_eq!(home.run(&["run", "exit-42.wasm"]).code, 42);
}

#[test]
fn a_stored_image_is_an_image_layout_that_runs() {
    let home = Home::with(&["hello"]);
    home.run(&["run", "hello.wasm"]);
    std::fs::rename(home.path().join(".cache/wasmnode/images"), home.path().join("layout")).unwrap();
    let said = home.run(&["run", "oci:layout"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "hello from wasm!\n"), "{said:?}");
    let said = home.run(&["run", "oci:layout:nosuchtag"]);
    assert!(said.code == 125 && said.stderr.contains("it holds no image of tag \"nosuchtag\""), "{said:?}");
    let index: Value = serde_json::from_slice(&std::fs::read(home.path().join("layout/index.json")).unwrap()).unwrap();
    let names = index["manifests"].as_array().unwrap().iter();
    let names = names.filter_map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str());
    let tag = names.filter(|name| !name.contains('@')).find_map(|name| name.rsplit(':').next()).unwrap();
    let said = home.run(&["run", &format!("oci:layout:{tag}")]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "hello from wasm!\n"), "{said:?}");
}

#[test]
fn completions_know_the_verbs() {
    let home = Home::with(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let said = home.run(&["completions", shell]);
        assert!(said.code == 0 && said.stdout.contains("inspect"), "{shell}");
    }
}
