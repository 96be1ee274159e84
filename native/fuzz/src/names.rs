//! The names of what is fuzzed.
//!
//! Knows: the names.  Does not know: what a target does, where its corpus lies.

/// Queries through the walker and the encoder.
pub const QUERIES: &str = "queries";
/// Upstream answers through acceptance.
pub const ANSWERS: &str = "answers";
/// Texts of lists through the line readers.
pub const LISTS: &str = "lists";
/// Policy images through opening and judging.
pub const IMAGE: &str = "image";
/// Sequences of stores and look-ups through the cache.
pub const CACHE: &str = "cache";
/// Queries and upstream answers through the whole flow, canaries among them.
pub const FLOW: &str = "flow";
/// Requests for DNS over HTTPS: paths, heads, frames, ages.
pub const REQUESTS: &str = "requests";
/// Streams of messages through the cutting of frames.
pub const STREAMS: &str = "streams";

/// What proxies and clients say of who asks.
pub const PROXIES: &str = "proxies";

/// Every target.
pub const ALL: [&str; 9] = [QUERIES, ANSWERS, LISTS, IMAGE, CACHE, FLOW, REQUESTS, STREAMS, PROXIES];
