//! Addresses encrypted so that those of one network stay together: ipcrypt-pfx (draft-denis-ipcrypt-13 §6.2).
//!
//! Knows: AES, the draft.  Does not know: where a key comes from, what an address is used for.
//! Theory: each bit of an address is turned or not by a pseudo-random bit that depends on the bits before it.
//! Whoever has the key can turn them back, bit by bit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Block};

/// Octets of a key: two of AES-128.
pub const CIPHER_KEY_OCTETS: usize = 32;

/// Where an IPv4 address starts in the IPv6 address that it is mapped to.
const IPV4_BITS_BEFORE: u32 = 96;

/// One key, ready for use.
pub struct PrefixCipher {
    first: Aes128,
    second: Aes128,
}

impl PrefixCipher {
    /// None: the key has another length, or two equal halves, which would leave every address as it is.
    pub fn new(key: &[u8]) -> Option<PrefixCipher> {
        let (first, second) = key.split_at_checked(CIPHER_KEY_OCTETS / 2)?;
        if key.len() != CIPHER_KEY_OCTETS || first == second {
            return None;
        }
        Some(PrefixCipher {
            first: Aes128::new_from_slice(first).ok()?,
            second: Aes128::new_from_slice(second).ok()?,
        })
    }

    /// The same family, but for an IPv4 address mapped to IPv6: that is IPv4.
    pub fn encrypt(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let bits = u128::from(address.to_ipv6_mapped());
                IpAddr::V4(Ipv4Addr::from(self.turned(bits, IPV4_BITS_BEFORE) as u32))
            }
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(self.turned(u128::from(address), 0))),
        }
    }

    /// The bits of an address from `start` on, each turned by what stands before it.
    fn turned(&self, bits: u128, start: u32) -> u128 {
        // The bits before, behind a single 1.
        let mut padded = if start == 0 { 1 } else { 1 << start | bits >> (128 - start) };
        let mut blocks = [Block::default(); 128];
        let count = (128 - start) as usize;
        for (block, number) in blocks.iter_mut().zip(start..128) {
            *block = Block::from(u128::to_be_bytes(padded));
            padded = padded << 1 | (bits >> (127 - number) & 1);
        }
        let mut others = blocks;
        let (blocks, others) = (&mut blocks[..count], &mut others[..count]);
        self.first.encrypt_blocks(blocks);
        self.second.encrypt_blocks(others);
        let mask = blocks
            .iter()
            .zip(others)
            .fold(0, |mask, (one, other)| mask << 1 | u128::from((one[15] ^ other[15]) & 1));
        bits ^ mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    }

    const KEY: &str = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";
    const OTHER_KEY: &str = "2b7e151628aed2a6abf7158809cf4f3ca9f5ba40db214c3798f2e1c23456789a";

    #[test]
    fn the_vectors_of_the_draft_hold() {
        for (key_text, address, encrypted) in [
            (KEY, "0.0.0.0", "151.82.155.134"),
            (KEY, "255.255.255.255", "94.185.169.89"),
            (KEY, "192.0.2.1", "100.115.72.131"),
            (KEY, "::ffff:192.0.2.1", "100.115.72.131"),
            (KEY, "2001:db8::1", "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88"),
            (OTHER_KEY, "10.0.0.47", "19.214.210.244"),
            (OTHER_KEY, "10.0.0.129", "19.214.210.80"),
            (OTHER_KEY, "10.0.0.234", "19.214.210.30"),
            (OTHER_KEY, "172.16.5.193", "210.78.229.136"),
            (OTHER_KEY, "172.16.97.42", "210.78.179.241"),
            (OTHER_KEY, "172.16.248.177", "210.78.121.215"),
            (OTHER_KEY, "2001:db8::a5c9:4e2f:bb91:5a7d", "7cec:702c:1243:f70:1956:125:b9bd:1aba"),
            (OTHER_KEY, "2001:db8:d8b4:0:193c:a5e7:8b2f:46d1", "7cec:702c:f840:aa67:1b8:e84f:ac9d:77fb"),
        ] {
            let cipher = PrefixCipher::new(&key(key_text)).unwrap();
            let wanted: IpAddr = encrypted.parse().unwrap();
            assert_eq!(cipher.encrypt(address.parse().unwrap()), wanted, "{address}");
        }
    }

    #[test]
    fn a_key_that_would_hide_nothing_is_none() {
        assert!(PrefixCipher::new(&[7; 32]).is_none());
        assert!(PrefixCipher::new(&key(KEY)[..31]).is_none());
        assert!(PrefixCipher::new(&[key(KEY), vec![0]].concat()).is_none());
    }
}
