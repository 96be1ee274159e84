//! What goes into connections to upstreams, what comes of them, and why one ends.
//!
//! Knows: the words.  Does not know: sockets, who asks.

use crate::slab::Handle;

/// Why a query could not be sent, or its connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No way to the upstream: nothing got there.
    Network,
    /// The machine's trouble: no descriptor.
    NoSocket,
    /// Closed or broken by the other side.
    Stream,
    /// What came is no DNS message of the upstream's.
    Malformed,
    /// TLS could not be agreed on.
    Tls,
    /// Its certificate is out of date, or not valid yet.
    CertificateExpired,
    /// Its certificate is another's.
    CertificateName,
    /// Its certificate comes from nobody who is trusted.
    CertificateUntrusted,
    /// Its key is none of those that are pinned.
    CertificatePin,
    /// No connection takes one more query.
    Full,
    /// The same, and none is begun for a moment, for they came to nothing.
    HeldBack,
    /// Nothing that speaks against the upstream: it may be asked again.
    Blameless,
}

/// One query on its way.
pub struct StreamQuery {
    /// Its ID.
    pub id: u16,
    /// Who waits for the answer.
    pub owner: Handle,
    /// When its connection has had its time for it; monotonic seconds.
    pub due_at: f64,
    /// The whole message, without a length in front.
    pub octets: Vec<u8>,
    /// Connections that it was put on.
    pub sends: u8,
    /// Those on which it really left.
    pub left: u8,
}

/// What reading a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRead {
    /// It has no more.
    All,
    /// It may have more.
    Part,
    /// It has ended: `break_all` is next.
    Ended(Failure),
}

/// Where a query may be put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// On any connection.
    Any,
    /// On one that has brought nothing yet.
    New,
    /// On one that nobody else is put on, if that can be.
    ItsOwn,
}

/// What a connection left.
pub struct Left {
    /// Its upstream's number.
    pub upstream: u16,
    /// Why it ended, as it is held against the upstream.
    pub failure: Failure,
    /// Whether its questions may be asked once more.
    pub may_ask_again: bool,
    /// Whether each is asked on a connection of its own then: one of them may have broken this one.
    pub alone: bool,
    /// Those that somebody waits for.
    pub queries: Vec<StreamQuery>,
}
