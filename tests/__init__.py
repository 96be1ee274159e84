"""Tests: one module per module of the package, and folders for what needs real sockets or long runs."""
