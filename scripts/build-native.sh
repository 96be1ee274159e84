#!/bin/sh
# Builds the native data plane and installs it into the environment VENV, where a Rust toolchain and the crates
# can be had; elsewhere it says in one line why not.  Never fails: everything works without the plane.
# Builds again only when the sources changed since the last time (a stamp in VENV tells); what was built of other
# sources is taken away when that fails, for it may not fit the program any more.
#
#     scripts/build-native.sh VENV
set -u

venv=${1:?usage: build-native.sh VENV}
stamp=$venv/.native-stamp
log=$venv/native-build.log

python=$venv/bin/python
sources=

no_plane() {
    echo "native plane not built: $1"
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$sources" ]; then
        "$python" -m pip uninstall --quiet --yes resolver-native >/dev/null 2>&1 && rm -f "$stamp"
    fi
    exit 0
}

[ -f native/Cargo.lock ] || no_plane "its sources are not here"
sources=$(
    find native -path native/target -prune -o -type f -print | LC_ALL=C sort | while read -r file; do
        cksum "$file"
    done | cksum
)
PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null 2>&1 || no_plane "no Rust toolchain (cargo) on PATH or in ~/.cargo/bin"

# What else the result depends on: the compiler, the Python that is to load it.
tools=$(
    {
        cargo --version
        "$python" -c 'import sys; print(sys.version)'
    } 2>/dev/null | cksum
)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sources
$tools" ]; then
    exit 0
fi

CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/native/target}
export CARGO_TARGET_DIR
"$python" -m pip install --quiet -c constraints.txt maturin >"$log" 2>&1 ||
    no_plane "maturin cannot be installed (see $log)"
echo "building the native plane (a minute or two; only when its sources changed)"
wheels=$(mktemp -d) || no_plane "no room for temporary files"
trap 'rm -rf "$wheels"' EXIT
"$venv/bin/maturin" build --release --locked --interpreter "$python" --out "$wheels" \
    --manifest-path native/binding/Cargo.toml >>"$log" 2>&1 ||
    no_plane "$(grep -m 1 '^error' "$log" || echo 'the build failed') (see $log)"
"$python" -m pip install --quiet --no-deps --force-reinstall "$wheels"/*.whl >>"$log" 2>&1 ||
    no_plane "its wheel cannot be installed (see $log)"
printf '%s\n%s\n' "$sources" "$tools" >"$stamp"
