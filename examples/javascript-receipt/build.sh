#!/bin/sh
# Makes receipt.wasm, a WASI 0.2 component with the engine StarlingMonkey in it.
set -eu
cd "$(dirname "$0")"
npm install --silent --no-audit --no-fund
npm run --silent build
