"""Octets <-> facts.  The only room that reads or writes DNS wire format, and the only importer of dnslib.

`query` reads clients, `response` judges upstreams (`chain`, `layout`, `service_binding` and `walk`
are its parts), `encode` writes every message, `records` our own records, `ttl` ages bodies, `names`
speaks names, `message` shows whole messages to people.  Nothing here raises on hostile octets,
reads a clock or knows a socket.
"""
