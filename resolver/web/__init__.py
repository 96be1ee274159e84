"""HTTP: what monitoring reads."""

from resolver.web.app import make_app
from resolver.web.server import WebServer

__all__ = ["WebServer", "make_app"]
