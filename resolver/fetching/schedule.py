"""When a list is fetched next.  Pure.

Knows: intervals, backing off.  Does not know: clocks, chance; it is given a `roll` of 0 to 1.
"""

from __future__ import annotations

from resolver.blocklist.downloads import Download
from resolver.fetching.store import Notes

FIRST_RETRY_S = 15.0
"""After a first failure; the next ones wait twice as long each."""
RETRY_MAX_S = 3_600.0
"""However long it has failed: a list that is back is noticed within the hour."""
SOA_PAUSE_MIN_S = 60.0
"""Between questions to a primary, whatever its SOA says."""
SPREAD = 0.1
"""Part of an interval by which it is shortened at random, so that a thousand servers do not ask at once."""
DOUBLINGS_MAX = 20


def refresh_in_s(download: Download, notes: Notes, *, wall: float, roll: float) -> float:
    """Seconds from now (`wall`) to the next attempt for a list whose copy is known; 0: now."""
    if notes.url != download.url or notes.proof != download.proof or not notes.succeeded_at:
        return 0.0
    pause = refresh_s(download, notes) * (1 - SPREAD * roll)
    # A wall clock that was set back must not put a download off for years.
    return min(max(0.0, pause - (wall - notes.succeeded_at)), pause)


def refresh_s(download: Download, notes: Notes) -> float:
    """How often a list is fetched, in seconds: as its entry says, a zone no more seldom than its SOA says."""
    if download.transfer is None or not notes.soa_refresh_s:
        return download.refresh_s
    # The authority says how often it wants to be asked; nobody is asked without a pause.
    return min(download.refresh_s, max(SOA_PAUSE_MIN_S, notes.soa_refresh_s))


def retry_s(download: Download, notes: Notes, failures: int, roll: float) -> float:
    """How long to wait after so many failures in a row: twice as long each time, half of it by chance."""
    longest = min(RETRY_MAX_S, refresh_s(download, notes))
    if download.transfer is not None and notes.soa_retry_s:
        longest = min(longest, max(SOA_PAUSE_MIN_S, notes.soa_retry_s))
    pause = min(longest, FIRST_RETRY_S * 2.0 ** min(failures - 1, DOUBLINGS_MAX))
    return pause * (0.5 + 0.5 * roll)
