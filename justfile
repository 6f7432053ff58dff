# Every task of the project. `./just` runs them where `just` is not installed.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
    @just --list --unsorted

# the agent's program: target/debug/wasmnode
build:
    cargo build --workspace --bins

# all tests; the first time it builds a control plane, about ten minutes
test: cluster guests
    cargo build --workspace --bins
    cargo test --workspace --no-fail-fast

# one end-to-end test by (part of) its name
e2e *FILTER:
    cargo test --package wasmnode-tests --test e2e -- {{FILTER}}

# the control plane, kubectl and the registry: tests/cluster/bin
cluster:
    tests/cluster/build.sh

# the guests that are built from source: tests/guests/bin
guests:
    tests/guests/build.sh

# the main job, from an empty cluster to logs; --keep leaves it running
demo *ARGS: cluster guests
    cargo build --workspace --bins
    target/debug/demo {{ARGS}}

# builds the examples, [NAME...] or all, runs each and compares; fetches compilers, minutes and gigabytes the first time
examples *NAMES: build
    examples/run.sh {{NAMES}}

# one JSON line per figure
bench *ARGS: cluster guests
    tests/bench/large/build.sh
    cargo build --release --workspace --bins
    target/release/bench {{ARGS}}

# what `just bench images` compares with: tests/peers/bin; a quarter of an hour the first time
peers:
    tests/peers/build.sh

# fuzz targets: all in turn, or [TARGET], for [SECONDS] each
fuzz *ARGS:
    fuzz/run.sh {{ARGS}}

# formatting and lints, warnings are errors
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- --deny warnings
    gofmt -l tests/cluster tests/guests tests/bench examples/go-report | (! grep .)
    cd tests/cluster/controlplane && go vet .
    cd tests/cluster/registry && go vet .

# each crate by itself: none leans on features that another one switches on
check-dirs:
    for manifest in src/*/Cargo.toml providers/*/Cargo.toml tests/Cargo.toml; do \
        cargo check --quiet --all-targets --manifest-path "$manifest"; \
    done

# the generated pages below docs
docs:
    mkdir -p docs
    cargo run --quiet --bin wasmnode -- docs docs
