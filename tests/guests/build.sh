#!/bin/sh
# Builds the guests that are compiled from source: OUT_DIR/tool.wasm (default: bin beside this script).
# Those in wat/ are assembled by whoever loads them; those in components/ stand there built.
set -eu
cd "$(dirname "$0")"
out=${1:-bin}
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9 # two test runs on one checkout must not write the same file
cd tool && CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags='-s -w' -o "$out/tool.wasm" .
