#!/bin/sh
# Runs one fuzz target, or all in turn: run.sh [TARGET] [SECONDS], 60 seconds each unless told otherwise.
# An input that breaks a promise is kept in artifacts/TARGET; run it again with
#   <target directory>/debug/TARGET artifacts/TARGET/crash-...
set -eu
cd "$(dirname "$0")"

targets="documents layers archive wasm" seconds=60
case ${1:-} in
'' | [0-9]*) ;;
*)
	case " $targets " in *" $1 "*) ;; *) echo "there is no target $1, only: $targets" >&2; exit 2 ;; esac
	targets=$1
	shift
	;;
esac
seconds=${1:-$seconds}

# What cargo-fuzz does without a sanitizer, on the stable toolchain: libFuzzer sees which code an input reaches.
# With --target only the targets and their libraries are instrumented, not build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=$(echo $flags) cargo build --quiet --target "$host"
built=${CARGO_TARGET_DIR:-$PWD/target}/$host/debug

# Unpacking syncs the file system: in memory that costs nothing.
if [ -w /dev/shm ]; then
	TMPDIR=$(mktemp -d /dev/shm/wasmnode-fuzz.XXXXXX)
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
	trap 'exit 130' INT TERM
fi
for target in $targets; do
	echo "fuzzing $target for $seconds s" >&2
	mkdir -p "corpus/$target" "artifacts/$target"
	SEEDS=corpus/$target GOLDEN=../src/images/tests/golden "$built/$target" \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -dict=words \
		-verbosity=0 -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" || {
		echo "$target: the input is in fuzz/artifacts/$target" >&2
		exit 1
	}
done
