//! What policy says of a name: the nouns that `policy` decides with and `cache` carries.
//!
//! Knows: nothing but the words.  Does not know: which rule wins (`policy::table`), how it is encoded
//! (`policy::answer`).

use std::net::IpAddr;

/// What is done with a question (RPZ's words).  The numbers are the codes of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PolicyAction {
    /// Nothing: the question is answered as usual.
    Passthru = 0,
    /// The name does not exist, where that is no lie (RFC 8020); NODATA elsewhere.
    Nxdomain = 1,
    /// The name has no records of the type.
    Nodata = 2,
    /// A and AAAA get the rule's sinkhole addresses, any other type NODATA.
    Sinkhole = 3,
    /// The rcode REFUSED.
    Refused = 4,
    /// No answer at all.
    Drop = 5,
    /// Over UDP the answer is cut off (TC=1); over a stream the question is answered as usual.
    TcpOnly = 6,
    /// The rule's own addresses, or a CNAME to another name.
    LocalData = 7,
}

impl PolicyAction {
    const ALL: [PolicyAction; 8] = [
        PolicyAction::Passthru,
        PolicyAction::Nxdomain,
        PolicyAction::Nodata,
        PolicyAction::Sinkhole,
        PolicyAction::Refused,
        PolicyAction::Drop,
        PolicyAction::TcpOnly,
        PolicyAction::LocalData,
    ];

    /// The action with this code of the image; None: there is no such code.
    pub fn from_code(code: u8) -> Option<PolicyAction> {
        PolicyAction::ALL.get(usize::from(code)).copied()
    }

    /// The word of blocklists and metrics.
    pub fn label(self) -> &'static str {
        match self {
            PolicyAction::Passthru => "passthru",
            PolicyAction::Nxdomain => "nxdomain",
            PolicyAction::Nodata => "nodata",
            PolicyAction::Sinkhole => "sinkhole",
            PolicyAction::Refused => "refused",
            PolicyAction::Drop => "drop",
            PolicyAction::TcpOnly => "tcp-only",
            PolicyAction::LocalData => "local-data",
        }
    }
}

/// Whether a rule takes part.  The numbers are the codes of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// It decides.
    Enforce = 0,
    /// It is counted, and blocks nothing.
    Shadow = 1,
    /// It is only kept on record.
    Disabled = 2,
}

impl Mode {
    /// The mode with this code of the image; None: there is no such code.
    pub fn from_code(code: u8) -> Option<Mode> {
        [Mode::Enforce, Mode::Shadow, Mode::Disabled].get(usize::from(code)).copied()
    }

    /// The word of blocklists and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
            Mode::Disabled => "disabled",
        }
    }
}

/// How far a rule reaches from its owner name.  The numbers are the codes of the image, which has one more
/// for the rules of addresses; they are also the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RuleForm {
    /// The name only (`=login.example`).
    Exact = 0,
    /// Only names under it (`*.cdn.example`).
    Below = 1,
    /// The name and everything under it (`example.com`).
    Subtree = 2,
}

impl RuleForm {
    /// The word of blocklists.
    pub fn label(self) -> &'static str {
        match self {
            RuleForm::Exact => "exact",
            RuleForm::Below => "below",
            RuleForm::Subtree => "subtree",
        }
    }
}

/// How much of the response side an allow match on qname switches off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exemption {
    /// Nothing.
    None = 0,
    /// What lists say.
    Lists = 1,
    /// Everything.
    All = 2,
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RuleKind {
    /// An exchange of the blocklist.
    Exchange = 0,
    /// A list file.
    List = 1,
    /// An entry of `allow`.
    Allow = 2,
    /// A protected name.
    Protected = 3,
}

impl RuleKind {
    /// The kind of this word; None: there is no such word.
    pub fn from_label(label: &str) -> Option<RuleKind> {
        match label {
            "exchange" => Some(RuleKind::Exchange),
            "list" => Some(RuleKind::List),
            "allow" => Some(RuleKind::Allow),
            "protected" => Some(RuleKind::Protected),
            _ => None,
        }
    }

