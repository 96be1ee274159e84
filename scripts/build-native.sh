#!/bin/sh
# Builds the native data plane and lays it into the environment VENV as the package `resolver_native`, where a Rust
# toolchain and the crates can be had; elsewhere it says in one line why not.  Never fails: everything works without
# the plane.  It is no distribution of its own: who installs a platform wheel has it from there (packaging/wheels).
# Builds again only when the sources changed since the last time (a stamp in VENV tells); what was built of other
# sources is taken away when that fails, for it may not fit the program any more.
# `quick`: for who wants to see it run. Where the full module was never built here, one without link-time optimisation
# is, in a third of the time; it does the same, only slower, and a line says so. Without `quick` the full one follows.
# `checked`: the same for tests, with all assertions in it; what is compiled for it serves the plane's own tests, too.
#
#     scripts/build-native.sh VENV [quick|checked]
set -u

venv=${1:?usage: build-native.sh VENV [quick|checked]}
wanted=${2:-release}
stamp=$venv/.native-stamp
log=$venv/native-build.log

python=$venv/bin/python
package=native/binding/resolver_native
sources=

# Where the environment keeps compiled packages.
place() {
    "$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))' 2>/dev/null
}

no_plane() {
    echo "native plane not built: $1"
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$sources" ]; then
        site=$(place) && [ -n "$site" ] && rm -rf "$site/resolver_native" && rm -f "$stamp"
    fi
    exit 0
}

[ -f native/Cargo.lock ] || no_plane "its sources are not here"
sources=$(
    find native -path native/target -prune -o -name __pycache__ -prune -o -type f -print | LC_ALL=C sort |
        while read -r file; do
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
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/native/target}
export CARGO_TARGET_DIR
# The full one is built again in little time.
[ ! -e "$CARGO_TARGET_DIR/release/libresolver_native.so" ] || wanted=release
say_kind() {
    case $1 in
    quick) echo "the native plane is one that was built quickly: make engine builds the full one, which answers faster" ;;
    checked) echo "the native plane is one for tests, with all assertions: make engine builds the full one, which answers faster" ;;
    esac
}
if [ -f "$stamp" ] && [ "$(head -n 2 "$stamp")" = "$sources
$tools" ]; then
    kind=$(sed -n 3p "$stamp")
    case $wanted,$kind in
    *,release | checked,checked | quick,quick | quick,checked) say_kind "$kind"; exit 0 ;;
    esac
fi

site=$(place)
[ -n "$site" ] || no_plane "$python cannot be run"
case $wanted in
quick | checked) echo "building the native plane quickly (a minute or two; only when its sources changed)" ;;
*) echo "building the native plane (two to six minutes; only when its sources changed)" ;;
esac
# PyO3 asks which Python it is for.
PYO3_PYTHON=$(realpath "$venv")/bin/python cargo build --profile "$wanted" --locked --package resolver-native \
    --manifest-path native/Cargo.toml >"$log" 2>&1 ||
    no_plane "$(grep -m 1 '^error' "$log" || echo 'the build failed') (see $log)"
# An environment of before had it as a distribution, which would tell of files that are others now.
for old in "$site"/resolver_native-*.dist-info; do
    [ ! -d "$old" ] || "$python" -m pip uninstall --quiet --yes resolver-native >>"$log" 2>&1
done
# Laid beside and then renamed: a server that runs goes on with the module it has loaded.
new=$(mktemp -d "$site/.resolver_native.XXXXXX") || no_plane "no room in $site"
trap 'rm -rf "$new"' EXIT
{
    chmod 755 "$new" &&
        cp "$package"/*.py "$package"/*.pyi "$package"/py.typed "$new" &&
        cp "$CARGO_TARGET_DIR/$wanted/libresolver_native.so" "$new/resolver_native.abi3.so" &&
        rm -rf "$site/resolver_native" && mv "$new" "$site/resolver_native"
} >>"$log" 2>&1 || no_plane "it cannot be laid into $site (see $log)"
printf '%s\n%s\n%s\n' "$sources" "$tools" "$wanted" >"$stamp"
say_kind "$wanted"
