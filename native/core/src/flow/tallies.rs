//! Counts outcomes at the cost of a look-up and two additions per answer.
//!
//! Knows: which labels an outcome has.  Does not know: Prometheus, sockets, who asked.
//! Theory: outcomes with the same labels share one tally; each thread has its own `Tallies`, and a scrape adds
//! them up.  Time is taken once per batch: a batch's answers are noted as `touched` and settled together.
//! Every label comes from a closed set, so the number of tallies is bounded whatever clients ask.

use ahash::AHashMap;

use super::peer::{Peer, Transport};
use crate::policy::{PolicyAction, PolicyTable, RuleKind, Verdict};
use crate::records::{write_why, Ended, Producer};
use crate::wire::numbers::{qtype_label, rcode_label};
use crate::wire::query::MalformedReason;

/// Upper bounds of the response time histogram's buckets, in seconds; the last bucket has none.
pub const SECONDS_BOUNDS: [f64; 13] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// The label of every value outside a closed set, and the numbers that stand for such values.
const OTHER: &str = "OTHER";
const OTHER_TYPE: u16 = 0;
const OTHER_CODE: u16 = u16::MAX;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// A rule's denial.
    Policy,
    /// The cache, fresh, or a failure remembered.
    Cache,
    /// The cache, past its time.
    Stale,
    /// An upstream, or its silence.
    Upstream,
    /// This server itself.
    Local,
}

impl Source {
    /// All of them, in the order of their codes.
    pub const ALL: [Source; 5] =
        [Source::Policy, Source::Cache, Source::Stale, Source::Upstream, Source::Local];

    /// The metric label.
    pub fn label(self) -> &'static str {
        ["policy", "cache", "stale", "upstream", "local"][self as usize]
    }
}

/// Why a query got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    Malformed(MalformedReason),
    RateLimit,
    Policy,
    ClientWaits,
    Repeat,
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Reason::Malformed(reason) => reason.label(),
            Reason::RateLimit => "rate_limit",
            Reason::Policy => "policy",
            Reason::ClientWaits => "client_waits",
            Reason::Repeat => "repeat",
        }
    }
}

/// What was done with a query; None: it was dropped for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    Answered(Source, u16),
    Dropped(Reason),
    /// Whatever it was, of an audit's query.
    Audited,
}

/// The number of a `Hit`; 0: none.
pub type HitId = u32;

/// One rule that spoke: the labels of a hit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hit {
    /// `exchange` or `list`.
    pub kind: &'static str,
    /// The exchange's id or the list's name.
    pub label: String,
    /// What was done, or would have been.
    pub action: &'static str,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
}

/// Everything that is counted about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TallyKey {
    transport: Transport,
    /// None: the question could not be read.  Types without a label of their own are `OTHER_TYPE`.
    qtype: Option<u16>,
    ending: Ending,
    enforced: HitId,
    shadow: HitId,
}

impl TallyKey {
    /// Whether a rule blocked it, or would have.
    fn has_hit(&self) -> bool {
        self.enforced != 0 || self.shadow != 0
    }

    fn labels(&self) -> Row {
        let (rcode, source, reason) = match self.ending {
            Ending::Answered(source, rcode) => (Some(rcode_label(rcode)), Some(source.label()), None),
            Ending::Dropped(reason) => (None, None, Some(reason.label())),
            Ending::Audited => (None, None, None),
        };
        Row {
            transport: self.transport.label(),
            qtype: self.qtype.map_or("none", qtype_label),
            rcode,
            source,
            reason,
            enforced: self.enforced,
            shadow: self.shadow,
            count: 0,
            seconds: 0.0,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Tally {
    count: u64,
    seconds: f64,
}

/// One line of a thread's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its label.
    pub transport: &'static str,
    /// `none`: the question could not be read.
    pub qtype: &'static str,
    /// None for a drop.
    pub rcode: Option<&'static str>,
    /// None for a drop.
    pub source: Option<&'static str>,
    /// Why it was dropped; None for an answer.
    pub reason: Option<&'static str>,
    /// The rule that blocked.
    pub enforced: HitId,
    /// The rule that would have.
    pub shadow: HitId,
    /// How many outcomes.
    pub count: u64,
    /// Sum of response times.
    pub seconds: f64,
}

/// Which queries are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Those that a rule blocks, or would by a shadow rule.
    Blocked,
    /// Every one.
    All,
}

/// Where one thread's queries are recorded.
struct Recorder {
    wanted: Recorded,
    /// Whether answers are kept, and why a name was blocked.
    has_details: bool,
    producer: Producer,
    /// Why the query whose outcome was touched last was blocked.
    why: Vec<u8>,
}

/// One thread's counts, and its end of the buffer of records.
#[derive(Default)]
pub struct Tallies {
    index: AHashMap<TallyKey, u32>,
    keys: Vec<TallyKey>,
    tallies: Vec<Tally>,
    touched: Vec<u32>,
    /// The kind that was looked up last.
    latest: u32,
    late: [[u64; SECONDS_BOUNDS.len() + 1]; Source::ALL.len()],
    recorder: Option<Recorder>,
}

impl Tallies {
    /// Nothing counted yet.
    pub fn new() -> Tallies {
        Tallies::default()
    }

