//! Files that claim to be wasm are described.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: wasmnode_fuzz::plant("wasm"),
    |input: &[u8]| wasmnode_images::fuzzing::wasm(input)
);
