//! Judges names by one compiled policy: which rule wins, and how far it reaches.
//!
//! Knows: the image, the order of tiers, forms and modes, dates as of its making, its group of clients.
//! Does not know: files, messages, wall time (it is told once, when made), who asks, the cache.
//! Theory: a name's suffixes are looked up from the longest to the shortest, and within a record the
//! references stand in the order of preference, so in each tier the first rule that applies has won.
//! A table never changes: when a rule's `from` or `until` comes, a new one is made over the same image, so
//! all that depends on dates is worked out once per table, not per question.  So is whom a rule is for: in
//! the table of a group, a class that is not for the group is as if it were disabled.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::activity::{class_state_of, ClassState};
use super::image::{Image, Names, Probe, Section};
use super::image_format::{u16_at, u32_at, ADDRESS_REF_OCTETS, INTERVAL_OCTETS};
use super::rules::{Effect, Tier};
use super::suffixes::{find_suffixes, found_suffixes, Found, Suffixes};
use super::template::Template;
use crate::verdict::{Exemption, Network, Rule, RuleForm, RuleMatch, Verdict};
use crate::wire::carried_addresses::{carried_addresses, Nat64Prefix, CARRIED_MAX, NAT64_PREFIXES_MAX};

/// What a winning exception of each tier switches off on the response side: list allow rules reach lists
/// only.
const EXEMPTIONS: [Exemption; 3] = [Exemption::All, Exemption::All, Exemption::Lists];

/// Groups of clients that there may be: an audience has one bit for each.
pub const GROUPS_MAX: u8 = 64;
/// The group of all clients that nothing puts into another one.
pub const EVERYBODY: u8 = 0;
/// Where a table's group stands in its generation: generations rise by one and never get there.
const GROUP_SHIFT: u32 = 56;

/// A rule that may win.
#[derive(Clone, Copy)]
struct Candidate {
    class_state: ClassState,
    position: u8,
}

/// The networks around an address that rules speak of.
pub(super) struct AddressVerdict {
    pub winner: Option<u16>,
    /// That of the winner.
    pub network: Option<Network>,
    pub shadow: Option<u16>,
    pub valid_until: f64,
}

/// One policy at one time for one group of clients; immutable, and safe to use from any thread.
pub struct PolicyTable {
    /// The policy's, with the group above it, so no other table has it: what was judged under another one is
    /// judged again.
    pub generation: u64,
    image: Arc<Image>,
    /// The time it is true for: wall (Unix seconds) and monotonic.
    made_at: (f64, f64),
    class_states: Box<[ClassState]>,
    templates: Arc<[Template]>,
    skips_top: bool,
    /// BLOB offset of the root's references.
    root: Option<usize>,
    has_addresses: bool,
    is_filtering: bool,
    /// The network's own, by which IPv6 addresses carry IPv4 ones.
    nat64_prefixes: Arc<[Nat64Prefix]>,
}

impl PolicyTable {
    /// Make the table of everybody as of `wall` (Unix seconds), which is `monotonic` on the verdicts' clock.
    pub fn new(image: Arc<Image>, generation: u64, wall: f64, monotonic: f64) -> PolicyTable {
        let templates = image.rules.iter().map(Template::new).collect();
        PolicyTable::made(image, templates, generation, (wall, monotonic), EVERYBODY)
    }

    /// The same with the NAT64 prefixes of the network, under which IPv6 addresses carry IPv4 ones.
    #[must_use]
    pub fn with_nat64_prefixes(self, prefixes: &[Nat64Prefix]) -> PolicyTable {
        PolicyTable { nat64_prefixes: prefixes.iter().copied().take(NAT64_PREFIXES_MAX).collect(), ..self }
    }

    /// The same policy at the same time for another group of clients.  Panics for one that cannot be.
    #[must_use]
    pub fn for_group(&self, group: u8) -> PolicyTable {
        assert!(group < GROUPS_MAX, "group {group}: there are {GROUPS_MAX}");
        let generation = self.generation & ((1 << GROUP_SHIFT) - 1);
        let table =
            PolicyTable::made(self.image.clone(), self.templates.clone(), generation, self.made_at, group);
        PolicyTable { nat64_prefixes: self.nat64_prefixes.clone(), ..table }
    }

