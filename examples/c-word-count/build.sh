#!/bin/sh
# Makes word-count.wasm, a WASI preview 1 command.
set -eu
cd "$(dirname "$0")"
zig cc -target wasm32-wasi -Os -s -Wall -Wextra -Wl,-z,stack-size=65536 -o word-count.wasm word-count.c
