//! The request flow: the one place in the plane that knows the order of the steps.
//!
//! Knows: every room's verdict and which comes first.  Does not know: sockets, clocks, threads, files.
//! Theory: `answer_now` is an ordered list of gates; the first that has an answer ends the walk.  What passes
//! every gate is `Ask`: `ask` makes the first attempt at an upstream or joins one in flight, and `on_response`
//! judges what comes back.  Whatever is rare or unsure is `Punt` or `ResponseResult::HandOver`: Python, whose
//! `Service` is the specification of this room, goes on from there.  A verdict lives as long as the policy
//! generation it was made under.

mod answer;
mod attempts;
mod audit_queries;
mod batch;
mod client_names;
mod clients;
mod connection_place;
mod connections;
mod finish;
mod flights;
mod forwarded;
mod handshakes;
mod memo;
mod openings;
mod outcome;
mod own_options;
mod pacing;
mod peer;
mod places;
mod proxies;
mod query_context;
mod route;
mod served;
mod shares;
mod state;
mod tallies;
mod turns;
mod upstreams;

pub use attempts::{Attempt, AttemptMaker};
pub use audit_queries::{AuditSecret, SECRET_OCTETS_MIN};
pub use batch::{BatchContext, Incoming, ReplySink};
pub use client_names::{ClientName, ClientNames};
pub use clients::{client_key, ClientKey, Clients, Networks, RateLimiter, Standing};
pub use connection_place::{Holder, Limit, Place, Yielding, NEVER, SLOW_AFTER_S, UNNOTED_OCTETS_MAX};
pub use connections::{ConnectionBounds, ConnectionLimits, Taken, STRANGERS_MAX, STRANGER_IDLE_S};
pub use finish::{AskOutcome, ResponseContext, ResponseResult, WaiterReply};
pub use flights::{FlightKey, Waiter, Waiters};
pub use forwarded::{client_behind, BadForwarded};
pub use handshakes::{HandshakeLimits, TooManyHandshakes, BREACH_COST};
pub use memo::Memo;
pub use openings::{Openings, FREE, OPENING_MAX, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN};
pub use outcome::Outcome;
pub use pacing::Pacing;
pub use peer::{Peer, Transport};
pub use proxies::{AwaitedHead, Nobodies, Proxies};
pub use route::{DatagramRoute, Route, StreamRoute, CONTROL_OCTETS, SOCKET_NAME_OCTETS};
pub use served::Served;
pub use shares::{Entered, Shares};
pub use state::{Flow, FlowConfig, FlowCounts, Policy};
pub use tallies::{Hit, HitId, Recorded, Row, Source, Tallies, SECONDS_BOUNDS};
pub use turns::Line;
pub use upstreams::{Carrier, First, LetterCase, UpstreamSet, UpstreamView};
