//! Layers of any entries are unpacked.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: wasmnode_fuzz::plant("archive"),
    |input: &[u8]| wasmnode_images::fuzzing::archive(input)
);
