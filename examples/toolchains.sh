# Sourced by run.sh: the compilers that a machine may lack, from package registries, into $cache and nowhere else.
# `toolchain_LANGUAGE` makes a language's commands; those for the examples' build.sh are links in $cache/bin.

zig_version=0.17.1
jco_version=1.35.0

# once NAME COMMAND…: runs a command that makes the folder $cache/NAME, unless it succeeded before.
once() {
    local name=$1; shift
    if [ ! -e "$cache/$name.done" ]; then
        rm -rf "${cache:?}/$name"
        "$@"
        touch "$cache/$name.done"
    fi
}

# command_of NAME COMMAND…: makes $cache/bin/NAME.
command_of() {
    local name=$1; shift
    mkdir -p "$cache/bin"
    printf '#!/bin/sh\nexec env %s "$@"\n' "$*" >"$cache/bin/$name"
    chmod +x "$cache/bin/$name"
}

toolchain_c() {
    once "zig-$zig_version" fetch_zig
    command_of zig "ZIG_GLOBAL_CACHE_DIR='$cache/zig'" "'$cache/zig-$zig_version/bin/python'" -m ziglang
}

fetch_zig() {
    python3 -m venv "$cache/zig-$zig_version"
    "$cache/zig-$zig_version/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"
}

toolchain_python() {
    once python fetch_python python-statistics/requirements.txt
    command_of componentize-py "'$cache/python/bin/componentize-py'"
}

fetch_python() {
    python3 -m venv "$cache/python"
    "$cache/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$1"
}

toolchain_go() { :; }

toolchain_javascript() { :; } # its build.sh asks npm

# With rustup's wasm32-wasip2 there is nothing to do. Without, Debian's rustc-web compiles the standard library from
# source for preview 1, zig links it with wasi-libc, and jco adapts the module to WASI 0.2.
toolchain_rust() {
    if has_wasip2; then return; fi
    toolchain_c
    once rustc-web fetch_rustc_web
    once "jco-$jco_version" npm install --silent --no-audit --no-fund --prefix "$cache/jco-$jco_version" \
        "@bytecodealliance/jco@$jco_version"
}

has_wasip2() {
    [ -d "$(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null)" ]
}

fetch_rustc_web() {
    mkdir -p "$cache/rustc-web/packages"
    (
        cd "$cache/rustc-web/packages"
        apt-get update -qq
        std=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
        llvm=$(depends "$std" 'libllvm[0-9.]*')
        apt-get download -qq -o APT::Sandbox::User=root rustc-web "$std" libstd-rust-web-dev rust-web-src "$llvm"
        for package in *.deb; do dpkg -x "$package" ..; done
    )
    rm -r "$cache/rustc-web/packages"
}

# depends PACKAGE PATTERN: the first package matching PATTERN that PACKAGE depends on.
depends() {
    apt-cache depends "$1" | sed -n "s/ *Depends: \($2\).*/\1/p" | head -n 1
}

# What build.sh of a Rust example does, in its folder: makes NAME.wasm.
build_rust() {
    local root=$cache/rustc-web name llvm
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml)
    llvm=$(find "$root/usr/lib" -name 'libLLVM*.so*' -printf '%h\n' | sort -u | tr '\n' ':')
    write_linker
    LD_LIBRARY_PATH="$llvm$root/usr/lib/x86_64-linux-gnu:$root/usr/lib" \
        RUSTC="$root/usr/bin/rustc" RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_WASM32_WASIP1_LINKER="$cache/bin/wasi-linker" \
        CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-Clink-self-contained=no -Clinker-flavor=gcc" \
        cargo build --quiet --release --target wasm32-wasip1 --target-dir target -Zbuild-std=std,panic_abort
    "$cache/jco-$jco_version/node_modules/.bin/jco" new --wasi-command \
        --output "$name.wasm" "target/wasm32-wasip1/release/$name.wasm" >/dev/null
}

# zig's compiler as a linker: without what rustc asks of clang and zig does not know, or does by itself.
write_linker() {
    cat >"$cache/bin/wasi-linker" <<'EOF'
#!/usr/bin/env bash
for argument; do
    shift
    case $argument in
    -Wl,--stack-first | -Wl,--no-demangle | --target=* | -nodefaultlibs) ;;
    *) set -- "$@" "$argument" ;;
    esac
done
exec zig cc -target wasm32-wasi "$@"
EOF
    chmod +x "$cache/bin/wasi-linker"
}
