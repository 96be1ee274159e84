//! Names that clients give themselves: in the path of DNS over HTTPS, or in the TLS server name.
//!
//! Knows: where a name may stand, what is one, which are known.  Does not know: HTTP, TLS, what a name is good for.
//! Theory: nobody proves that a name is his.  So it tells people which of a network's devices asked, and nothing is
//! allowed for it; limits go on counting by address.  A name is kept once, for ever, so that a client carries only
//! where it stands; there are so many and no more, and one client makes up a few of them alone.

use ahash::RandomState;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::clients::{client_key, ClientKey};

/// As long as a label, in octets: the name may stand in a server name (RFC 1035 §2.3.4).
pub const CLIENT_NAME_OCTETS_MAX: usize = 63;

/// Names that are kept: 6 MB at most.  A client with a further one has none.
pub const CLIENT_NAMES_MAX: usize = 65_536;

/// Names of them that came from one client address (IPv6: one /64).
pub const NAMES_PER_CLIENT_MAX: usize = 1_024;

/// A client's name.
pub type ClientName = &'static str;

/// Where clients may name themselves, and the names that they have.
#[derive(Default)]
pub struct ClientNames {
    in_path: bool,
    below: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    names: HashSet<ClientName, RandomState>,
    by_client: HashMap<ClientKey, usize, RandomState>,
}

impl ClientNames {
    /// `in_path`: whether a path may end in a name.  `below`: the suffix of server names that name a client by their
    /// first label, in lower case; empty: none does.
    #[must_use]
    pub fn new(in_path: bool, below: &str) -> ClientNames {
        ClientNames { in_path, below: below.to_owned(), known: Mutex::default() }
    }

    /// The path that is asked and the name in it; what is no `served` path with a name stays as it is.
    #[must_use]
    pub fn split_path<'p>(&self, path: &'p [u8], served: &[u8]) -> (&'p [u8], Option<String>) {
        let name = match path.strip_prefix(served) {
            Some([b'/', rest @ ..]) if self.in_path => client_name(rest),
            _ => None,
        };
        if name.is_some() {
            return (&path[..served.len()], name);
        }
        (path, None)
    }

    /// The same of a request's target: path and query.
    #[must_use]
    pub fn split_target<'t>(&self, target: &'t str, served: &str) -> (Cow<'t, str>, Option<String>) {
        if !self.in_path {
            return (Cow::Borrowed(target), None);
        }
        let (path, behind) = target.split_at(target.find('?').unwrap_or(target.len()));
        match self.split_path(path.as_bytes(), served.as_bytes()) {
            (_, Some(name)) => (Cow::Owned([served, behind].concat()), Some(name)),
            (_, None) => (Cow::Borrowed(target), None),
        }
    }

    /// Whether a server name may have one.
    #[must_use]
    pub fn has_server_names(&self) -> bool {
        !self.below.is_empty()
    }

    /// The client's name in the server name that it asked for; None: there is none.
    #[must_use]
    pub fn in_server_name(&self, server_name: &str) -> Option<String> {
        let (name, rest) = server_name.trim_end_matches('.').split_once('.')?;
        let is_below = !self.below.is_empty() && rest.eq_ignore_ascii_case(&self.below);
        is_below.then(|| client_name(name.as_bytes())).flatten()
    }

    /// The name to carry for a client that may ask; None: there are too many.
    #[must_use]
    pub fn keep(&self, name: &str, address: IpAddr) -> Option<ClientName> {
        let mut known = self.known.lock();
        if let Some(&kept) = known.names.get(name) {
            return Some(kept);
        }
        if known.names.len() >= CLIENT_NAMES_MAX {
            return None;
        }
        let count = known.by_client.entry(client_key(address)).or_default();
        if *count >= NAMES_PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        let kept: ClientName = Box::leak(Box::from(name));
        known.names.insert(kept);
        Some(kept)
    }
}

/// The name that octets are, in lower case; None: they are none.
fn client_name(octets: &[u8]) -> Option<String> {
    // Letters, digits, hyphens within (RFC 5890 §2.3.1).
    let is_ldh = (1..=CLIENT_NAME_OCTETS_MAX).contains(&octets.len())
        && octets.iter().all(|&octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && octets.first() != Some(&b'-')
        && octets.last() != Some(&b'-');
    is_ldh.then(|| String::from_utf8_lossy(octets).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_whoever_has_it() {
        let names = ClientNames::new(true, "");
        let one = names.keep("phones", "192.0.2.1".parse().unwrap()).unwrap();
        let other = names.keep("phones", "192.0.2.2".parse().unwrap()).unwrap();
        assert!(std::ptr::eq(one, other));
    }

    #[test]
    fn a_target_keeps_its_query_when_the_name_in_its_path_is_taken() {
        let names = ClientNames::new(true, "");
        for (target, path, name) in [
            ("/dns-query/Phones?dns=AA/B?x", "/dns-query?dns=AA/B?x", Some("phones")),
            ("/dns-query/phones", "/dns-query", Some("phones")),
            ("/dns-query?dns=/phones", "/dns-query?dns=/phones", None),
            ("/dns-query/a/b?dns=AA", "/dns-query/a/b?dns=AA", None),
            ("/other/phones?dns=AA", "/other/phones?dns=AA", None),
        ] {
            let (found, called) = names.split_target(target, "/dns-query");
            assert_eq!((&*found, called.as_deref()), (path, name));
            assert_eq!(ClientNames::default().split_target(target, "/dns-query"), (target.into(), None));
        }
    }

    #[test]
    fn one_client_does_not_use_up_the_names_of_all() {
        let names = ClientNames::new(true, "");
        let (greedy, other): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let kept =
            |client| (0..2_000).filter(|n| names.keep(&format!("n{client}-{n}"), client).is_some()).count();
        assert_eq!(kept(greedy), NAMES_PER_CLIENT_MAX);
        assert!(names.keep("phones", "2001:db8::2".parse().unwrap()).is_none());
        assert!(names.keep("phones", other).is_some());
        assert!(names.keep("phones", greedy).is_some());
    }

    #[test]
    fn there_are_so_many_names_and_no_more() {
        let names = ClientNames::new(true, "");
        for number in 0..CLIENT_NAMES_MAX as u32 + 10 {
            let client = IpAddr::V4(number.into());
            assert_eq!(names.keep(&format!("n{number}"), client).is_some(), number < CLIENT_NAMES_MAX as u32);
        }
        assert!(names.keep("n7", "192.0.2.1".parse().unwrap()).is_some());
    }
}
