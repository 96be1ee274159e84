"""The server's part in audits of itself: the secret that their queries carry.

Knows: settings, the secret.  Does not know: what is asked, how an answer is judged (`resolver.audit`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from resolver.audit.secret import write_secret

_log = logging.getLogger(__name__)


def publish_secret(state_dir: Path, secret: bytes) -> None:
    """Let the owner of `state_dir` audit this server without being counted; a failure is only logged."""
    try:
        write_secret(state_dir, secret)
    except OSError as error:
        _log.warning(
            "the secret of audits cannot be written: audits from outside count as queries",
            extra={"reason": str(error)},
        )
