//! Where queries come close together, a thread lets them gather for a moment.
//!
//! Knows: how many are a reason to wait, and how long.  Does not know: sockets, queries.
//! Theory: a turn costs the same for five as for thirty (system calls, a wait, often a sleep and a wake-up).  After few,
//! nobody comes close behind; after many, turns are cheap enough per query as they are.

use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

/// What a turn had to bring for a pause behind it: datagrams, or connections on which something came.
const GATHERING: Range<usize> = if cfg!(feature = "without-gathering") { 0..0 } else { 3..32 };
const GATHERING_TIME: Duration = Duration::from_micros(50);

/// Behind a turn that brought `seen`: pause, if more are on their way.
#[inline]
pub fn gather(seen: usize) {
    if GATHERING.contains(&seen) {
        sleep(GATHERING_TIME);
    }
}
