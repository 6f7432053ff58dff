#!/bin/sh
# Makes report.wasm, a WASI preview 1 command.
set -eu
cd "$(dirname "$0")"
CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags='-s -w' -o report.wasm .
