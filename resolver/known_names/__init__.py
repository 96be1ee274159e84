"""Names that are known before any blocklist is read: public suffixes, protected and shared names."""
