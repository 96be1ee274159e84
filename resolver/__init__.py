"""A DNS filtering resolver: forwards, caches, and refuses the names of listed exchanges."""

__version__ = "0.1.0"
