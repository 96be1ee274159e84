//! How names and clients are shown.
//!
//! Knows: RFC 1035's escapes, how much of an address the settings let out.  Does not know: lines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::cipher::PrefixCipher;

/// How much of an address a network is: a site, not a person.
const IPV4_NETWORK_BITS: u8 = 24;
const IPV6_NETWORK_BITS: u8 = 48;

/// How much of a client is shown.
#[derive(Clone)]
pub enum ShownClients {
    /// Nothing.
    Hidden,
    /// Its /24 or /48.
    Network,
    /// The whole address.
    Full,
    /// The whole address, encrypted.
    Encrypted(Arc<PrefixCipher>),
}

impl ShownClients {
    /// The address that stands for a client; None: nothing does.
    pub fn address(&self, address: IpAddr) -> Option<IpAddr> {
        match self {
            ShownClients::Hidden => None,
            ShownClients::Network => Some(network_of(address).0),
            ShownClients::Full => Some(address),
            ShownClients::Encrypted(cipher) => Some(cipher.encrypt(address)),
        }
    }

    /// The name that a client gave itself, where it is shown: it tells a device from another, as a whole address
    /// does and a network or an encrypted one must not.
    pub fn name<'n>(&self, name: &'n str) -> Option<&'n str> {
        (matches!(self, ShownClients::Full) && !name.is_empty()).then_some(name)
    }

    /// The address as text; a network with its length.
    pub fn text(&self, address: IpAddr) -> Option<String> {
        match self {
            ShownClients::Network => {
                let (first, bits) = network_of(address);
                Some(format!("{first}/{bits}"))
            }
            _ => self.address(address).map(|shown| shown.to_string()),
        }
    }
}

fn network_of(address: IpAddr) -> (IpAddr, u8) {
    match address {
        IpAddr::V4(whole) => {
            let bits = u32::from(whole) & (u32::MAX << (32 - IPV4_NETWORK_BITS));
            (Ipv4Addr::from(bits).into(), IPV4_NETWORK_BITS)
        }
        IpAddr::V6(whole) => {
            let bits = u128::from(whole) & (u128::MAX << (128 - IPV6_NETWORK_BITS));
            (Ipv6Addr::from(bits).into(), IPV6_NETWORK_BITS)
        }
    }
}

/// Presentation text of a well-formed name: no last dot but for the root.
pub fn write_name(name: &[u8], out: &mut Vec<u8>) {
    let mut rest = name;
    while let Some((&length, behind)) = rest.split_first() {
        if length == 0 {
            break;
        }
        if !out.is_empty() {
            out.push(b'.');
        }
        let (label, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(octet),
                0x21..=0x7E => out.extend_from_slice(&[b'\\', octet]),
                _ => {
                    let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                    out.push(b'\\');
                    out.extend_from_slice(&digits);
                }
            }
        }
    }
    if out.is_empty() {
        out.push(b'.');
    }
}
