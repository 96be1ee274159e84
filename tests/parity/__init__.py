"""Random policies, queries, answers and caches: whatever one engine says, the other says octet for octet."""
