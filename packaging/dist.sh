#!/bin/sh
# Everything that `pip` installs: the sdist, the pure wheel, and for each target that the Rust toolchain has a wheel of
# the same name with the native engine inside.  What cannot be made is named, with the reason; the wheel of this
# machine must be among the others where Rust is here at all.
#
#     packaging/dist.sh VENV
set -eu

venv=${1:?usage: packaging/dist.sh VENV}
PATH=$PATH:$HOME/.cargo/bin
export PATH
# Compiled here and not in a folder that goes away: the next time only what changed is compiled again.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/native/target}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
# The versions of the build's own tools.
export PIP_CONSTRAINT="$PWD/constraints.txt"

"$venv/bin/python" -m pip install --quiet -c constraints.txt build
rm -f dist/exchange_resolver-*.whl dist/exchange_resolver-*.tar.gz
"$venv/bin/python" -m build --outdir dist

here=$(uname -m)-unknown-linux-gnu
if ! command -v cargo >/dev/null 2>&1; then
    echo "no wheel with the native engine: no Rust toolchain (cargo) on PATH or in ~/.cargo/bin"
    exit 0
fi
ls dist/*-cp311-abi3-manylinux*_"$(uname -m)".whl >/dev/null
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    [ "$target" != "$here" ] || continue
    if ls "$(rustc --print target-libdir --target "$target" 2>/dev/null)"/libstd-* >/dev/null 2>&1; then
        "$venv/bin/python" -m build --wheel --outdir dist -C engine=native -C target="$target" .
    else
        echo "no wheel for $target: the Rust toolchain has no such target (rustup target add $target)"
    fi
done