    fn made(
        image: Arc<Image>,
        templates: Arc<[Template]>,
        generation: u64,
        made_at: (f64, f64),
        group: u8,
    ) -> PolicyTable {
        let class_states: Box<[ClassState]> = (image.classes.iter())
            .filter_map(|class| class_state_of(class, &image.rules, made_at, group))
            .collect();
        PolicyTable {
            generation: generation | u64::from(group) << GROUP_SHIFT,
            made_at,
            templates,
            // Under the root's rules a marker may stand at a top-level domain that owns no rule.
            skips_top: !image.has_top_level_owner && !image.has_root_owner,
            root: if image.has_root_owner { image.names().look_up(b"\0") } else { None },
            has_addresses: !image.section(Section::Intervals).is_empty(),
            is_filtering: class_states.iter().any(|class| class.is_enforced && class.effect == Effect::Block),
            class_states,
            image,
            nat64_prefixes: Arc::new([]),
        }
    }

    /// The rule with this number; None: there is no such rule in this table's image.
    pub fn get_rule(&self, index: u16) -> Option<&Rule> {
        self.image.rules.get(usize::from(index))
    }

    /// The rule with this number, which a verdict of this table gave.  Panics for another table's number.
    pub fn rule(&self, index: u16) -> &Rule {
        &self.image.rules[usize::from(index)]
    }

    /// All rules, in the order of their numbers.
    pub fn rules(&self) -> &[Rule] {
        &self.image.rules
    }

    /// The prepared parts of a rule's answers.
    pub(super) fn template(&self, index: u16) -> Option<&Template> {
        self.templates.get(usize::from(index))
    }

    /// Whether any rule blocks anything for this group now.
    pub fn is_filtering(&self) -> bool {
        self.is_filtering
    }

    /// Whether any rule speaks of addresses.
    pub(super) fn has_addresses(&self) -> bool {
        self.has_addresses
    }

    /// What the rules say of `qname` (wire form, lower case); `Verdict::PASS` when they say nothing.
    ///
    /// Octets that are no name match nothing.
    #[inline]
    pub fn judge_name(&self, qname: &[u8], _now: f64) -> Verdict {
        let names = self.image.names();
        let mut only = None;
        let mut count = 0;
        find_suffixes(&names, qname, self.skips_top, |place| {
            only = Some(place);
            count += 1;
        });
        match (only, self.root) {
            (None, None) => Verdict::PASS,
            (Some(only), None) if count == 1 => self.judge_found(&names, qname, only),
            _ => self.decide(&names, qname, &found_suffixes(&names, qname, self.skips_top), false),
        }
    }

    /// The same, of suffixes already hashed, which are all there are.
    #[inline(always)]
    pub(super) fn judge_suffixes(&self, qname: &[u8], suffixes: &[(u8, Probe)]) -> Verdict {
        let names = self.image.names();
        let mut only = None;
        let mut count = 0;
        for &(position, probe) in suffixes {
            if let Some(refs) = names.find(probe, &qname[usize::from(position)..]) {
                only = Some(Found { position, refs });
                count += 1;
            }
        }
        match (only, self.root) {
            (None, None) => Verdict::PASS,
            (Some(only), None) if count == 1 => self.judge_found(&names, qname, only),
            _ => self.decide(&names, qname, &found_suffixes(&names, qname, self.skips_top), false),
        }
    }

    /// Hash the suffixes that matter, the longest first, at most `SUFFIXES_AT_ONCE`; false: there are more.
    #[inline(always)]
    pub(super) fn push_probes<const ROOM: usize>(
        &self,
        qname: &[u8],
        into: &mut ArrayVec<(u8, Probe), ROOM>,
    ) -> bool {
        let names = self.image.names();
        let mut suffixes = Suffixes::of(qname, self.skips_top);
        suffixes.probe(&names, into);
        suffixes.is_done()
    }

