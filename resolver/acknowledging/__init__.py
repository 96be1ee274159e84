"""Tells an authority what is in force of its list: batches of records, a journal, a command."""
