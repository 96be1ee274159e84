//! What can become of a query.
//!
//! Knows: the words.  Does not know: why.

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole message to send is in `out`; counted.
    Respond,
    /// Send nothing; over a stream close the connection if `close`.  Counted.
    Drop {
        /// Whether a stream's client must go.
        close: bool,
    },
    /// Nothing known answers it: hand it to `Flow::ask`.  Not counted yet.
    Ask,
    /// Python must answer it.  Not counted.
    Punt,
}

impl Outcome {
    /// Whether this was the end of the query: it is counted, and nobody else will answer it.
    pub fn is_final(self) -> bool {
        matches!(self, Outcome::Respond | Outcome::Drop { .. })
    }
}