    /// The table of names.
    #[inline(always)]
    pub(super) fn names(&self) -> Names<'_> {
        self.image.names()
    }

    /// What the rules but those of lists say of a name that a list's rule leads to.
    pub fn judge_target(&self, name: &[u8], now: f64) -> Verdict {
        self.judge_later(name, now, true)
    }

    pub(super) fn judge_later(&self, name: &[u8], now: f64, skip_lists: bool) -> Verdict {
        if !skip_lists {
            return self.judge_name(name, now);
        }
        let names = self.image.names();
        self.decide(&names, name, &found_suffixes(&names, name, false), true)
    }

    #[inline(always)]
    fn judge_found(&self, names: &Names<'_>, qname: &[u8], only: Found) -> Verdict {
        // Nearly always one rule speaks: no tiers, no exceptions below (they would be marked here).
        if let Some(class_state) =
            names.only_class_at(only.refs).and_then(|class| self.class_states.get(class))
        {
            if class_state.is_ready && reaches(class_state.form, only.position) {
                return Verdict {
                    action: class_state.action,
                    matched: Some(match_of(class_state, only.position)),
                    nxdomain_ok: class_state.form != Some(RuleForm::Exact),
                    valid_until: class_state.changes_at,
                    ..Verdict::PASS
                };
            }
        }
        self.decide(names, qname, &[only], false)
    }

    /// The general decision over all rules at or above `qname`.
    #[inline(never)]
    fn decide(&self, names: &Names<'_>, qname: &[u8], found: &[Found], skip_lists: bool) -> Verdict {
        let root = self.root.map(|refs| Found { position: root_position(qname), refs });
        let mut state = Decision::default();
        for place in found.iter().copied().chain(root) {
            for class in names.classes_at(place.refs) {
                if let Some(class_state) = self.class_states.get(usize::from(class)) {
                    if !(skip_lists && class_state.tier == Tier::Lists) {
                        state.consider(Candidate { class_state: *class_state, position: place.position });
                    }
                }
            }
        }
        state.verdict()
    }

    /// The enforced rule and the shadow rule of an address, and when either may change; None: no network around
    /// it, nor around an IPv4 address that it carries, is spoken of.
    pub(super) fn judge_address(&self, address: &IpAddr, skip_lists: bool) -> Option<AddressVerdict> {
        let mut winner = None;
        let mut network = None;
        let mut second = None;
        let mut valid_until = f64::INFINITY;
        let around = self.refs_around(address);
        if around.iter().all(|refs| refs.is_empty()) {
            return None;
        }
        let refs = around.iter().flat_map(|refs| refs.chunks_exact(ADDRESS_REF_OCTETS));
        for (number, octets) in refs.enumerate() {
            let Some(class_state) =
                u16_at(octets, 0).and_then(|class| self.class_states.get(usize::from(class)))
            else {
                continue;
            };
            if skip_lists && class_state.tier == Tier::Lists {
                continue;
            }
            valid_until = earlier(valid_until, class_state.changes_at);
            if class_state.effect == Effect::Allow {
                if class_state.is_enforced {
                    break; // A list's exception, in a network no wider than those that would follow.
                }
                continue;
            }
            if class_state.is_enforced && winner.is_none() {
                winner = Some((number, class_state.rule));
                network = network_at(octets);
            }
            if class_state.is_counted && second.is_none() {
                second = Some((number, class_state.rule));
            }
        }
        let shadow = second.filter(|_| second != winner).map(|(_, rule)| rule);
        Some(AddressVerdict { winner: winner.map(|(_, rule)| rule), network, shadow, valid_until })
    }

    /// The records of REFS around an address, then those around each IPv4 address that it carries.
    fn refs_around(&self, address: &IpAddr) -> ArrayVec<&[u8], { CARRIED_MAX + 1 }> {
        let mut around = ArrayVec::new();
        match address {
            IpAddr::V4(ipv4) => around.push(self.address_refs(ipv4.to_ipv6_mapped().into())),
            IpAddr::V6(ipv6) => {
                around.push(self.address_refs(u128::from(*ipv6)));
                for carried in carried_addresses(ipv6, &self.nat64_prefixes) {
                    around.push(self.address_refs(carried.to_ipv6_mapped().into()));
                }
            }
        }
        around
    }

    /// The records of REFS of the interval around an address (IPv4 mapped).
    fn address_refs(&self, address: u128) -> &[u8] {
        let intervals = self.image.section(Section::Intervals);
        let start_of = |index: usize| -> Option<u128> {
            let place = index * INTERVAL_OCTETS;
            Some(u128::from_be_bytes(intervals.get(place..place + 16)?.try_into().ok()?))
        };
        let mut low = 0;
        let mut high = intervals.len() / INTERVAL_OCTETS;
        while low < high {
            let middle = low + (high - low) / 2;
            if start_of(middle).is_some_and(|start| start <= address) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let refs = || -> Option<&[u8]> {
            let interval = intervals.get(low.checked_sub(1)? * INTERVAL_OCTETS..)?;
            let first = u32_at(interval, 16)? as usize * ADDRESS_REF_OCTETS;
            let octets = u32_at(interval, 20)? as usize * ADDRESS_REF_OCTETS;
            self.image.section(Section::Refs).get(first..)?.get(..octets)
        };
        refs().unwrap_or(&[])
    }
}

/// Where the root octet of a name stands.
fn root_position(qname: &[u8]) -> u8 {
    u8::try_from(qname.len().saturating_sub(1)).unwrap_or(u8::MAX)
}