    /// The word of images and metrics.
    pub fn label(self) -> &'static str {
        match self {
            RuleKind::Exchange => "exchange",
            RuleKind::List => "list",
            RuleKind::Allow => "allow",
            RuleKind::Protected => "protected",
        }
    }
}

/// What `LocalData` answers: addresses, or a CNAME; any other type gets NODATA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalData {
    /// RDATA of the A records, in the list's order.
    pub ipv4: Vec<[u8; 4]>,
    /// RDATA of the AAAA records, in the list's order.
    pub ipv6: Vec<[u8; 16]>,
    /// Wire form, lower case; behind a label `*` the denied name is put in its place.  Empty: none.
    pub redirect: Box<[u8]>,
}

/// The label of every rule whose orders are all confidential.
pub const CONFIDENTIAL: &str = "confidential";

/// One source of rules with one set of properties: an exchange or a list (or allow/protected).
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where it comes from.
    pub kind: RuleKind,
    /// Exchange id or list name: the closed-set metric label.
    pub label: String,
    /// What it does.
    pub action: PolicyAction,
    /// Whether it takes part.
    pub mode: Mode,
    /// TTL of its answers, seconds.
    pub ttl_s: u32,
    /// What a sinkhole answers to A.
    pub sinkhole_ipv4: [u8; 4],
    /// What a sinkhole answers to AAAA.
    pub sinkhole_ipv6: [u8; 16],
    /// RFC 8914 INFO-CODE of its answers.
    pub ede: u16,
    /// The text beside the code.
    pub ede_text: String,
    /// Member `c` of a structured DNS error, as JSON; empty: no contact may be told.
    pub contacts_json: String,
    /// Member `j` of it; both empty: nothing may be told.
    pub reason_json: String,
    /// Unix seconds of `from`; -inf: always.
    pub starts_at: f64,
    /// Unix seconds of `until`; +inf: never.
    pub ends_at: f64,
    /// With the action `LocalData`.
    pub local_data: Option<LocalData>,
    /// How many further rules of the same source follow, each for a later time.
    pub following: u16,
}

/// The rule that matched, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// Its number: `PolicyTable::rule`.
    pub rule: u16,
    /// None when an address matched rather than a name.
    pub form: Option<RuleForm>,
    /// Where in the denied name (where nothing is denied: in qname) the rule's owner starts.  0, the whole
    /// name, also where the owner is not at or above it: for an address, and for a name that a service
    /// record named.
    pub owner_offset: u8,
}

/// A network: its first address, and the bits of its prefix.
pub type Network = (IpAddr, u8);

/// What of an answer a rule spoke of, where that is neither the question's name nor one of its chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The target of a service record, and where in it the rule's owner starts.
    Service(Box<[u8]>, u8),
    /// An address, and the network that the rule names.
    Address(IpAddr, Option<Network>),
}

/// What the rules say of one name, or of one response.
///
/// `matched` None: no enforced rule speaks of it.  `action` is `Passthru` then, and also when an allow or
/// protected rule won (then `matched` is that rule and `exemption` says how far it reaches).
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is done.
    pub action: PolicyAction,
    /// Which rule says so.
    pub matched: Option<RuleMatch>,
    /// The rule that would have won had shadow rules been enforced, if that is a shadow rule.
    pub shadow: Option<u16>,
    /// How much of the response side is switched off.
    pub exemption: Exemption,
    /// The name that is denied, a later name of the chain; None: qname, or nothing is denied.
    pub denied: Option<Box<[u8]>>,
    /// Whether every name below the denied one is blocked too, so NXDOMAIN tells no lie (RFC 8020).
    pub nxdomain_ok: bool,
    /// Monotonic seconds: a coming `from` or `until` may change this verdict then; caps every TTL.
    pub valid_until: f64,
    /// Response side: how many links of the chain stay in the answer before the denied name.
    pub kept_links: u16,
    /// With `TcpOnly`: what holds for a client that asks over a stream transport.
    pub over_stream: Option<Box<Verdict>>,
    /// Response side: what the rule spoke of, if that is no name of the chain.
    pub cause: Option<Box<Cause>>,
}

