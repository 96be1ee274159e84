#!/bin/sh
# Looks up known weaknesses of everything that is shipped.  Each look is skipped by name where its program or its
# advisory database cannot be had; a weakness found ends it with 1.
#
#     packaging/advisories.sh VENV
set -u

venv=${1:?usage: packaging/advisories.sh VENV}
PATH=$PATH:$HOME/.cargo/bin
code=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the program needs, at the versions that are tested: constraints.txt less what only tests need.
"$venv/bin/python" packaging/tools/shipped.py >"$work/shipped.txt"
if ! "$venv/bin/python" -m pip_audit --version >/dev/null 2>&1; then
    echo "skipped: pip-audit (not installed: pip install pip-audit)"
else
    "$venv/bin/python" -m pip_audit --disable-pip --no-deps -r "$work/shipped.txt" >"$work/told" 2>&1
    found=$?
    # Where the registry gives no advisories it says this of each package, and is content.
    if grep -q "could not be audited" "$work/told"; then
        echo "skipped: pip-audit (no advisory database: $(grep -c "could not be audited" "$work/told") packages not audited)"
    elif [ $found -eq 0 ]; then
        echo "pip-audit: nothing found in $(wc -l <"$work/shipped.txt") packages"
    elif grep -q "known vulnerabilit" "$work/told"; then
        cat "$work/told"
        code=1
    else
        echo "skipped: pip-audit ($(tail -n 1 "$work/told"))"
    fi
fi
if ! cargo audit --version >/dev/null 2>&1; then
    echo "skipped: cargo audit (not installed: cargo install cargo-audit)"
else
    cargo audit --quiet --file native/Cargo.lock >"$work/told" 2>&1 && echo "cargo audit: nothing found" || {
        if grep -q "error: couldn't fetch advisory database" "$work/told"; then
            echo "skipped: cargo audit (no advisory database)"
        else
            cat "$work/told"
            code=1
        fi
    }
fi
exit $code
