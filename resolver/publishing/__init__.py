"""From what is written to what is in force: compile, approve, publish, record."""
