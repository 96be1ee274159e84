#!/bin/sh
# The native core's own tests, and the fuzz targets over their corpus; skipped by name without a Rust toolchain.
# FUZZ_PROFILE=long: ten minutes for each target, then 20,000,000 cases through the whole flow.
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
cargo test --quiet --locked --manifest-path native/Cargo.toml -p resolver-core -p resolver-fuzz
if [ "${FUZZ_PROFILE:-short}" = long ]; then
    fuzz() {
        cargo run --quiet --locked --manifest-path native/Cargo.toml --profile fuzz -p resolver-fuzz -- "$@"
    }
    fuzz all --seconds 600
    fuzz flow --cases 20000000 --seed 2
fi
