//! What octets from an upstream turn out to be: a trusted response, or why they are none.
//!
//! Knows: the words.  Does not know: how they are told apart (`response`).

use std::net::IpAddr;

use smallvec::SmallVec;

use super::names::{lower, NameBuf};
use super::numbers::NegativeKind;

/// One CNAME (or DNAME) step of an answer's chain.
///
/// `body[..end]` holds the chain up to and including this step, `ancount` records of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Where the step leads: wire form, lower case.
    pub target: Box<[u8]>,
    /// Offset in the body after the step.
    pub end: u16,
    /// Records up to there.
    pub ancount: u16,
}

/// Where one TTL of a body stands and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Offset in the body.
    pub offset: u16,
    /// Seconds, after the RRset minimum and the top-bit rule; the body holds the same.
    pub ttl_s: u32,
}

/// An accepted upstream answer, as the cache keeps it.
///
/// `body` is the answer and authority sections, OPT and additional left out.  Its compression pointers count
/// from a message whose question is the one asked (same length, any case) at offset 12, so it can be put
/// behind any client's own question octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Extended rcode (12 bit) as the upstream meant it.
    pub rcode: u16,
    /// The upstream's AD bit; whether to believe it is the caller's business.
    pub authentic_data: bool,
    /// Answer and authority records.
    pub body: Box<[u8]>,
    /// Answer records in `body`.
    pub ancount: u16,
    /// Authority records in `body`.
    pub nscount: u16,
    /// Each record's TTL, in the order of the records.
    pub ttls: SmallVec<[Ttl; 1]>,
    /// Which negative answer it is; `None`: a positive one.
    pub negative: Option<NegativeKind>,
    /// Seconds it may be kept: the lowest TTL, or RFC 2308's negative TTL; 0: answer once, do not keep.
    pub ttl_s: u32,
    /// The CNAME/DNAME chain from qname, in order; `body` starts with it in this order.
    pub links: Box<[ChainLink]>,
    /// Targets of SVCB and HTTPS records (the owner itself, spelt `.`, left out): wire form, lower case.
    pub service_targets: Box<[Box<[u8]>]>,
    /// The A and AAAA records and SVCB address hints of the answer.
    pub addresses: SmallVec<[IpAddr; 1]>,
    /// Owner of the final RRset when it is not qname: the last link's target.
    pub name_at_end: Option<Box<[u8]>>,
}

/// What octets from the upstream asked turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The answer to what was asked.
    Response(Response),
    /// The expected message with TC=1: ask again over TCP, keep nothing of it.
    Truncated,
    /// Octets that are not the answer to what was asked: drop them and keep waiting.
    Refused {
        /// What is wrong.
        reason: RefusedReason,
        /// It came from the right place and looks like a forgery attempt (wrong ID, question or case), so
        /// the asker should move to TCP.
        near_miss: bool,
    },
    /// The upstream's own word that it has no answer: an rcode other than NOERROR and NXDOMAIN.
    ///
    /// Also a chain that loops or is too long and a bare referral, both as SERVFAIL: they are answers to what
    /// was asked, and nothing better follows.
    UpstreamFailure {
        /// Extended rcode, 12 bit.
        rcode: u16,
        /// It may have stumbled over our EDNS: one retry without is due.
        edns_refused: bool,
    },
}

/// Why octets are not the answer to what was asked; a closed set, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RefusedReason {
    /// Under a header's 12 octets.
    Short,
    /// QR is not set.
    NotResponse,
    /// Another ID.
    Id,
    /// An opcode other than QUERY.
    Opcode,
    /// Not exactly one question.
    Qdcount,
    /// Another question.
    Question,
    /// The question in another case.
    Case,
    /// More records than the octets can hold, or than are looked at.
    Counts,
    /// Records that cannot be read.
    Malformed,
}

impl RefusedReason {
    /// Every reason.
    pub const ALL: [RefusedReason; 9] = [
        RefusedReason::Short,
        RefusedReason::NotResponse,
        RefusedReason::Id,
        RefusedReason::Opcode,
        RefusedReason::Qdcount,
        RefusedReason::Question,
        RefusedReason::Case,
        RefusedReason::Counts,
        RefusedReason::Malformed,
    ];

    /// The short word for it.
    pub fn label(self) -> &'static str {
        match self {
            RefusedReason::Short => "short",
            RefusedReason::NotResponse => "not-response",
            RefusedReason::Id => "id",
            RefusedReason::Opcode => "opcode",
            RefusedReason::Qdcount => "qdcount",
            RefusedReason::Question => "question",
            RefusedReason::Case => "case",
            RefusedReason::Counts => "counts",
            RefusedReason::Malformed => "malformed",
        }
    }

    /// Whether it looks like a forgery attempt rather than a stray packet.
    pub fn is_near_miss(self) -> bool {
        !matches!(self, RefusedReason::Short | RefusedReason::NotResponse)
    }
}

impl From<RefusedReason> for Accepted {
    fn from(reason: RefusedReason) -> Self {
        Accepted::Refused { reason, near_miss: reason.is_near_miss() }
    }
}

/// What was asked of an upstream, as its answer must repeat it.
#[derive(Clone, Debug)]
pub struct SentQuery {
    /// The header's ID.
    pub id: u16,
    /// Wire form, in the exact case sent.
    pub qname: NameBuf,
    /// `qname` in lower case: what an accepted answer names as its owner.
    pub name: NameBuf,
    /// Type asked for.
    pub qtype: u16,
    /// Class asked for.
    pub qclass: u16,
    /// Whether it carried an OPT.
    pub edns: bool,
    /// Its DO bit.
    pub dnssec_ok: bool,
    /// Asked over TCP: nobody off the path can forge, so a header-only error is believed too.
    pub is_stream: bool,
}

impl SentQuery {
    /// Over UDP and of class IN; `None` for a name over 255 octets.
    pub fn over_udp(id: u16, qname: &[u8], qtype: u16, edns: bool, dnssec_ok: bool) -> Option<Self> {
        let name = lower(qname)?;
        let mut cased = NameBuf::new();
        cased.try_extend_from_slice(qname).ok()?;
        Some(SentQuery { id, qname: cased, name, qtype, qclass: 1, edns, dnssec_ok, is_stream: false })
    }
}
