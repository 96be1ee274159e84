#!/bin/sh
# Format and lints of the native plane, and its stub file against the installed module; each is skipped by name
# where its program is missing.
#
#     scripts/check-native.sh VENV
set -eu

venv=${1:?usage: check-native.sh VENV}
PATH=$PATH:$HOME/.cargo/bin
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/native/target}
export CARGO_TARGET_DIR

if ! command -v cargo >/dev/null 2>&1; then
    echo "skipped: cargo fmt, cargo clippy (no Rust toolchain)"
else
    if cargo fmt --version >/dev/null 2>&1; then
        cargo fmt --manifest-path native/Cargo.toml --all -- --check
        cargo fmt --manifest-path native/models/Cargo.toml -- --check
    else
        echo "skipped: cargo fmt (not installed)"
    fi
    if ! cargo fetch --quiet --locked --manifest-path native/Cargo.toml; then
        echo "skipped: cargo clippy (its crates cannot be had)"
    elif cargo clippy --version >/dev/null 2>&1; then
        # PyO3 asks which Python it is for.
        PYO3_PYTHON=$(realpath "$venv")/bin/python cargo clippy --quiet --locked --profile checked \
            --manifest-path native/Cargo.toml --workspace --all-targets -- -D warnings
    else
        echo "skipped: cargo clippy (not installed)"
    fi
fi
if "$venv/bin/python" -c 'import resolver_native' 2>/dev/null; then
    MYPYPATH=native/binding "$venv/bin/python" -m mypy.stubtest resolver_native \
        --allowlist native/binding/stubtest-allowlist.txt
else
    echo "skipped: stubtest (the native plane is not installed)"
fi
