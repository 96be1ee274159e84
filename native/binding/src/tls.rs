//! The server's side of TLS: certificates chosen by server name, tickets, and what handshakes came to.
//!
//! Knows: rustls, how PEM becomes a certificate, why a handshake failed.  Does not know: sockets, files, who asks.
//! Theory: a `ServerConfig` is made once for each listener and lives as long as it; what changes is the set of
//! certificates behind it, one reference that is swapped.  So sessions go on under the certificate they began
//! with, and the keys of tickets outlive the swap.  0-RTT stays off: what is in it can be replayed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::{cipher_suite as suites, default_provider, kx_group, Ticketer};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConfig,
};
use rustls::sign::CertifiedKey;
use rustls::{version, InconsistentKeys};

use crate::server_names;

/// Pairs of certificate and key that one server can have; `config/listen_settings.py` has the same number.
pub const PAIRS_MAX: usize = 64;

/// The protocol name of DNS over TLS (RFC 7858 §3.1, registered by RFC 9462's authors as `dot`).
pub const ALPN_DOT: &[&[u8]] = &[b"dot"];

/// Those of DNS over HTTPS, the better first.
pub const ALPN_HTTPS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// The TLS side of a server; one for all its listeners and threads.
pub struct TlsServer {
    provider: Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl TlsServer {
    /// Without certificates yet: until they are set every handshake fails.  Fails without random octets.
    ///
    /// `keeps_names`: whether sessions learn the server name that their client asked for (`server_names`).
    pub fn new(keeps_names: bool) -> Result<TlsServer, String> {
        let provider = CryptoProvider {
            cipher_suites: vec![
                suites::TLS13_AES_128_GCM_SHA256,
                suites::TLS13_AES_256_GCM_SHA384,
                suites::TLS13_CHACHA20_POLY1305_SHA256,
                suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ],
            // Of those that a client offers, rustls takes the one that the client names first; clients that know
            // the hybrid group name it first.
            kx_groups: vec![
                kx_group::X25519MLKEM768,
                kx_group::X25519,
                kx_group::SECP256R1,
                kx_group::SECP384R1,
            ],
            ..default_provider()
        };
        Ok(TlsServer {
            provider: Arc::new(provider),
            certificates: Arc::new(Certificates { set: ArcSwap::default(), keeps_names }),
            // Keys of six hours; what was given out under the last one is taken for six more.
            ticketer: Ticketer::new().map_err(|error| error.to_string())?,
        })
    }

    /// Serve these pairs of PEM chain and PEM key from now on; sessions that are there keep theirs.
    ///
    /// The first is for clients that name no server, or one that no certificate has.  All are taken, or none:
    /// then the reason comes back, with the number of the pair it is about, from 1.
    pub fn set_certificates(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), String> {
        if pairs.is_empty() || pairs.len() > PAIRS_MAX {
            return Err(format!("{} certificates; allowed: 1 to {PAIRS_MAX}", pairs.len()));
        }
        let mut set = CertificateSet::default();
        for (index, (chain, key)) in pairs.iter().enumerate() {
            let numbered = |reason| format!("certificate {}: {reason}", index + 1);
            let (certified, names) = self.certified(chain, key).map_err(numbered)?;
            set.add(certified, &names);
        }
        self.certificates.set.store(Arc::new(set));
        Ok(())
    }

    /// What a listener of these protocols (ALPN) speaks.
    pub fn config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("every version has suites above")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.certificates) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.ticketer = Arc::clone(&self.ticketer);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Two are the library's default; each costs a client's first answer a part of a packet, and one is enough
        // for a client that opens one connection at a time.
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        Arc::new(config)
    }

    fn certified(&self, chain: &[u8], key: &[u8]) -> Result<(Arc<CertifiedKey>, Vec<String>), String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("is no PEM: {error}"))?;
        let Some(own) = chain.first() else { return Err("has no certificate".into()) };
        let parsed =
            webpki::EndEntityCert::try_from(own).map_err(|error| format!("cannot be read: {error}"))?;
        let names = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound if is_encrypted(key) => {
                "its key is encrypted: store it without a password".into()
            }
            PemError::NoItemsFound => "has no private key".into(),
            error => format!("its key is no PEM: {error}"),
        })?;
        let certified = CertifiedKey::from_der(chain, key, &self.provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "its key belongs to another certificate".to_string()
            }
            error => format!("cannot be used: {error}"),
        })?;
        Ok((Arc::new(certified), names))
    }
}

/// Whether a PEM file has a key that only a password opens (RFC 5958, or OpenSSL's own form).
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// Whose reference is swapped.
struct Certificates {
    set: ArcSwap<CertificateSet>,
    keeps_names: bool,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.keeps_names {
            server_names::see(hello.server_name());
        }
        let set = self.set.load();
        let can_use =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = hello.server_name().into_iter().flat_map(|name| set.named(name));
        // A client that can verify no certificate at all gets the default one, and says so itself.
        let chosen = named.chain(&set.all).find(can_use).or(set.all.first());
        chosen.cloned()
    }
}

/// One generation of certificates.
#[derive(Default)]
struct CertificateSet {
    /// In their order; the first is the default.
    all: Vec<Arc<CertifiedKey>>,
    /// By the names in them, in lower case; of a wildcard what stands after `*.`.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl CertificateSet {
    fn add(&mut self, certified: Arc<CertifiedKey>, names: &[String]) {
        for name in names {
            let (names, name) = match name.strip_prefix("*.") {
                Some(rest) => (&mut self.wildcard, rest),
                None => (&mut self.exact, &**name),
            };
            names.entry(name.to_string()).or_default().push(Arc::clone(&certified));
        }
        self.all.push(certified);
    }

    /// Those for this name: by the whole name first, then by one wildcard label (RFC 6125 §6.4.3).
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let by_wildcard = name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        self.exact.get(&name).into_iter().chain(by_wildcard).flatten()
    }
}
