//! One upstream server: where it is, how it is asked, by what certificate it is known.
//!
//! Knows: authorities, names, pins of public keys, which TLS is spoken.  Does not know: connections, who asks.
//! Theory: what is written of a server is checked, as in `forwarding/tls_terms.py`: a name against its certificate and
//! the certificate against the authorities; a pin against its key.  With neither the certificate must be for the
//! address (RFC 8310 §8.1); with pins alone the key decides (RFC 7858 §4.2).  The key is that of the server's own
//! certificate: anybody can put a pinned certificate of somebody else's behind his own.  Sessions are resumed, and all
//! threads share the tickets; nothing is sent before the handshake is over (no early data), or it could be replayed
//! (RFC 8446 §8).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use resolver_core::flow::{Carrier, Openings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::hash::Output;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedCipherSuite,
};

use crate::sys::monotonic;
use crate::upstream_authorities::{Authorities, Read, Sessions};

/// Octets of a pin: SHA-256.
pub const PIN_OCTETS: usize = 32;

/// What is offered in the handshake (IANA's name for DNS over TLS).
const PROTOCOL: &[u8] = b"dot";

/// What an upstream over TLS must show.
#[derive(Clone)]
pub struct Identity {
    /// The name in its certificate; empty: there is none.
    pub name: String,
    /// SHA-256 of public keys (SPKI) of which it must have one; none: any.
    pub pins: Vec<[u8; PIN_OCTETS]>,
    /// Who vouches for it.
    pub authorities: Arc<Authorities>,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.name == other.name && self.pins == other.pins && self.authorities.are(&other.authorities)
    }
}

/// How an upstream is asked over TLS.
pub struct TlsClient {
    /// For each connection; sessions and tickets are in it.
    pub config: Arc<ClientConfig>,
    /// Whom the certificate must be of.
    pub name: ServerName<'static>,
}

/// One upstream, for as long as its number stands for it.
pub struct UpstreamServer {
    /// Where it is.
    pub address: SocketAddr,
    /// How it is asked.
    pub carrier: Carrier,
    /// None: without TLS.
    pub tls: Option<TlsClient>,
    /// The certificate that it showed last, until somebody takes it.
    pub certificate: Mutex<Option<Box<[u8]>>>,
    /// Connections of all threads to it, open or opening.
    pub connections: AtomicU32,
    /// How soon another may be begun.
    pub openings: Mutex<Openings>,
    told: AtomicU32,
    identity: Option<Identity>,
}

impl UpstreamServer {
    /// Asked without TLS, over UDP or TCP.
    pub fn plain(address: SocketAddr, carrier: Carrier) -> UpstreamServer {
        UpstreamServer::new(address, carrier, None, None)
    }

    /// Asked over TLS.  Fails, with a sentence, for authorities or a name that are none.
    pub fn over_tls(address: SocketAddr, identity: Identity) -> Result<UpstreamServer, String> {
        let tls = Some(tls_client(address, &identity)?);
        Ok(UpstreamServer::new(address, Carrier::Tls, tls, Some(identity)))
    }

    fn new(
        address: SocketAddr,
        carrier: Carrier,
        tls: Option<TlsClient>,
        identity: Option<Identity>,
    ) -> UpstreamServer {
        let certificate = Mutex::default();
        let (connections, told) = (AtomicU32::new(0), AtomicU32::new(0));
        let openings = Mutex::default();
        UpstreamServer { address, carrier, tls, certificate, connections, openings, told, identity }
    }

    /// How many connections there are, and whether that is news since the last call.
    pub fn tell_connections(&self) -> (u32, bool) {
        let now = self.connections.load(Ordering::Relaxed);
        (now, self.told.swap(now, Ordering::Relaxed) != now)
    }

    /// Whether it is the one that is described so.
    pub fn is(&self, address: SocketAddr, carrier: Carrier, identity: Option<&Identity>) -> bool {
        self.address == address && self.carrier == carrier && self.identity.as_ref() == identity
    }
}

fn tls_client(address: SocketAddr, identity: &Identity) -> Result<TlsClient, String> {
    let name = match &*identity.name {
        "" => ServerName::IpAddress(address.ip().into()),
        name => ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no server name"))?,
    };
    let provider = Arc::new(default_provider());
    let sessions = Arc::new(Sessions::new());
    let checks_names = !identity.name.is_empty() || identity.pins.is_empty();
    let verifier = Verifier {
        authorities: checks_names.then(|| identity.authorities.read()).transpose()?,
        pins: identity.pins.clone(),
        algorithms: provider.signature_verification_algorithms,
        sessions: Arc::clone(&sessions),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .dangerous() // What the library calls a verifier of one's own.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::store(sessions);
    config.enable_early_data = false;
    Ok(TlsClient { config: Arc::new(config), name })
}

/// What the library checks, pins besides, and certificates that are trusted by themselves.
#[derive(Debug)]
struct Verifier {
    /// None: a pin decides alone.
    authorities: Option<Read>,
    pins: Vec<[u8; PIN_OCTETS]>,
    algorithms: WebPkiSupportedAlgorithms,
    sessions: Arc<Sessions>,
}

impl Verifier {
    fn check_authority(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(Read { verifier, trusted }) = &self.authorities else { return Ok(()) };
        let verified = verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match verified {
            Ok(_) => Ok(()),
            // Its dates were looked at first.  What is named itself needs nobody to vouch for it, and may be one that
            // could vouch for others (what `openssl req -x509` makes).
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if trusted.iter().any(|trusted| trusted == end_entity) =>
            {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)
            }
            Err(error) => Err(error),
        }
    }

    fn check_pins(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        if sha256(&key).is_some_and(|hash| self.pins.iter().any(|pin| pin[..] == *hash.as_ref())) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

/// The hash of some octets; the library has no other way to it than a suite that uses it.
fn sha256(octets: &[u8]) -> Option<Output> {
    match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => Some(suite.common.hash_provider.hash(octets)),
        SupportedCipherSuite::Tls12(_) => None,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_authority(end_entity, intermediates, name, ocsp_response, now)?;
        self.check_pins(end_entity)?;
        self.sessions.verified(monotonic());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
