#!/bin/sh
# Builds bin/large.wasm: a program of some size, of the standard library alone, never padded.
set -eu
cd "$(dirname "$0")"
mkdir -p bin
CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags='-s -w' -o bin/large.wasm .
