"""Names that are answered here and go nowhere: the site's own records and the special names."""

from resolver.local.names import LocalAnswer, LocalNames

__all__ = ["LocalAnswer", "LocalNames"]
