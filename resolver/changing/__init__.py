"""Whatever changes the state of a running server or its blocklist, once for commands and API.

Knows: how a change is asked for, checked and written.  Does not know: argv, HTTP, tokens.
"""