    /// Count one outcome; its time comes with the `settle` that follows.
    pub(super) fn touch(
        &mut self,
        transport: Transport,
        qtype: Option<u16>,
        ending: Ending,
        hits: (HitId, HitId),
    ) {
        let (enforced, shadow) = hits;
        let ending = match ending {
            // Unknown codes share one label, so that none can be made up.
            Ending::Answered(source, rcode) if rcode_label(rcode) == OTHER => {
                Ending::Answered(source, OTHER_CODE)
            }
            known => known,
        };
        let labelled = |qtype| if qtype_label(qtype) == OTHER { OTHER_TYPE } else { qtype };
        let key = TallyKey { transport, qtype: qtype.map(labelled), ending, enforced, shadow };
        // Neighbours are often alike.
        if self.keys.get(self.latest as usize) == Some(&key) {
            self.touched.push(self.latest);
            return;
        }
        let next = self.keys.len() as u32;
        let number = *self.index.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
            self.tallies.push(Tally::default());
        }
        self.latest = number;
        self.touched.push(number);
    }

    /// Count one outcome of an audit's query, of which nothing else is counted.
    pub(super) fn touch_audit(&mut self) {
        self.touch(Transport::Udp, None, Ending::Audited, (0, 0));
    }

    /// Count one more outcome of a kind that was touched before, by its number.
    #[inline]
    pub(super) fn touch_again(&mut self, number: u32) {
        self.touched.push(number);
    }

    /// The number of the kind touched last.
    pub(super) fn last_touched(&self) -> u32 {
        self.touched.last().copied().unwrap_or(0)
    }

    /// Record the queries that are `wanted` from now on.
    ///
    /// `has_details`: with their answers, and why a name was blocked.
    pub fn record_into(&mut self, producer: Producer, wanted: Recorded, has_details: bool) {
        self.recorder = Some(Recorder { wanted, has_details, producer, why: Vec::new() });
    }

    /// Note why the query that is recorded next was blocked, where details are kept.
    #[inline]
    pub(super) fn explain(&mut self, verdict: &Verdict, qname: &[u8]) {
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.has_details) {
            recorder.why.clear();
            write_why(verdict, qname, &mut recorder.why);
        }
    }

    /// Record the query whose outcome was touched last, where records are kept.
    #[inline]
    pub(super) fn record(&mut self, peer: &Peer, now: f64, octets: &[u8], answer: Option<&[u8]>) {
        let (Some(recorder), Some(&number)) = (&mut self.recorder, self.touched.last()) else { return };
        let key = &self.keys[number as usize];
        let has_hit = key.has_hit();
        if (has_hit || recorder.wanted == Recorded::All) && key.ending != Ending::Audited {
            recorder.producer.put(&Ended {
                kind: number,
                has_hit,
                address: peer.address,
                name: peer.name.unwrap_or_default(),
                at: now,
                octets,
                why: &recorder.why,
                answer: answer.filter(|_| recorder.has_details),
            });
        }
        recorder.why.clear();
    }

    /// All that was touched since the last call took `seconds`.
    pub fn settle(&mut self, seconds: f64) {
        let bucket = SECONDS_BOUNDS.partition_point(|&bound| bound < seconds);
        for &number in &self.touched {
            let tally = &mut self.tallies[number as usize];
            tally.count += 1;
            tally.seconds += seconds;
            if bucket > 0 {
                if let Ending::Answered(source, _) = self.keys[number as usize].ending {
                    self.late[source as usize][bucket] += 1;
                }
            }
        }
        self.touched.clear();
    }

    /// The counts so far.
    pub fn rows(&self) -> Vec<Row> {
        let one = |(key, tally): (&TallyKey, &Tally)| Row {
            count: tally.count,
            seconds: tally.seconds,
            ..key.labels()
        };
        let is_shown = |(key, tally): &(&TallyKey, &Tally)| tally.count > 0 && key.ending != Ending::Audited;
        self.keys.iter().zip(&self.tallies).filter(is_shown).map(one).collect()
    }

    /// Outcomes of an audit's queries so far.
    pub fn audited(&self) -> u64 {
        let is_audit = |(key, _): &(&TallyKey, &Tally)| key.ending == Ending::Audited;
        self.keys.iter().zip(&self.tallies).filter(is_audit).map(|(_, tally)| tally.count).sum()
    }

    /// The labels of every kind from number `first` on, without counts.
    pub fn labels(&self, first: usize) -> Vec<Row> {
        self.keys.iter().skip(first).map(TallyKey::labels).collect()
    }

    /// Answers that fell in each bucket after the first, by source (index 0 is never used).
    pub fn late(&self, source: Source) -> &[u64; SECONDS_BOUNDS.len() + 1] {
        &self.late[source as usize]
    }
}

