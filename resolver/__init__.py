"""A DNS filtering resolver: forwards, caches, and refuses the names of listed exchanges."""

import os as _os
import signal as _signal

__version__ = "0.1.0"

# A server starts its children out of the files on the disk.  Where another version lies there by now (a
# package was upgraded, and the server not restarted since), they would mean other things by the same words.
if _os.environ.get("EXCHANGE_RESOLVER_PARENT", __version__) != __version__:
    raise SystemExit(
        f"the program on the disk is version {__version__}, and the server that runs is "
        f"{_os.environ['EXCHANGE_RESOLVER_PARENT'][:20]}: restart it"
    )

# Ctrl-C reaches all processes of a terminal.  A child is ended by its parent, which lets what it has begun
# come to its end or begins it again; one that ended by itself would be told as a failure.
if "EXCHANGE_RESOLVER_PARENT" in _os.environ:
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
