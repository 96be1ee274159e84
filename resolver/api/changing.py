"""What the API asks the server to change.

Knows: the words between the API and whoever changes something.  Does not know: how anything is changed.
"""

from __future__ import annotations

from typing import Any, Protocol

from resolver.api.tokens import Caller


class Changing(Protocol):
    """Whoever changes something.  Every method may raise Refusal."""

    async def change(self, word: str, caller: Caller, **asked: Any) -> dict[str, Any]:
        """What `changing.doing.do` says of a word, and `accept` and `dismiss` of suggestions."""

    async def pause(
        self, caller: Caller, for_s: float, reason: str, *, including_orders: bool
    ) -> dict[str, Any]:
        """Filter nothing for a while; how it stands then."""

    async def resume(self, caller: Caller, reason: str) -> dict[str, Any]:
        """End a pause; how it stands then."""

    def paused(self) -> dict[str, Any]:
        """How it stands with a pause."""

    async def flush(self, caller: Caller, name: str, *, subtree: bool) -> int:
        """Forget what is known of a name; how many answers."""

    def reload(self, caller: Caller) -> None:
        """Read the blocklist again."""

    def update_list(self, caller: Caller, name: str) -> None:
        """Fetch a list now."""

    def audit(self, caller: Caller) -> None:
        """Audit this server now."""


class NoChanging:
    """Nobody changes anything: for who describes the API alone."""

    async def change(self, word: str, caller: Caller, **asked: Any) -> dict[str, Any]:
        """See `Changing`; so the others."""
        raise NotImplementedError

    async def pause(
        self, caller: Caller, for_s: float, reason: str, *, including_orders: bool
    ) -> dict[str, Any]:
        raise NotImplementedError

    async def resume(self, caller: Caller, reason: str) -> dict[str, Any]:
        raise NotImplementedError

    def paused(self) -> dict[str, Any]:
        raise NotImplementedError

    async def flush(self, caller: Caller, name: str, *, subtree: bool) -> int:
        raise NotImplementedError

    def reload(self, caller: Caller) -> None:
        raise NotImplementedError

    def update_list(self, caller: Caller, name: str) -> None:
        raise NotImplementedError

    def audit(self, caller: Caller) -> None:
        raise NotImplementedError
