module wasmnode.dev/tests/bench/large

go 1.24
