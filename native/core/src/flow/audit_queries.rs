//! Queries of an audit of this server: answered like any other, counted nowhere but as what they are.
//!
//! Knows: the EDNS option that carries the secret of this start, how it is compared.  Does not know: who made the
//! secret, who asks, what is asked.
//! Theory: whoever carries the secret gains nothing but this, and passes every gate.  A wrong secret is an option
//! that nobody knows, and so it changes nothing (RFC 6891 §6.1.2).

use std::hint::black_box;

use crate::wire::numbers::OPTION_AUDIT_SECRET;
use crate::wire::query::Query;

/// Octets of a secret at least: nobody guesses it.
pub const SECRET_OCTETS_MIN: usize = 16;

/// What the audit queries of this start carry.
#[derive(Clone)]
pub struct AuditSecret(Box<[u8]>);

impl AuditSecret {
    /// `None`: it has under `SECRET_OCTETS_MIN` octets.
    pub fn new(octets: &[u8]) -> Option<AuditSecret> {
        (octets.len() >= SECRET_OCTETS_MIN).then(|| AuditSecret(octets.into()))
    }

    /// Whether one of the query's options carries it.
    pub(super) fn is_carried_by(&self, query: &Query) -> bool {
        query.options_iter().any(|(code, value)| code == OPTION_AUDIT_SECRET && self.is(value))
    }

    /// In constant time for all of one length, which is no secret.
    fn is(&self, value: &[u8]) -> bool {
        let differing =
            self.0.iter().zip(value).fold(0, |found, (ours, theirs)| black_box(found | (ours ^ theirs)));
        value.len() == self.0.len() && differing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let secret = AuditSecret::new(&[7; SECRET_OCTETS_MIN]).unwrap();
        assert!(secret.is(&[7; SECRET_OCTETS_MIN]));
        assert!(!secret.is(&[7; SECRET_OCTETS_MIN + 1]));
        assert!(!secret.is(&[7; SECRET_OCTETS_MIN - 1]));
        assert!(!secret.is(&[]));
        for at in 0..SECRET_OCTETS_MIN {
            let mut wrong = [7; SECRET_OCTETS_MIN];
            wrong[at] ^= 0x80;
            assert!(!secret.is(&wrong), "octet {at} is not looked at");
        }
        assert!(AuditSecret::new(&[7; SECRET_OCTETS_MIN - 1]).is_none());
    }
}
