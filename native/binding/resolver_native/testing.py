"""What only tests call; `testing.pyi` is its manual."""

from .resolver_native import testing as _native

__all__ = _native.__all__
globals().update({name: getattr(_native, name) for name in __all__})
