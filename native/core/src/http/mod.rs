//! DNS over HTTPS (RFC 8484) as decisions: what a request asks, what an answer may say, when a client goes too far.
//!
//! Knows: `request` judges a request's head and the size of its body, `statuses` has what is said to one without a
//! query, `freshness` how long an answer may be kept; `head_lines` and `frames` watch the octets of HTTP/1.1 and
//! HTTP/2 on their way to the library that reads them, `sent_frames` those that it writes, and `resting` takes up a
//! quiet connection again with a new instance of that library.  Does not know: sockets, TLS, that library's insides.

mod frame_cutter;
mod frame_values;
mod frames;
mod freshness;
mod head_lines;
mod request;
mod resting;
mod sent_frames;
mod statuses;

pub use frames::{FrameFault, FrameGuard, CONTROL_FRAMES_MAX, CONTROL_FRAMES_PER_ANSWER, RESETS_MAX};
pub use freshness::max_age_s;
pub use head_lines::{HeadFault, HeadGuard, HEAD_LINE_OCTETS_MAX};
pub use request::{judge, judge_body, Wanted, DNS_MESSAGE, DNS_PATH, MESSAGE_OCTETS_MIN, TARGET_OCTETS_MAX};
pub use resting::{Hushed, Rest, Retold, NO_TABLE};
pub use sent_frames::{RefusedByLibrary, SentFrames};
pub use statuses::{Refusal, ALLOWED_METHODS, STATUSES};
