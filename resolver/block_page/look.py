"""How the page looks: light and dark, on a phone, on paper, from either side.

Knows: CSS.  Does not know: texts.
Theory: no script, no font, no picture from anywhere, so a policy (CSP) that allows this one style is enough.
Sides are logical (`inline-start`), so one sheet serves both directions of writing.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

STYLE: Final = (Path(__file__).parent / "page.css").read_text("utf-8")

_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing but the style above (CSP level 3)."""
