#!/bin/sh
# The native core's own tests, the fuzz targets over their corpus, and most orders in which threads can meet; skipped
# by name without a Rust toolchain.
# FUZZ_PROFILE=long: every order in which threads can meet, the binding's tests under valgrind, ten minutes for each
# fuzz target, then 20,000,000 cases through the whole flow.
#
#     scripts/test-native.sh VENV
set -eu

venv=${1:?usage: test-native.sh VENV}
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
PYO3_PYTHON=$(realpath "$venv")/bin/python cargo test --quiet --locked --profile checked \
    --manifest-path native/Cargo.toml --workspace
models() {
    cargo test --quiet --locked --manifest-path native/models/Cargo.toml
}
if ! cargo fetch --quiet --locked --manifest-path native/models/Cargo.toml; then
    echo "skipped: the orders in which threads can meet (their crates cannot be had)"
elif [ "${FUZZ_PROFILE:-short}" = long ]; then
    models
else
    # A thread is interrupted twice at most: a second, and all that was ever found comes up in it.
    LOOM_MAX_PREEMPTIONS=2 models
fi
if [ "${FUZZ_PROFILE:-short}" = long ]; then
    if ! command -v valgrind >/dev/null 2>&1; then
        echo "skipped: the binding's tests under valgrind (not installed)"
    elif ! "$venv/bin/python" -c 'import resolver_native' 2>/dev/null; then
        echo "skipped: the binding's tests under valgrind (the native plane is not installed)"
    else
        # With Python's own allocator valgrind would see few of its blocks.
        PYTHONMALLOC=malloc valgrind --quiet --error-exitcode=9 --errors-for-leak-kinds=none --leak-check=no \
            --suppressions=native/binding/valgrind.supp \
            "$venv/bin/python" -m pytest -q -p no:cacheprovider tests/native/test_resolver_native*.py
    fi
    fuzz() {
        cargo run --quiet --locked --manifest-path native/Cargo.toml --profile checked -p resolver-fuzz -- "$@"
    }
    fuzz all --seconds 600
    fuzz flow --cases 20000000 --seed 2
fi
