//! What is said to a request that gets no DNS message.
//!
//! Knows: the closed set of reasons, and the status of each.  Does not know: how a request is judged.
//! A DNS answer of any code, SERVFAIL included, is a success of HTTP: status 200 (RFC 8484 §4.2.1).

/// What 405 goes with (RFC 9110 §15.5.6).
pub const ALLOWED_METHODS: &str = "GET, HEAD, POST";

/// The closed set of statuses that a request can get.
pub const STATUSES: [u16; 8] = [200, 400, 404, 405, 413, 414, 415, 431];

/// Why a request gets no DNS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no message, or what should be one cannot be; or the head can be read in two ways.
    BadRequest,
    /// Another path.
    NotFound,
    /// Another method.
    MethodNotAllowed,
    /// A body of more than a message can have.
    ContentTooLarge,
    /// More path and query than any message needs.
    UriTooLong,
    /// A body of another type.
    UnsupportedMediaType,
    /// More headers than are read.
    HeadersTooLarge,
}

impl Refusal {
    /// The status code (RFC 9110 §15.5, RFC 6585 §5).
    pub fn status(self) -> u16 {
        STATUSES[1 + self as usize]
    }
}
