//! Who vouches for upstreams over TLS, and for how long a session may stand for a certificate.
//!
//! Knows: authorities in PEM, tickets.  Does not know: names, pins, connections (`upstream_server`).
//! Theory: a system's authorities are 150 and more, and all upstreams trust the same; they are read once.  A session
//! that is resumed brings a ticket for the next, so a server would never have to show what has expired, or has been
//! renewed: after an hour the next handshake is a full one.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
    WebPkiServerVerifier,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{NamedGroup, RootCertStore};

use crate::sys::monotonic;

/// Sessions kept of one upstream, the newest; each is used once (RFC 8446 §C.4).
const SESSIONS_MAX: usize = 8;

/// So long sessions are resumed after a certificate was looked at.
pub const VERIFIED_FOR_S: f64 = 3600.0;

/// Certificates that vouch for upstreams.
pub struct Authorities {
    pem: Box<[u8]>,
    is_private: bool,
    read: OnceLock<Result<Read, String>>,
}

/// The same, read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Checks by them.
    pub verifier: Arc<WebPkiServerVerifier>,
    /// Certificates of servers that the operator named: each is trusted itself, too.
    pub trusted: Arc<[CertificateDer<'static>]>,
}

static LAST: Mutex<Option<Arc<Authorities>>> = Mutex::new(None);

impl Authorities {
    /// These, in PEM; `is_private`: they are the operator's.  Who asks for those that were asked for last gets the same.
    pub fn of(pem: &[u8], is_private: bool) -> Arc<Authorities> {
        let last = &mut *LAST.lock();
        match last {
            Some(known) if known.is_private == is_private && *known.pem == *pem => Arc::clone(known),
            _ => {
                let made = Arc::new(Authorities { pem: pem.into(), is_private, read: OnceLock::new() });
                *last = Some(Arc::clone(&made));
                made
            }
        }
    }

    /// Whether both are the same.
    pub fn are(&self, other: &Authorities) -> bool {
        std::ptr::eq(self, other) || (self.is_private == other.is_private && self.pem == other.pem)
    }

    /// What is to be checked by.  Fails, with a sentence, where they cannot be used.
    pub fn read(&self) -> Result<Read, String> {
        self.read.get_or_init(|| self.parse()).clone()
    }

    fn parse(&self) -> Result<Read, String> {
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the authorities are not in PEM: {error:?}"))?;
        let mut roots = RootCertStore::empty();
        // A system's bundle may hold one that is unusable; that is no reason to do without the others.
        roots.add_parsable_certificates(certificates.iter().cloned());
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| format!("the authorities are of no use: {error}"))?;
        let trusted = if self.is_private { certificates } else { Vec::new() };
        Ok(Read { verifier, trusted: trusted.into() })
    }
}

/// The sessions of one upstream.
#[derive(Debug)]
pub struct Sessions {
    memory: ClientSessionMemoryCache,
    /// Monotonic seconds of the last look at its certificate.
    verified_at: Mutex<f64>,
}

impl Sessions {
    /// None yet.
    pub fn new() -> Sessions {
        let verified_at = Mutex::new(f64::NEG_INFINITY);
        Sessions { memory: ClientSessionMemoryCache::new(SESSIONS_MAX), verified_at }
    }

    /// Its certificate was looked at.
    pub fn verified(&self, now: f64) {
        *self.verified_at.lock() = now;
    }

    fn are_good(&self) -> bool {
        monotonic() - *self.verified_at.lock() < VERIFIED_FOR_S
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.memory.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.memory.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.memory.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.memory.tls12_session(server_name).filter(|_| self.are_good())
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.memory.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.memory.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        // It is used up all the same: what is too old now will not be good later.
        self.memory.take_tls13_ticket(server_name).filter(|_| self.are_good())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_with_the_same_authorities_share_them() {
        let one = Authorities::of(b"-----", true);
        assert!(Arc::ptr_eq(&one, &Authorities::of(b"-----", true)));
        let other = Authorities::of(b"-----", false);
        assert!(!Arc::ptr_eq(&one, &other) && !one.are(&other));
        assert!(one.are(&Authorities::of(b"-----", true)), "read again, and the same");
        assert!(one.read().is_err_and(|why| why.contains("authorities")));
    }

    #[test]
    fn a_session_stands_for_a_certificate_for_an_hour() {
        let sessions = Sessions::new();
        assert!(!sessions.are_good());
        sessions.verified(monotonic());
        assert!(sessions.are_good());
        sessions.verified(monotonic() - VERIFIED_FOR_S);
        assert!(!sessions.are_good());
    }
}