impl Verdict {
    /// The verdict on nearly every name: nobody speaks of it.
    pub const PASS: Verdict = Verdict {
        action: PolicyAction::Passthru,
        matched: None,
        shadow: None,
        exemption: Exemption::None,
        denied: None,
        nxdomain_ok: false,
        valid_until: f64::INFINITY,
        kept_links: 0,
        over_stream: None,
        cause: None,
    };

    /// Whether the client is not to get the ordinary answer.
    pub fn is_blocked(&self) -> bool {
        self.action != PolicyAction::Passthru
    }

    /// Whether no rule speaks of the name, neither now nor at a coming date.
    pub fn is_pass(&self) -> bool {
        self.action == PolicyAction::Passthru
            && self.matched.is_none()
            && self.shadow.is_none()
            && self.valid_until == f64::INFINITY
    }

    /// Whole seconds from `now` (monotonic) until a date may change the verdict, which no TTL may outlive;
    /// None: no such date.
    pub fn cap_s(&self, now: f64) -> Option<u32> {
        // The cast goes towards zero, and to the nearer end of the range where that is passed.
        (self.valid_until != f64::INFINITY).then_some((self.valid_until - now) as u32)
    }

    /// What becomes of a `TcpOnly` verdict for a client that asks over a stream transport.
    ///
    /// For a name itself: it passes, and no list has more to say of its answer.
    pub fn over_stream(&self) -> Verdict {
        match &self.over_stream {
            Some(verdict) => (**verdict).clone(),
            None => Verdict {
                matched: self.matched,
                shadow: self.shadow,
                exemption: Exemption::Lists,
                valid_until: self.valid_until,
                ..Verdict::PASS
            },
        }
    }
}

/// What the rules say of an answer, beside what they said of its question.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// The answer adds nothing: the verdict on qname holds.
    Same,
    /// This verdict holds instead.
    Other(Box<Verdict>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_are_those_of_the_image() {
        for (code, action) in PolicyAction::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, code);
            assert_eq!(PolicyAction::from_code(code as u8), Some(action));
        }
        assert_eq!(PolicyAction::from_code(8), None);
        assert_eq!(Mode::from_code(1), Some(Mode::Shadow));
        assert_eq!(Mode::from_code(3), None);
        for kind in [RuleKind::Exchange, RuleKind::List, RuleKind::Allow, RuleKind::Protected] {
            assert_eq!(RuleKind::from_label(kind.label()), Some(kind));
        }
    }

    #[test]
    fn a_cap_is_whole_seconds_and_never_below_zero() {
        assert_eq!(Verdict::PASS.cap_s(5.0), None);
        let coming = Verdict { valid_until: 100.0, ..Verdict::PASS };
        assert!(!coming.is_pass());
        assert_eq!(coming.cap_s(90.25), Some(9));
        assert_eq!(coming.cap_s(100.5), Some(0));
        assert_eq!(coming.cap_s(-1e12), Some(u32::MAX));
    }

    #[test]
    fn over_a_stream_a_name_passes_and_lists_have_spoken() {
        let matched = Some(RuleMatch { rule: 3, form: Some(RuleForm::Exact), owner_offset: 0 });
        let held = Verdict { action: PolicyAction::TcpOnly, matched, valid_until: 7.0, ..Verdict::PASS };
        let passed = held.over_stream();
        assert!(!passed.is_blocked() && passed.matched == matched && passed.valid_until == 7.0);
        assert_eq!(passed.exemption, Exemption::Lists);
        let known = Verdict { over_stream: Some(Box::new(Verdict::PASS)), ..held };
        assert!(known.over_stream().is_pass());
    }
}
