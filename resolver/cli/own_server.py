"""How a command speaks to the server of its settings over HTTP: encrypted or not, with a token or not.

Knows: `http.tls`, the environment variable of a token.  Does not know: what is asked.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from resolver.config.settings import Settings

TOKEN: Final = "EXCHANGE_RESOLVER_TOKEN"
"""Whose token a command shows; unset: none."""


def scheme_of(settings: Settings | None) -> str:
    """`https` where the settings say so."""
    return "http" if settings is None or settings.http.tls is None else "https"


def trust_in(settings: Settings | None) -> ssl.SSLContext | None:
    """Trust in the very certificate of the settings, whatever name it has; None: nothing is encrypted.

    Raises OSError.
    """
    if settings is None or settings.http.tls is None:
        return None
    path: Path = settings.http.tls.certificate
    try:
        context = ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise OSError(f"{path}: no certificate (PEM)") from None
    # The address is this machine's, and the file has the server's own certificate.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def headers_of() -> dict[str, str]:
    """What shows who asks."""
    token = os.environ.get(TOKEN, "")
    return {"Authorization": f"Bearer {token}"} if token else {}
