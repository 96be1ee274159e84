//! Query records: what was answered, kept for those who read it later, so that no answer waits for a reader.
//!
//! Knows: what a record holds, its bounded buffer, the lines of the query log.  Does not know: sockets, threads,
//! why an answer is what it is, who reads.
//! Theory: the thread that answers writes a record into a buffer of its own (`ring`) and never waits: a full
//! buffer loses records, which are counted.  A reader takes whole parts out of every buffer (`taken`), and each of
//! its sinks makes of them what it wants: lines of text or JSON (`lines`).

mod kind;
mod lines;
mod moment;
mod ring;
#[cfg(test)]
mod ring_tests;
mod taken;

pub use kind::{HitLabels, Kind};
pub use lines::{LineFormat, Lines, ShownClients};
pub use ring::{ring, Consumer, Producer};
pub use taken::{Part, Record, Records, Source};
