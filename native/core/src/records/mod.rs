//! Query records: what was answered, kept for those who read it later, so that no answer waits for a reader.
//!
//! Knows: what a record holds, its bounded buffer, what readers are given.  Does not know: sockets, threads, why an
//! answer is what it is, who reads.
//! Theory: the thread that answers writes a record into a buffer of its own (`ring`) and never waits: a full
//! buffer loses records, which are counted.  A reader takes whole parts out of every buffer (`taken`), and each of
//! its sinks makes of them what it wants (`output`): lines of the log (`lines`), lines of JSON, dnstap, syslog.

mod cipher;
mod dnstap;
mod fields;
mod jsonl;
mod kind;
mod lines;
mod moment;
mod output;
mod ring;
#[cfg(test)]
mod ring_tests;
mod shown;
mod syslog;
mod taken;
mod why;
mod writer;

pub use cipher::{PrefixCipher, CIPHER_KEY_OCTETS};
pub use kind::{HitLabels, Kind};
pub use output::{Format, Look};
pub use ring::{ring, Consumer, Ended, Producer};
pub use shown::ShownClients;
pub use taken::{Part, Record, Records, Source};
pub use why::{write_why, Matched, Why};
