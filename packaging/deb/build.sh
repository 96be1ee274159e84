#!/bin/sh
# Builds the Debian package out of the platform wheel of these sources (or the one that is named), with dpkg-deb alone: neither root nor debhelper.
# One package for Debian 12 and 13: compiled modules have the Python that they are for in their name, so those for
# several Pythons lie in one folder, and a release upgrade of the system does not take the resolver away.
# SOURCE_DATE_EPOCH: the time in it; default: that of the last commit.
#
#     packaging/deb/build.sh VENV [WHEEL]
set -eu

venv=${1:?usage: packaging/deb/build.sh VENV [WHEEL]}
wheel=${2:-}
PYTHONS="3.11 3.12 3.13"
PYTHON_MOST=3.14
architecture=${DEB_ARCHITECTURE:-$(dpkg --print-architecture)}
case $architecture in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*) echo "no Debian package for $architecture: there are wheels for amd64 and arm64" >&2; exit 1 ;;
esac

python=$venv/bin/python
version=$("$python" -c 'import resolver; print(resolver.__version__)')
[ -n "$wheel" ] || wheel=$(packaging/wheel.sh "$venv" "$machine")
case $(basename "$wheel") in
exchange_resolver-"$version"-*) ;;
*) echo "$wheel is not of version $version, which the package would be called" >&2; exit 1 ;;
esac
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
lib=$root/usr/lib/exchange-resolver
doc=$root/usr/share/doc/exchange-resolver
mkdir -p "$lib" "$doc" "$root/DEBIAN"

put() { # MODE FILE TARGET
    install -D -m "$1" "$2" "$root/$3"
}

# 1. The program and its libraries.
# shellcheck disable=SC2086 -- one word for each Python.
packaging/lay-program.sh "$venv" "$wheel" "$machine" "$lib" $PYTHONS

# 2. What people touch.
put 755 packaging/deb/exchange-resolver usr/bin/exchange-resolver
put 755 packaging/deb/rtupdate usr/share/python3/runtime.d/exchange-resolver.rtupdate
"$python" packaging/tools/default_files.py "$work/defaults"
put 644 "$work/defaults/resolver.yaml" etc/exchange-resolver/resolver.yaml
put 644 "$work/defaults/blocklist.yaml" etc/exchange-resolver/blocklist.yaml
put 644 packaging/default/exchange-resolver etc/default/exchange-resolver
put 644 packaging/logrotate/exchange-resolver etc/logrotate.d/exchange-resolver
find config/prometheus config/grafana -type f | while read -r file; do
    put 644 "$file" "usr/share/exchange-resolver/${file#config/}"
done
for unit in packaging/systemd/*; do
    put 644 "$unit" "usr/lib/systemd/system/$(basename "$unit")"
done
"$python" packaging/tools/man_pages.py "$work/man"
for page in "$work"/man/*; do
    gzip -9n "$page"
    put 644 "$page.gz" "usr/share/man/man${page##*.}/$(basename "$page").gz"
done
"$python" packaging/tools/completions.py "$work/completions"
put 644 "$work/completions/bash/exchange-resolver" usr/share/bash-completion/completions/exchange-resolver
put 644 "$work/completions/zsh/_exchange-resolver" usr/share/zsh/vendor-completions/_exchange-resolver
put 644 "$work/completions/fish/exchange-resolver.fish" usr/share/fish/vendor_completions.d/exchange-resolver.fish
put 644 packaging/deb/lintian-overrides usr/share/lintian/overrides/exchange-resolver

# 3. What is in it, and under which licences.
put 644 packaging/deb/README.Debian usr/share/doc/exchange-resolver/README.Debian
"$python" packaging/tools/inventory.py "$lib" --sbom "$doc/sbom.cdx.json" --licences "$work/THIRD-PARTY" \
    --copyright "$doc/copyright" --pythons $PYTHONS
gzip -9nc "$work/THIRD-PARTY" >"$doc/THIRD-PARTY.gz"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
printf 'exchange-resolver (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- exchange-resolver maintainers <maintainers@exchange-resolver.example>  %s\n' \
    "$version-1" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.Debian.gz"

# 4. Control files.
(cd "$root" && find etc -type f | sed 's|^|/|' | LC_ALL=C sort) >"$root/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do
    install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
sed -e "s/@VERSION@/$version-1/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@PYTHON_LEAST@/${PYTHONS%% *}/" \
    -e "s/@PYTHON_MOST@/$PYTHON_MOST/" -e "s/@SIZE_KIB@/$(du -sk "$root" | cut -f1)/" \
    packaging/deb/control >"$root/DEBIAN/control"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p dist
dpkg-deb --root-owner-group -Zxz --build "$root" "dist/exchange-resolver_$version-1_$architecture.deb"
