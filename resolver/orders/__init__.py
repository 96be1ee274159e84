"""Orders of authorities: read, matched with the platforms we know, proposed, written, measured."""
