#!/bin/sh
# Compiles the modules of the request flow into the environment VENV, where a C compiler and Python's headers are
# to be had; elsewhere it says in one line why not.  Never fails: the sources run as they are.
# Compiles again only when the sources changed; what was built of other sources is not used (`resolver/compiled.py`).
#
#     scripts/build-compiled.sh VENV
set -u

venv=$(realpath "${1:?usage: build-compiled.sh VENV}")
cd "$(dirname "$0")/.." || exit
python=$venv/bin/python
log=$venv/compiled-build.log

interpreted() {
    echo "Python modules not compiled: $1"
    exit 0
}

folder=$("$python" -c 'from resolver import compiled; print(compiled.build_folder())') ||
    interpreted "$python does not run, or lacks this package"
"$python" scripts/compile_modules.py --is-current "$folder" && exit 0
command -v "${CC:-cc}" >/dev/null 2>&1 || interpreted "no C compiler (${CC:-cc}) on PATH"
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    interpreted "no Python headers (Debian: apt install python3-dev)"
"$python" -m pip install --quiet -c constraints.txt mypy setuptools types-PyYAML >"$log" 2>&1 ||
    interpreted "mypyc cannot be installed (see $log)"
echo "compiling the Python modules (two or three minutes; only when their sources changed)"
"$python" scripts/compile_modules.py "$folder" >>"$log" 2>&1 || interpreted "the build failed (see $log)"
