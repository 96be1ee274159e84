"""The same questions to this resolver and to another implementation."""
