"""Fetches lists from elsewhere: resolves, connects, verifies, and keeps the last good copy.

Knows: HTTP, TLS, signatures, files in `state_dir/lists`.  Does not know: what lists are for, how they
are compiled; the publisher sees that a file changed and does the rest.

`keeper` lives in the server and only starts `worker`, one child at a time; all that touches
strangers' octets runs in the child, or in a command of its own.
"""
