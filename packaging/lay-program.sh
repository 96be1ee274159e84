#!/bin/sh
# Lays a wheel of the program and the libraries it needs into FOLDER, for each PYTHON: what both the Debian package and
# the image hold.  Compiled modules have the Python that they are for in their name, so those for several Pythons lie
# in one folder; whatever else has one name must be one file.  Only wheels are taken: nothing is compiled, and no code
# of a library runs.
#
#     packaging/lay-program.sh VENV WHEEL MACHINE FOLDER PYTHON...         MACHINE: x86_64, aarch64
set -eu

venv=${1:?usage: packaging/lay-program.sh VENV WHEEL MACHINE FOLDER PYTHON...}
wheel=$2 machine=$3 folder=$4
shift 4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
for python in "$@"; do
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$work/$python" \
        -c constraints.txt --only-binary :all: --implementation cp --python-version "$python" \
        --abi "cp$(echo "$python" | tr -d .)" --abi abi3 --abi none --platform "manylinux_2_28_$machine" \
        --platform "manylinux_2_17_$machine" --platform "manylinux2014_$machine" \
        --platform "manylinux_2_5_$machine" --platform "manylinux1_$machine" "$wheel"
    # Programs, headers and manuals of libraries: nobody calls them here; what Prometheus and Grafana read is laid where
    # each package has it. Of each distribution: which wheel it came in, the list
    # of files, pip's own remarks. They differ by Python, and nobody reads them here.
    rm -rf "$work/$python/bin" "$work/$python/include" "$work/$python/share"
    find "$work/$python" -path '*.dist-info/*' \( -name WHEEL -o -name RECORD -o -name REQUESTED \
        -o -name direct_url.json -o -name INSTALLER -o -name top_level.txt -o -name entry_points.txt \) -delete
    (cd "$work/$python" && find . -type f) >"$work/files"
    while read -r file; do
        if [ ! -e "$folder/$file" ]; then
            mkdir -p "$folder/$(dirname "$file")"
            cp -p "$work/$python/$file" "$folder/$file"
        elif ! cmp -s "$work/$python/$file" "$folder/$file"; then
            # What a compiled library was built of: the same for each Python, under other numbers.
            case $file in *.dist-info/sboms/*) continue ;; esac
            echo "$file is another one for Python $python" >&2
            exit 1
        fi
    done <"$work/files"
done
find "$folder" -type f -exec chmod 644 {} +
# Symbols for debuggers are a third of the size.
! command -v strip >/dev/null || find "$folder" -name '*.so' -exec strip --strip-unneeded {} + 2>/dev/null || true
