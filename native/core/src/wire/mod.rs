//! Octets <-> facts: the only room that reads or writes DNS wire format.
//!
//! Knows: `query` reads clients, `question` is what they ask, `response` judges upstreams, in the words of
//! `outcomes` (`plain`, `sections`, `chain`, `layout`, `service_binding`, `rdata` and `walk` are its parts),
//! `encode` writes every message, `frames` cuts streams, `proxy` reads what a proxy puts before them, `options` finds those in one, `records` our own records, `ttl` ages bodies, `names` says how names relate,
//! `numbers` what numbers mean.  Does not know: clocks, sockets, policy.  Nothing here panics on hostile octets.

pub mod carried_addresses;
mod chain;
pub mod encode;
pub mod frames;
mod layout;
pub mod names;
pub mod numbers;
pub mod options;
pub mod outcomes;
mod plain;
#[cfg(test)]
mod properties;
pub mod proxy;
pub mod query;
pub mod question;
mod rdata;
pub mod records;
pub mod response;
mod sections;
mod service_binding;
#[cfg(test)]
mod traps;
pub mod ttl;
pub mod turning;
mod walk;

pub use chain::CHAIN_LINKS_MAX;
pub use encode::{
    encode_malformed, encode_opt, encode_question, encode_response, response_limit, AskedOptions, Reply,
    EDE_TEXT_OCTETS_MAX, STREAM_OCTETS_MAX, UDP_PAYLOAD_OCTETS_MAX,
};
pub use names::{is_at_or_below, lower, lower_in_place, parent, suffixes, NameBuf, NAME_OCTETS_MAX};
pub use numbers::*;
pub use outcomes::{Accepted, ChainLink, RefusedReason, Response, SentQuery, Ttl};
pub use query::{parse_query, Malformed, MalformedReason, Query};
pub use question::Question;
pub use records::{hinfo_body, record, soa_record, Owner, Soa, QNAME_POINTER};
pub use response::accept_response;
pub use ttl::{age_body, with_ttl};
