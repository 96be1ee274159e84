#!/bin/sh
# Makes the file system of the image: Python and its libraries out of Debian's packages, the program, and nothing else:
# no shell, no package manager.  Needs neither root nor a container engine; takes the Debian release of the machine
# from the mirrors that its apt is set up with.
# SOURCE_DATE_EPOCH: the time of the files; default: that of the last commit.
#
#     packaging/container/make-rootfs.sh VENV FOLDER [WHEEL]
set -eu

venv=${1:?usage: packaging/container/make-rootfs.sh VENV FOLDER [WHEEL]}
root=${2:?usage: packaging/container/make-rootfs.sh VENV FOLDER [WHEEL]}
wheel=${3:-}
case $(dpkg --print-architecture) in
amd64) machine=x86_64 loader=lib64 ;;
arm64) machine=aarch64 loader= ;;
*) echo "no image for $(dpkg --print-architecture): there are wheels for amd64 and arm64" >&2; exit 1 ;;
esac
if [ -e "$root" ]; then
    echo "$root is there already" >&2
    exit 1
fi
[ -n "$wheel" ] || wheel=$(packaging/wheel.sh "$venv" "$machine")
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 1. Which packages: python3.X and what it depends on. apt works in folders of its own, where some packages count as
# installed: what they are wanted for (scripts at installation, manuals) does not happen here.
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
for absent in dpkg debconf openssl install-info tar base-files base-passwd; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 99:1\nArchitecture: all\nMulti-Arch: foreign\nMaintainer: nobody\nDescription: not here\n\n' \
        "$absent"
done >"$work/status"
apt() {
    apt-get -q -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Debug::NoLocking=true \
        -o Acquire::Languages=none "$@"
}
apt update >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# shellcheck disable=SC2016 -- for apt to fill in.
python=$(apt-cache -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
    depends python3 | sed -n 's/.*Depends: python\(3\.[0-9]*\)$/\1/p' | head -n 1)
apt install --yes --download-only "python$python" ca-certificates >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }

# 2. Unpacked, no script of theirs run.
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/var/lib/dpkg" "$root/etc/ssl/certs"
for merged in bin sbin lib $loader; do
    ln -s "usr/$merged" "$root/$merged"
done
for package in "$work"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -xf - -C "$root" --keep-directory-symlink --no-same-owner
    # For scanners, which look for weaknesses in what dpkg says there is.
    { dpkg-deb --field "$package" | sed '1a Status: install ok installed'; echo; } >>"$root/var/lib/dpkg/status"
done
find "$root/usr/share/ca-certificates" -name '*.crt' | LC_ALL=C sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/lintian" "$root/usr/share/info" \
    "$root/usr/share/bug" "$root/usr/share/ca-certificates" "$root/usr/share/pixmaps" "$root/usr/share/applications" \
    "$root/usr/share/bash-completion" "$root/usr/sbin" "$root/sbin" "$root/var/cache"
# Of Python: what builds packages, shows windows, tests, or asks a terminal.
for unused in test ensurepip idlelib tkinter turtledemo lib2to3 pydoc_data venv distutils/tests; do
    rm -rf "$root/usr/lib/python$python/$unused"
done
find "$root/usr/bin" -type f ! -name "python$python" -delete
find "$root/usr/bin" -type l -delete
ln -s "python$python" "$root/usr/bin/python3"

# 3. The program.
packaging/lay-program.sh "$venv" "$wheel" "$machine" "$root/usr/lib/exchange-resolver" "$python"
install -D -m 755 packaging/deb/exchange-resolver "$root/usr/bin/exchange-resolver"
install -D -m 644 packaging/container/resolver.yaml "$root/etc/exchange-resolver/resolver.yaml"
install -D -m 644 blocklist.yaml "$root/etc/exchange-resolver/blocklist.yaml"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nresolver:x:65532:65532::/var/lib/exchange-resolver:/usr/sbin/nologin\n' \
    >"$root/etc/passwd"
printf 'root:x:0:\nresolver:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
mkdir -p "$root/tmp" "$root/proc" "$root/dev" "$root/sys" "$root/run" "$root/var/lib/exchange-resolver"
chmod 1777 "$root/tmp"
chmod 1777 "$root/var/lib/exchange-resolver"
# Compiled ahead: the file system is read-only. The compiler must be of the same Python; otherwise each start compiles.
for compiler in "/usr/bin/python$python" "$(command -v "python$python" || true)"; do
    if [ -x "$compiler" ]; then
        "$compiler" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash \
            "$root/usr/lib/exchange-resolver" "$root/usr/lib/python$python" >/dev/null || true
        break
    fi
done
mkdir -p "$root/usr/share/doc/exchange-resolver"
"$venv/bin/python" packaging/tools/inventory.py "$root/usr/lib/exchange-resolver" --root "$root" \
    --pythons "$python" --sbom "$root/usr/share/doc/exchange-resolver/sbom.cdx.json" \
    --licences "$root/usr/share/doc/exchange-resolver/THIRD-PARTY" \
    --copyright "$root/usr/share/doc/exchange-resolver/copyright"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
