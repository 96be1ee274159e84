//! What handshakes came to: counted by what was agreed, and by why there was no agreement.
//!
//! Knows: the closed sets of both.  Does not know: who shows them.  `certificates/outcomes.py` has the same words.

use std::sync::atomic::{AtomicU64, Ordering};

use resolver_core::flow::Transport;
use rustls::{
    AlertDescription, CommonState, HandshakeKind, NamedGroup, PeerIncompatible, PeerMisbehaved,
    ProtocolVersion,
};

/// The transports that handshakes belong to.
pub const ENCRYPTED: [Transport; 2] = [Transport::Tls, Transport::Https];

/// Versions of TLS that are spoken.
pub const TLS_VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Groups of the key exchange; `none`: there was no exchange, as the session went on from an earlier one of TLS 1.2.
pub const GROUPS: [&str; 6] = ["x25519mlkem768", "x25519", "secp256r1", "secp384r1", "other", "none"];

/// Why there was no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TlsFailure {
    /// The client speaks no version that we do.
    Version,
    /// No suite, group or signature scheme is known to both.
    Parameters,
    /// The client wants another protocol (ALPN).
    Protocol,
    /// The client broke off with an alert: it does not trust the certificate, most likely.
    Alert,
    /// What came is no TLS, or breaks its rules.
    Garbage,
    /// The client went before the end.
    Closed,
    /// It took too long.
    Timeout,
    /// There were too many handshakes in this second, of this client or of all.
    Limit,
    /// Anything else: no certificate is set, or a defect.
    Other,
}

impl TlsFailure {
    /// All of them, in the order of their numbers.
    pub const ALL: [TlsFailure; 9] = [
        TlsFailure::Version,
        TlsFailure::Parameters,
        TlsFailure::Protocol,
        TlsFailure::Alert,
        TlsFailure::Garbage,
        TlsFailure::Closed,
        TlsFailure::Timeout,
        TlsFailure::Limit,
        TlsFailure::Other,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        ["version", "parameters", "protocol", "alert", "garbage", "closed", "timeout", "limit", "other"]
            [self as usize]
    }

    /// Of what the library said.
    pub fn of(error: &rustls::Error) -> TlsFailure {
        use rustls::Error;
        match error {
            Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                // What every client of 1.2 sends, and none before it.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => TlsFailure::Version,
            Error::PeerIncompatible(_) => TlsFailure::Parameters,
            Error::NoApplicationProtocol => TlsFailure::Protocol,
            Error::AlertReceived(AlertDescription::CloseNotify) => TlsFailure::Closed,
            Error::AlertReceived(_) => TlsFailure::Alert,
            Error::PeerMisbehaved(PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported) => {
                TlsFailure::Version
            }
            Error::PeerMisbehaved(_)
            | Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::DecryptError
            | Error::PeerSentOversizedRecord
            | Error::UnsupportedNameType => TlsFailure::Garbage,
            _ => TlsFailure::Other,
        }
    }
}

type ByResumption = [AtomicU64; 2];

/// Totals of all threads; read by anybody at any time.
#[derive(Default)]
pub struct TlsCounts {
    sessions: [[[ByResumption; GROUPS.len()]; TLS_VERSIONS.len()]; ENCRYPTED.len()],
    failures: [AtomicU64; TlsFailure::ALL.len()],
}

/// Labels of a session, and how many there were.
pub type SessionRow = (&'static str, &'static str, &'static str, bool, u64);

impl TlsCounts {
    /// A handshake over `transport` is done.
    pub fn succeeded(&self, transport: Transport, connection: &CommonState) {
        let transport = usize::from(transport == Transport::Https);
        let version = usize::from(connection.protocol_version() == Some(ProtocolVersion::TLSv1_3));
        let group = match connection.negotiated_key_exchange_group().map(|group| group.name()) {
            Some(NamedGroup::X25519MLKEM768) => 0,
            Some(NamedGroup::X25519) => 1,
            Some(NamedGroup::secp256r1) => 2,
            Some(NamedGroup::secp384r1) => 3,
            Some(_) => 4,
            None => 5,
        };
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let total = &self.sessions[transport][version][group][usize::from(is_resumed)];
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// A handshake came to nothing.
    pub fn failed(&self, reason: TlsFailure) {
        self.failures[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Transport, version, group, whether it went on from an earlier session, and how many: all there can be.
    pub fn session_rows(&self) -> Vec<SessionRow> {
        let mut rows = Vec::with_capacity(ENCRYPTED.len() * TLS_VERSIONS.len() * GROUPS.len() * 2);
        for (transport, by_version) in ENCRYPTED.iter().zip(&self.sessions) {
            for (version, by_group) in TLS_VERSIONS.iter().zip(by_version) {
                for (group, by_resumption) in GROUPS.iter().zip(by_group) {
                    for (is_resumed, total) in [false, true].into_iter().zip(by_resumption) {
                        let total = total.load(Ordering::Relaxed);
                        rows.push((transport.label(), *version, *group, is_resumed, total));
                    }
                }
            }
        }
        rows
    }

    /// Every reason, and how many failed for it.
    pub fn failure_rows(&self) -> Vec<(&'static str, u64)> {
        let total =
            |reason: &TlsFailure| (reason.label(), self.failures[*reason as usize].load(Ordering::Relaxed));
        TlsFailure::ALL.iter().map(total).collect()
    }
}