/// What the rules considered come to.
struct Decision {
    winners: [Option<Candidate>; 3],
    seconds: [Option<Candidate>; 3],
    /// What would win for names directly under the name.
    below: [Option<Candidate>; 3],
    /// The strongest tier of an exception below.
    exception_tier: Option<Tier>,
    valid_until: f64,
    below_until: f64,
}

impl Default for Decision {
    fn default() -> Decision {
        Decision {
            winners: [None; 3],
            seconds: [None; 3],
            below: [None; 3],
            exception_tier: None,
            valid_until: f64::INFINITY,
            below_until: f64::INFINITY,
        }
    }
}

impl Decision {
    fn consider(&mut self, candidate: Candidate) {
        let Candidate { class_state, position } = candidate;
        let tier = class_state.tier as usize;
        if class_state.effect == Effect::Marker {
            if position == 0 {
                self.below_until = earlier(self.below_until, class_state.changes_at);
                // One to come counts, too: a name that will exist must not be denied now (RFC 8020), and
                // whoever keeps NXDOMAIN keeps it for all below.
                if class_state.is_enforced || class_state.is_coming {
                    self.note_exception(class_state.tier);
                }
            }
            return;
        }
        if class_state.form != Some(RuleForm::Exact) {
            self.below_until = earlier(self.below_until, class_state.changes_at);
            if class_state.is_enforced {
                self.below[tier].get_or_insert(candidate);
            }
            if class_state.is_coming && position == 0 && class_state.is_exception_below() {
                self.note_exception(class_state.tier);
            }
        }
        if !reaches(class_state.form, position) {
            return;
        }
        self.valid_until = earlier(self.valid_until, class_state.changes_at);
        if class_state.is_enforced {
            self.winners[tier].get_or_insert(candidate);
        }
        if class_state.is_counted {
            self.seconds[tier].get_or_insert(candidate);
        }
    }

    /// An exception of this tier stands below, or will.
    fn note_exception(&mut self, tier: Tier) {
        if self.exception_tier.map_or(true, |known| tier < known) {
            self.exception_tier = Some(tier);
        }
    }

    fn verdict(self) -> Verdict {
        let shadow = first(&self.seconds).filter(|second| !second.class_state.is_enforced);
        let shadow = shadow.map(|second| second.class_state.rule);
        let Some(Candidate { class_state, position }) = first(&self.winners) else {
            return Verdict { shadow, valid_until: self.valid_until, ..Verdict::PASS };
        };
        let matched = Some(match_of(&class_state, position));
        if class_state.effect != Effect::Block {
            return Verdict {
                matched,
                shadow,
                exemption: EXEMPTIONS[class_state.tier as usize],
                valid_until: self.valid_until,
                ..Verdict::PASS
            };
        }
        // RFC 8020: NXDOMAIN says that nothing exists below, so every name below must be blocked.
        let nxdomain_ok = first(&self.below).is_some_and(|heir| {
            heir.class_state.effect == Effect::Block
                && self.exception_tier.map_or(true, |tier| tier > heir.class_state.tier)
        });
        Verdict {
            action: class_state.action,
            matched,
            shadow,
            nxdomain_ok,
            valid_until: earlier(self.valid_until, self.below_until),
            ..Verdict::PASS
        }
    }
}

/// The winner over all tiers.
fn first(tiers: &[Option<Candidate>; 3]) -> Option<Candidate> {
    tiers[0].or(tiers[1]).or(tiers[2])
}

/// Whether a rule of this form applies to a name whose suffix at `position` is its owner.
#[inline(always)]
fn reaches(form: Option<RuleForm>, position: u8) -> bool {
    match form {
        Some(RuleForm::Subtree) => true,
        Some(RuleForm::Exact) => position == 0,
        Some(RuleForm::Below) | None => position != 0,
    }
}

#[inline(always)]
fn match_of(class_state: &ClassState, position: u8) -> RuleMatch {
    RuleMatch { rule: class_state.rule, form: class_state.form, owner_offset: position }
}

/// The earlier of two times.
pub(super) fn earlier(one: f64, other: f64) -> f64 {
    if other < one {
        other
    } else {
        one
    }
}
/// The network that a record of REFS names: its bits, its family, its first address at last.
fn network_at(octets: &[u8]) -> Option<Network> {
    let whole: [u8; 16] = octets.get(16..32)?.try_into().ok()?;
    let address = match *octets.get(3)? {
        4 => IpAddr::from([whole[12], whole[13], whole[14], whole[15]]),
        _ => IpAddr::V6(Ipv6Addr::from(whole)),
    };
    Some((address, *octets.get(2)?))
}
