#!/bin/sh
# Prints the Python to make the environment with: the first of the candidates that is 3.11 or newer and can
# make a virtual environment with pip in it (on Debian that is the package python3-venv).
#
#     scripts/choose-python.sh [CANDIDATE...]
#
# A distribution's Python stands before the one on PATH: it is built with profile-guided and link-time
# optimisation, which version managers leave out unless told, and that makes this server half as fast again.
set -u

can_make_environments='
import sys
if sys.version_info < (3, 11):
    sys.exit(1)
import ensurepip, venv
'

[ $# -gt 0 ] || set -- /usr/bin/python3 python3
for candidate; do
    if "$candidate" -c "$can_make_environments" >/dev/null 2>&1; then
        command -v "$candidate"
        exit 0
    fi
done
echo "no Python 3.11 or newer with venv and pip among: $* (Debian: apt install python3-venv)" >&2
exit 1
