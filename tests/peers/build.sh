#!/bin/sh
# Builds bin/wasmtime, the program that benchmarks compare with, where it is missing or another version: a quarter
# of an hour of one core. Only what they use: no cache of its own, so that each figure says what it pays for.
set -eu
cd "$(dirname "$0")"
mkdir -p bin
exec 9>bin/.lock
flock 9 # two runs on one checkout must not write the same file

# The very engine that is embedded, so that a difference is not the compiler's.
version=$(sed -n '/^name = "wasmtime"$/{n;s/^version = "\(.*\)"$/\1/p;}' ../../Cargo.lock)
if [ -x bin/wasmtime ] && bin/wasmtime --version | grep -q "^wasmtime $version\b"; then exit 0; fi

# `serve` does not build without component-model-async.
features=run,compile,serve,cranelift,component-model,component-model-async,parallel-compilation,pooling-allocator
CARGO_TARGET_DIR=target cargo install --quiet --locked --root install "wasmtime-cli@=$version" \
	--no-default-features --features "$features"
mv install/bin/wasmtime bin/wasmtime
# Only now: a build that was interrupted goes on where it was.
rm -rf target install
echo "built wasmtime $version" >&2
