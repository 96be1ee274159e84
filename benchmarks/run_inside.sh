#!/bin/sh
# Runs a program with another folder as its root, so with the libraries that are unpacked there and no others:
#
#     run_inside.sh ROOT /usr/sbin/PROGRAM [ARGUMENT ...]
#
# Everything of this machine outside /usr, /etc and /var is seen there under its own path: settings, lists, sockets.
# The process stays the one that was started, so its id and its CPU time are the program's.
set -eu

root=$1
shift
if [ -z "${RUN_INSIDE_OWN_MOUNTS-}" ]; then
    user=
    [ "$(id -u)" -eq 0 ] || user=--map-root-user
    RUN_INSIDE_OWN_MOUNTS=yes exec unshare --mount $user "$0" "$root" "$@"
fi
unset RUN_INSIDE_OWN_MOUNTS
for folder in /*/; do
    folder=${folder%/}
    case $folder in
    /bin | /sbin | /lib* | /usr | /etc | /var) continue ;;
    esac
    mkdir -p "$root$folder"
    mount --rbind "$folder" "$root$folder"
done
exec chroot "$root" "$@"
