"""The report for an authority: what was ordered, what is in force, since when, and what is not.  Pure."""
