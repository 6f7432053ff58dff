#!/bin/sh
# Makes access-log.wasm, a WASI 0.2 component.
set -eu
cd "$(dirname "$0")"
cargo build --release --target wasm32-wasip2 --target-dir target
cp target/wasm32-wasip2/release/access-log.wasm .
