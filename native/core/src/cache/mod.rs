//! What we already know, and for how long.
//!
//! Knows: `response_cache` keeps answers by question, in `shard`s of `seats` found by an `index`; `entry` is what is
//! kept, `eviction` says who must go, `flushing` forgets names, `snapshot` writes all down for another server, `audit`
//! checks the books.  Does not know: clocks, policy, how an answer is sent.

mod audit;
mod entry;
mod eviction;
mod flushing;
mod index;
mod response_cache;
mod seats;
mod shard;
mod snapshot;

pub use entry::{Entry, FAILURE_TTL_MAX_S, FAILURE_TTL_MIN_S, NOT_JUDGED};
pub use response_cache::{Cache, CacheConfig, Counters};
pub use snapshot::{Loaded, SnapshotPlace};
