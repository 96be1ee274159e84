"""Broken octets from clients and upstreams: no exception, no slow case, no wrong answer."""
