"""The running server: puts the rooms together, starts and stops them, and keeps them going."""
