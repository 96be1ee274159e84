"""Configurations of other products become settings and a blocklist, with a list of what has no
counterpart."""
