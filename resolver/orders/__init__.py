"""Orders of authorities: read as they come, matched with the platforms we know, proposed, written, measured."""
