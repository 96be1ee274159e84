#!/bin/sh
# Prints the path of the wheel with the native engine that was built of the sources here; builds it where there is none.
# What is packed from it is never of another version than what one reads here.
#
#     packaging/wheel.sh VENV MACHINE         MACHINE: x86_64, aarch64
set -eu

venv=${1:?usage: packaging/wheel.sh VENV MACHINE}
machine=${2:?usage: packaging/wheel.sh VENV MACHINE}

find_it() {
    "$venv/bin/python" packaging/tools/wheel_of_source.py dist "$machine"
}

find_it && exit 0
packaging/dist.sh "$venv" >&2
find_it && exit 0
echo "no wheel with the native engine for $machine: packaging/dist.sh did not build one" >&2
exit 1
