"""The native data plane of exchange-resolver; `__init__.pyi` is its manual."""

from .resolver_native import *  # noqa: F403 -- its own `__all__` says what
from .resolver_native import __all__ as __all__
