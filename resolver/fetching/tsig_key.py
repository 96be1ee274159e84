"""The key of a zone transfer, out of its file.

Knows: plain base64, and the files that BIND's tsig-keygen writes.  Does not know: who may read the file
(`access`), messages.  No error here has a word of the secret in it.
"""

from __future__ import annotations

import base64
import re
from typing import Final

import dns.tsig

from resolver.blocklist.transfers import TsigSpec
from resolver.fetching.access import read_secret
from resolver.fetching.outcome import FetchFailed, Result

_KEY_FILE: Final = re.compile(rb'\bsecret\s+"([^"\s]+)"\s*;')


def read_tsig_key(spec: TsigSpec) -> dns.tsig.Key:
    """The key of a transfer.  Raises FetchFailed."""
    text = read_secret(spec.secret_file).strip()
    found = _KEY_FILE.search(text)
    try:
        # Strictly: what skips signs that are not base64 would make an empty secret of them.
        secret = base64.b64decode(found[1] if found else text, validate=True)
    except ValueError:
        secret = b""
    if not secret:
        message = f"secret file {spec.secret_file}: not a secret in base64, nor a file of tsig-keygen"
        raise FetchFailed(Result.STORAGE, message)
    return dns.tsig.Key(spec.name, secret, spec.algorithm)
