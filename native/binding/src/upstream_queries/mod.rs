//! One thread's questions to upstreams: sent, answered, handed over.
//!
//! Knows: sockets, timers, tickets, who gets an answer.  Does not know: what a reply means (the flow does), what
//! Python does with a handover.
//! Theory: each question here has one attempt.  A usable reply ends it.  Whatever else happens, Python gets
//! all there is to know and a ticket; the attempt's ID stays open for late replies until Python closes it.
//! `state` is what a thread keeps, `sending` and `reading` are the two ways, over datagrams and streams alike,
//! `handing_over` is what becomes of a question that has no simple end, `turns` what a turn of the thread does besides.

mod handing_over;
mod heard;
mod reading;
mod sending;
mod state;
#[cfg(test)]
pub mod tests;
mod turns;

pub use state::{LoopContext, UpstreamQueries};
