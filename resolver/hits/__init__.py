"""The history of hits: how often each exchange, list and order was met, in a file."""
