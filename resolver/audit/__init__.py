"""Proof by queries: what a policy wants asked of a resolver, asked, judged, kept."""
