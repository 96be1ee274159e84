#!/bin/sh
# The native core's own tests; skipped by name without a Rust toolchain.
set -eu

PATH=$PATH:$HOME/.cargo/bin
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/native/target}
export CARGO_TARGET_DIR
if ! command -v cargo >/dev/null 2>&1; then
    echo "skipped: cargo test (no Rust toolchain)"
    exit 0
fi
# Without the crates there is nothing to test with; that is no fault of the code.
cargo fetch --quiet --locked --manifest-path native/Cargo.toml || {
    echo "skipped: cargo test (its crates cannot be had)"
    exit 0
}
cargo test --quiet --locked --manifest-path native/Cargo.toml -p resolver-core
