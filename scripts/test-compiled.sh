#!/bin/sh
# The tests that take no module apart, over the compiled modules; skipped by name where they are not built.
# The rest put doubles in the place of objects or methods, which compiled modules do not take: they run on the
# sources, and whatever starts the program itself (tests/loopback) runs what is built.
#
#     scripts/test-compiled.sh VENV
set -eu

venv=${1:?usage: test-compiled.sh VENV}
if ! "$venv/bin/python" -c 'from resolver import compiled; compiled.find()' 2>/dev/null; then
    echo "skipped: the tests of the compiled modules (they are not built)"
    exit 0
fi
# Plays and lives over the native plane put their own observers into the flow.
RESOLVER_COMPILED=1 "$venv/bin/python" -m pytest -q -n auto -k 'not native' \
    tests/test_scenarios.py tests/test_vectors.py tests/test_wire_fuzz.py tests/fuzz \
    tests/test_query.py tests/test_walk.py tests/test_names.py tests/test_encode.py tests/test_ttl.py \
    tests/test_chain.py tests/test_cache_entry.py tests/test_response_cache.py tests/test_eviction.py tests/test_transaction.py \
    tests/test_forwarder.py tests/test_udp_pool.py tests/test_socket_network.py tests/test_stream.py \
    tests/test_plan.py tests/test_upstream.py tests/test_table.py tests/test_answer.py tests/test_image.py \
    tests/test_explain.py
