"""Names that are known before any blocklist is read: public suffixes, protected names, shared platforms."""
