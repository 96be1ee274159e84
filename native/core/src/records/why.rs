//! Why a query was blocked: what of it or of its answer a rule spoke of, and which rule.
//!
//! Knows: verdicts, how this lies in a record's octets.  Does not know: what is made of it.
//!
//! In octets: what matched; the rule's form; where in the value the owner starts, or the bits of the network; how
//! long the value is; the value; the network's address.  A question's own name is in the query already, so its
//! value is empty here.

use std::net::IpAddr;

use crate::verdict::{Cause, Network, RuleForm, Verdict};
use crate::wire::names::is_at_or_below;

/// What a rule spoke of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Matched {
    /// The question's name.
    Qname = 1,
    /// A later name of the chain that the answer makes.
    Chain = 2,
    /// The target of a service record in the answer.
    Service = 3,
    /// An address in the answer.
    Address = 4,
}

impl Matched {
    const ALL: [Matched; 4] = [Matched::Qname, Matched::Chain, Matched::Service, Matched::Address];

    /// The word of records.
    pub fn label(self) -> &'static str {
        ["qname", "chain", "service", "address"][self as usize - 1]
    }
}

/// Why one query was blocked.
#[derive(Clone, Debug, PartialEq)]
pub enum Why<'w> {
    /// For a name, below or at the rule's owner.
    Name {
        /// Which.
        matched: Matched,
        /// How far the rule reaches.
        form: RuleForm,
        /// The rule's owner, wire form, lower case.
        owner: &'w [u8],
        /// The name, wire form, lower case.
        value: &'w [u8],
    },
    /// For an address.
    Address {
        /// The network that the rule names.
        network: Option<Network>,
        /// The address.
        value: IpAddr,
    },
}

const FORM_CODES: [RuleForm; 3] = [RuleForm::Exact, RuleForm::Below, RuleForm::Subtree];

/// Append why `verdict` blocks `qname` or its answer; nothing, if it does not.
pub fn write_why(verdict: &Verdict, qname: &[u8], out: &mut Vec<u8>) {
    let Some(matched) = verdict.matched.filter(|_| verdict.is_blocked()) else { return };
    let mut put = |what: Matched, offset: u8, value: &[u8]| {
        let form = matched.form.map_or(0, |form| form as u8);
        out.extend_from_slice(&[what as u8, form, offset, value.len() as u8]);
        out.extend_from_slice(value);
    };
    match verdict.cause.as_deref() {
        Some(Cause::Service(target, offset)) => put(Matched::Service, *offset, target),
        Some(Cause::Address(address, network)) => {
            put(Matched::Address, network.map_or(0, |(_, bits)| bits), &octets_of(*address));
            if let Some((network, _)) = network {
                out.extend_from_slice(&octets_of(*network));
            }
        }
        None => match verdict.denied.as_deref().filter(|denied| *denied != qname) {
            Some(denied) => put(Matched::Chain, matched.owner_offset, denied),
            None => put(Matched::Qname, matched.owner_offset, &[]),
        },
    }
}

impl<'w> Why<'w> {
    /// Read what `write_why` wrote for this question; None: nothing.
    pub fn read(octets: &'w [u8], qname: &'w [u8]) -> Option<Why<'w>> {
        let (&[what, form, offset, length], behind) = octets.split_first_chunk::<4>()?;
        let matched = *Matched::ALL.get(usize::from(what).checked_sub(1)?)?;
        let (value, network) = behind.split_at_checked(usize::from(length))?;
        if matched == Matched::Address {
            let network = address_of(network).map(|network| (network, offset));
            return Some(Why::Address { network, value: address_of(value)? });
        }
        let value = if matched == Matched::Qname { qname } else { value };
        let owner = value.get(usize::from(offset)..).filter(|owner| is_at_or_below(value, owner))?;
        Some(Why::Name { matched, form: *FORM_CODES.get(usize::from(form))?, owner, value })
    }

    /// What the rule spoke of.
    pub fn matched(&self) -> Matched {
        match self {
            Why::Name { matched, .. } => *matched,
            Why::Address { .. } => Matched::Address,
        }
    }
}

fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address_of(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{PolicyAction, RuleMatch};

    const QNAME: &[u8] = b"\x03www\x04acme\0";

    fn blocked(form: Option<RuleForm>, owner_offset: u8) -> Verdict {
        Verdict {
            action: PolicyAction::Nxdomain,
            matched: Some(RuleMatch { rule: 0, form, owner_offset }),
            ..Verdict::PASS
        }
    }

    fn written(verdict: &Verdict) -> Vec<u8> {
        let mut out = Vec::new();
        write_why(verdict, QNAME, &mut out);
        out
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let asked = blocked(Some(RuleForm::Subtree), 4);
        let chain = Verdict { denied: Some(Box::from(&b"\x01x\x03bad\0"[..])), ..asked.clone() };
        let chain =
            Verdict { matched: Some(RuleMatch { owner_offset: 2, ..chain.matched.unwrap() }), ..chain };
        let cause = Some(Box::new(Cause::Service(Box::from(&b"\x01y\x03svc\0"[..]), 0)));
        let service = Verdict { cause, ..asked.clone() };
        for (verdict, matched, owner, value) in [
            (&asked, Matched::Qname, &b"\x04acme\0"[..], QNAME),
            (&chain, Matched::Chain, b"\x03bad\0", b"\x01x\x03bad\0"),
            (&service, Matched::Service, b"\x01y\x03svc\0", b"\x01y\x03svc\0"),
        ] {
            let wanted = Why::Name { matched, form: RuleForm::Subtree, owner, value };
            assert_eq!(Why::read(&written(verdict), QNAME), Some(wanted));
        }
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let value = IpAddr::from([203, 0, 113, 7]);
        for network in [None, Some((IpAddr::from([203, 0, 113, 0]), 24)), Some((IpAddr::from([0; 16]), 0))] {
            let cause = Some(Box::new(Cause::Address(value, network)));
            let octets = written(&Verdict { cause, ..blocked(None, 0) });
            assert_eq!(Why::read(&octets, QNAME), Some(Why::Address { network, value }));
        }
    }

    #[test]
    fn what_is_not_blocked_has_no_reason_and_broken_octets_give_none() {
        assert_eq!(written(&Verdict::PASS), b"");
        let octets = written(&blocked(Some(RuleForm::Exact), 4));
        for length in 0..octets.len() {
            assert_eq!(Why::read(&octets[..length], QNAME), None);
        }
        assert_eq!(Why::read(&[1, 2, 200, 0], QNAME), None);
        assert_eq!(Why::read(&[9, 2, 0, 0], QNAME), None);
        assert_eq!(Why::read(&[1, 3, 0, 0], QNAME), None);
    }
}
