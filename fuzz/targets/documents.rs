//! Manifests, indexes and configurations are classified.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: wasmnode_fuzz::plant("documents"),
    |input: &[u8]| wasmnode_images::fuzzing::documents(input)
);
