"""Lists of names from elsewhere: their formats, and how a file of one is read."""
