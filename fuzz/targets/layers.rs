//! Layers of any bytes are unpacked.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: wasmnode_fuzz::plant("layers"),
    |input: &[u8]| wasmnode_images::fuzzing::layers(input)
);
