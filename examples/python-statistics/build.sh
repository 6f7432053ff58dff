#!/bin/sh
# Makes statistics.wasm, a WASI 0.2 component with CPython in it.
set -eu
cd "$(dirname "$0")"
componentize-py --wit-path wit --world command componentize --output statistics.wasm app
