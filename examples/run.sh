#!/usr/bin/env bash
# Builds examples, runs each with `wasmnode run`, and compares what it prints with its `expected`.
#
#   run.sh [NAME…]    all of them without names
#   WASMNODE_BIN      the program (default: target/debug/wasmnode)
#
# Compilers that are missing are fetched into .cache, about 2 GB for all; examples are built in copies there.
set -euo pipefail
cd "$(dirname "$0")"
export cache=$PWD/.cache
wasmnode=$(realpath "${WASMNODE_BIN:-../target/debug/wasmnode}")
patience=600
. ./toolchains.sh

mkdir -p "$cache/bin"
PATH=$cache/bin:$PATH
exec 9>"$cache/lock"
flock 9

# build NAME: a fresh copy of an example, with its program.
build() {
    local language=${1%%-*} copy=$cache/build/$1
    mkdir -p "$copy"
    rm -f "$copy"/*.wasm
    tar -C "$1" --exclude=target --exclude=node_modules --exclude='*.wasm' -c . | tar -C "$copy" -x
    "toolchain_$language"
    if [ "$language" = rust ] && ! has_wasip2; then
        (cd "$copy" && build_rust)
    else
        "$copy/build.sh"
    fi
}

# run NAME: prints what the program does, without the pod's name in front of each line.
run() {
    local manifest=$cache/build/$1/job.yaml
    [ -e "$manifest" ] || manifest=$cache/build/$1/pod.yaml
    timeout "$patience" "$wasmnode" run --root-dir "$cache/wasmnode" "$manifest" | sed 's/^[^|]* | //'
}

# check NAME: in a shell of its own, which the first failure ends.
check() (
    set -euo pipefail
    build "$1" >&2
    run "$1" >"$cache/build/$1/actual"
    diff -u "$1/expected" "$cache/build/$1/actual" >&2
)

names=("$@")
[ $# -gt 0 ] || for expected in */expected; do names+=("${expected%/expected}"); done
failed=0
for name in "${names[@]}"; do
    started=$SECONDS
    check "$name" &
    if wait $!; then outcome=ok; else outcome=FAILED failed=1; fi
    echo "$name: $outcome, $((SECONDS - started)) s"
done
exit "$failed"
