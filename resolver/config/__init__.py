"""The server's settings, and the YAML that settings and blocklist are written in."""
