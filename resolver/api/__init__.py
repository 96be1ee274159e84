"""The API under `/api/v1`: what it answers, who may ask, and its description."""
