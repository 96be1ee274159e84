#!/bin/sh
# The image's file system as dist/rootfs.tar.gz, and how large it is.  An image must stay under 120 MB compressed.
#
#     packaging/container/pack-rootfs.sh VENV
set -eu

venv=${1:?usage: packaging/container/pack-rootfs.sh VENV}
MEBIBYTES_MAX=114 # 120 MB

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/container/make-rootfs.sh "$venv" "$work/rootfs"
mkdir -p dist
tar -C "$work/rootfs" --sort=name --owner=0 --group=0 --numeric-owner -cf - . | gzip -9n >dist/rootfs.tar.gz
size=$(du -m dist/rootfs.tar.gz | cut -f1)
echo "dist/rootfs.tar.gz: $size MiB"
[ "$size" -le "$MEBIBYTES_MAX" ]