/// The hits of one table's rules: (enforced, shadow) by rule.
pub(super) struct Hits(Vec<(HitId, HitId)>);

impl Hits {
    /// The hits that a verdict counts as.
    #[inline]
    pub fn of(&self, verdict: &Verdict) -> (HitId, HitId) {
        let of_rule = |rule: u16| self.0.get(usize::from(rule)).copied().unwrap_or((0, 0));
        let enforced = match &verdict.matched {
            Some(matched) if verdict.is_blocked() => of_rule(matched.rule).0,
            _ => 0,
        };
        (enforced, verdict.shadow.map_or(0, |rule| of_rule(rule).1))
    }
}

/// Numbers for hits, the same for the same labels over all tables.
#[derive(Default)]
pub(super) struct Registry {
    numbers: AHashMap<Hit, HitId>,
    hits: Vec<Hit>,
}

impl Registry {
    /// The numbers of a table's rules.
    pub fn hits_of(&mut self, table: &PolicyTable) -> Hits {
        let pairs = table.rules().iter().map(|rule| {
            let kind = match rule.kind {
                RuleKind::Exchange => "exchange",
                RuleKind::List => "list",
                // These block nothing, so they have no hits.
                RuleKind::Allow | RuleKind::Protected => return (0, 0),
            };
            (
                self.number(kind, &rule.label, rule.action, "enforce"),
                self.number(kind, &rule.label, rule.action, "shadow"),
            )
        });
        Hits(pairs.collect())
    }

    fn number(&mut self, kind: &'static str, label: &str, action: PolicyAction, mode: &'static str) -> HitId {
        let hit = Hit { kind, label: label.to_owned(), action: action.label(), mode };
        if let Some(&known) = self.numbers.get(&hit) {
            return known;
        }
        self.hits.push(hit.clone());
        let number = self.hits.len() as HitId;
        self.numbers.insert(hit, number);
        number
    }

    /// What a number stands for.
    pub fn hit(&self, id: HitId) -> Option<Hit> {
        self.hits.get((id as usize).checked_sub(1)?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(rcode: u16) -> Ending {
        Ending::Answered(Source::Cache, rcode)
    }

    #[test]
    fn alike_outcomes_share_a_row_and_times_add_up() {
        let mut tallies = Tallies::new();
        tallies.touch(Transport::Udp, Some(1), answered(0), (0, 0));
        tallies.touch(Transport::Udp, Some(1), answered(0), (0, 0));
        tallies.touch(Transport::Tcp, Some(28), answered(0), (0, 0));
        tallies.settle(0.0001);
        tallies.touch(Transport::Udp, Some(1), answered(0), (0, 0));
        tallies.settle(0.003);
        let rows = tallies.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].count, rows[0].qtype, rows[0].transport), (3, "A", "udp"));
        assert!((rows[0].seconds - 0.0032).abs() < 1e-9);
        assert_eq!((rows[1].count, rows[1].qtype, rows[1].transport), (1, "AAAA", "tcp"));
        // 3 ms is over the bounds 0.5, 1 and 2 ms and under the fourth.
        assert_eq!(tallies.late(Source::Cache)[3], 1);
        assert_eq!(tallies.late(Source::Cache).iter().sum::<u64>(), 1);
    }

    #[test]
    fn made_up_types_and_codes_share_one_row() {
        let mut tallies = Tallies::new();
        for number in 4000..4100 {
            tallies.touch(Transport::Udp, Some(number), answered(number), (0, 0));
        }
        tallies.settle(0.0);
        assert_eq!(tallies.rows().len(), 1);
        assert_eq!(tallies.rows()[0].qtype, "OTHER");
    }

    #[test]
    fn what_is_not_settled_is_not_counted() {
        let mut tallies = Tallies::new();
        tallies.touch(Transport::Udp, None, Ending::Dropped(Reason::RateLimit), (0, 0));
        assert!(tallies.rows().is_empty());
        tallies.settle(1.0);
        assert_eq!((tallies.rows()[0].reason, tallies.rows()[0].rcode), (Some("rate_limit"), None));
    }
}
