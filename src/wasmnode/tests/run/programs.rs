//! One program from a file or a layout.

use crate::support::Home;

#[test]
fn a_program_speaks_for_itself_and_its_exit_status_is_the_commands() {
    let home = Home::with(&["hello", "exit-42", "trap"]);
    let hello = home.run(&["run", "hello.wasm"]);
    assert_eq!((hello.code, hello.stdout.as_str(), hello.stderr.as_str()), (0, "hello from wasm!\n", ""));
    let failed = home.run(&["run", "./exit-42.wasm"]);
    assert_eq!((failed.code, failed.stdout.as_str(), failed.stderr.as_str()), (42, "", ""));
    let trapped = home.run(&["run", "trap.wasm"]);
    assert_eq!(trapped.code, 134, "{trapped:?}");
    assert!(trapped.stderr.contains("unreachable") && trapped.stderr.contains("middle"), "{trapped:?}");
    assert_eq!(home.runs(), ["lock"]);
}

#[test]
fn a_new_version_of_a_file_is_a_new_program() {
    let home = Home::with(&["hello", "exit-42"]);
    assert_eq!(home.run(&["run", "hello.wasm"]).code, 0);
    std::fs::copy(home.path().join("exit-42.wasm"), home.path().join("hello.wasm")).unwrap();
    assert_eq!(home.run(&["run", "hello.wasm"]).code, 42);
}

#[test]
fn what_cannot_be_run_is_said_in_one_line_with_status_125() {
    let home = Home::with(&["unknown-imports", "reactor"]);
    home.write("script.wasm", "#!/bin/sh\n");
    let cases = [
        ("unknown-imports.wasm", "imports that this node does not provide"),
        ("reactor.wasm", "not a program"),
        ("script.wasm", "not valid WebAssembly"),
        ("./missing.wasm", "cannot read"),
        ("oci:missing", "index.json"),
        ("A b", "couldn't parse image name"),
    ];
    for (image, problem) in cases {
        let said = home.run(&["run", image]);
        assert_eq!((said.code, said.stdout.as_str()), (125, ""), "{said:?}");
        assert!(said.stderr.contains(problem) && said.stderr.lines().count() == 1, "{said:?}");
    }
    let never = home.run(&["run", "--pull", "never", "registry.example.com/a"]);
    assert!(never.code == 125 && never.stderr.contains("pull policy of Never"), "{never:?}");
}

#[test]
fn wrong_flags_are_status_2() {
    let home = Home::with(&["hello"]);
    home.write("pod.yaml", "");
    for arguments in [
        &["run"][..],
        &["run", "--volume", "/nowhere:/x", "hello.wasm"],
        &["run", "--name", "Not A Name", "hello.wasm"],
        &["run", "--env", "A=b", "pod.yaml"],
        &["run", "pod.yaml"],
        &["run", "missing.yaml"],
    ] {
        let said = home.run(arguments);
        assert_eq!(said.code, 2, "{arguments:?} {said:?}");
    }
}

#[test]
fn two_at_once_share_one_cache() {
    let home = Home::with(&["hello"]);
    let start = || home.command(&["run", "hello.wasm"]).spawn().unwrap();
    let (first, second) = (start(), start());
    for child in [first, second] {
        let said = crate::support::Said::of(child.wait_with_output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (0, "hello from wasm!\n"), "{said:?}");
    }
}
