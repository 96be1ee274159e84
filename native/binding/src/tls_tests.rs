//! Handshakes in memory, with this library's own client: what only a client of ours can offer.

use std::io::{Read, Write};
use std::sync::Arc;

use resolver_core::flow::Transport;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection, SignatureScheme,
};

use crate::tls::{TlsServer, ALPN_DOT, ALPN_HTTPS};
use crate::tls_counts::{TlsCounts, TlsFailure, ENCRYPTED, GROUPS, TLS_VERSIONS};

const CERTIFICATE: &[u8] = include_bytes!("../testdata/certificate.pem");
const KEY: &[u8] = include_bytes!("../testdata/key.pem");

/// Believes everybody.
#[derive(Debug)]
struct Believer;

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn server() -> TlsServer {
    let server = TlsServer::new(false).unwrap();
    server.set_certificates(&[(CERTIFICATE.to_vec(), KEY.to_vec())]).unwrap();
    server
}

fn client(groups: &[&'static dyn SupportedKxGroup], protocol: &[u8]) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    provider.kx_groups = groups.to_vec();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config.enable_early_data = true;
    Arc::new(config)
}

/// A whole handshake and some octets each way; what the server says of it, and how many tickets were given.
fn shake_hands(
    server: &TlsServer,
    client: &Arc<ClientConfig>,
    alpn: &[&[u8]],
) -> Result<ServerConnection, Error> {
    let name = ServerName::try_from("dns.example").unwrap();
    let mut ours = ServerConnection::new(server.config(alpn)).unwrap();
    let mut theirs = ClientConnection::new(Arc::clone(client), name).unwrap();
    assert!(theirs.early_data().is_none(), "the server offered 0-RTT");
    for _ in 0..6 {
        let mut octets = Vec::new();
        while theirs.wants_write() {
            theirs.write_tls(&mut octets).unwrap();
        }
        let mut octets = &octets[..];
        while !octets.is_empty() {
            ours.read_tls(&mut octets).unwrap();
            ours.process_new_packets()?;
        }
        let mut octets = Vec::new();
        while ours.wants_write() {
            ours.write_tls(&mut octets).unwrap();
        }
        let mut octets = &octets[..];
        while !octets.is_empty() {
            theirs.read_tls(&mut octets).unwrap();
            theirs.process_new_packets()?;
        }
    }
    assert!(!ours.is_handshaking());
    theirs.writer().write_all(b"question").unwrap();
    let mut octets = Vec::new();
    theirs.write_tls(&mut octets).unwrap();
    ours.read_tls(&mut &octets[..]).unwrap();
    ours.process_new_packets()?;
    let mut read = [0; 8];
    ours.reader().read_exact(&mut read).unwrap();
    assert_eq!(&read, b"question");
    Ok(ours)
}

fn counted(counts: &TlsCounts) -> Vec<(&'static str, &'static str, &'static str, bool, u64)> {
    counts.session_rows().into_iter().filter(|row| row.4 > 0).collect()
}

#[test]
fn the_hybrid_group_is_agreed_and_counted() {
    let (server, counts) = (server(), TlsCounts::default());
    let hybrid = client(&[kx_group::X25519MLKEM768, kx_group::X25519], b"h2");
    let agreed = shake_hands(&server, &hybrid, ALPN_HTTPS).unwrap();
    counts.succeeded(Transport::Https, &agreed);
    assert_eq!(counted(&counts), [("https", "1.3", "x25519mlkem768", false, 1)]);
    let plain = client(&[kx_group::X25519], b"dot");
    counts.succeeded(Transport::Tls, &shake_hands(&server, &plain, ALPN_DOT).unwrap());
    assert_eq!(counted(&counts)[0], ("tls", "1.3", "x25519", false, 1));
}

#[test]
fn a_session_goes_on_after_a_swap_of_certificates() {
    let (server, counts) = (server(), TlsCounts::default());
    let client = client(&[kx_group::X25519], b"h2");
    shake_hands(&server, &client, ALPN_HTTPS).unwrap();
    server.set_certificates(&[(CERTIFICATE.to_vec(), KEY.to_vec())]).unwrap();
    counts.succeeded(Transport::Https, &shake_hands(&server, &client, ALPN_HTTPS).unwrap());
    assert_eq!(counted(&counts), [("https", "1.3", "x25519", true, 1)]);
}

#[test]
fn failures_have_their_reasons() {
    let server = server();
    let reason = |client: &Arc<ClientConfig>, alpn: &[&[u8]]| {
        TlsFailure::of(&shake_hands(&server, client, alpn).unwrap_err())
    };
    let foreign = client(&[kx_group::X25519], b"dot");
    assert_eq!(reason(&foreign, ALPN_HTTPS), TlsFailure::Protocol);
    let empty = TlsServer::new(false).unwrap();
    let without_certificate = shake_hands(&empty, &client(&[kx_group::X25519], b"h2"), ALPN_HTTPS);
    assert_eq!(TlsFailure::of(&without_certificate.unwrap_err()), TlsFailure::Other);
}

#[test]
fn every_label_is_there_from_the_start() {
    let counts = TlsCounts::default();
    assert_eq!(counts.session_rows().len(), ENCRYPTED.len() * TLS_VERSIONS.len() * GROUPS.len() * 2);
    let labels: Vec<&str> = counts.failure_rows().into_iter().map(|(label, _)| label).collect();
    assert_eq!(labels, TlsFailure::ALL.map(TlsFailure::label));
    counts.failed(TlsFailure::Timeout);
    assert_eq!(counts.failure_rows()[TlsFailure::Timeout as usize], ("timeout", 1));
}
