//! The cache as octets, for the server after this one: what an entry is written as, and how it is read again.
//!
//! Knows: the format, which entries are worth it, what is believed of octets.  Does not know: files, clocks,
//! checksums.  Mirror of `resolver/cache/snapshot.py`, which describes the format.
//! Theory: an entry is written as the message that it answers with, and read by the same rules as any upstream's
//! answer.  A step looks at a bounded number of seats under one shard's lock, so nobody's answer waits for it; what
//! moves from one seat to another meanwhile may be written twice or not at all, which costs a question at most.

use super::entry::denies_name;
use super::eviction::FREQUENCY_MAX;
use super::response_cache::Cache;
use super::seats::Seat;
use super::shard::Shard;
use super::shard::ANY_TYPE;
use crate::wire::{accept_response, Accepted, Question, SentQuery, FLAG_AD, FLAG_QR, FLAG_RA};

/// Stands in the question of a denial, for the type that it was learned by is known no more.
const DENIAL_TYPE: u16 = 0xFFFF;
/// A message of 64 KiB, and what stands around it.
const KEPT_ANSWER_OCTETS_MAX: usize = 66_560;

const DNSSEC_OK: u8 = 1;
const CHECKING_DISABLED: u8 = 2;
const DENIAL: u8 = 4;

const SIZE_OCTETS: usize = 4;
/// Age, flags, uses.
const ABOUT_OCTETS: usize = 10;
const HEADER_OCTETS: usize = 12;

/// Seats looked at under one lock: some 20 µs.
const SEATS_AT_ONCE: u32 = 64;

/// Where a snapshot goes on: which pass, which shard, which seat of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotPlace {
    is_denials: bool,
    shard: u32,
    seat: u32,
}

impl SnapshotPlace {
    /// As a number.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.is_denials) << 63 | u64::from(self.shard) << 32 | u64::from(self.seat)
    }

    /// From its number.
    #[must_use]
    pub fn from_bits(bits: u64) -> SnapshotPlace {
        SnapshotPlace {
            is_denials: bits >> 63 != 0,
            shard: (bits >> 32) as u32 & 0x7FFF_FFFF,
            seat: bits as u32,
        }
    }
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Those that are kept.
    pub kept: u64,
    /// Those that are no answer, or too old for anything.
    pub refused: u64,
}

impl Cache {
    /// Write records from `place` on, until there are `octets_max` of them or a little more; where to go on.
    ///
    /// None: that was all.  First every answer to a type, then the denials of whole names.
    pub fn snapshot(
        &self,
        place: SnapshotPlace,
        octets_max: usize,
        now: f64,
        out: &mut Vec<u8>,
    ) -> Option<SnapshotPlace> {
        let mut place = place;
        let end = out.len() + octets_max;
        while out.len() < end {
            let Some(padded) = self.shards.get(place.shard as usize) else {
                if place.is_denials {
                    return None;
                }
                place = SnapshotPlace { is_denials: true, shard: 0, seat: 0 };
                continue;
            };
            let is_over = padded.0.lock().write_seats(place.is_denials, &mut place.seat, now, out);
            if is_over {
                place = SnapshotPlace { shard: place.shard + 1, seat: 0, ..place };
            }
        }
        Some(place)
    }

    /// Keep what whole records say.  `away_s`: seconds since they were written.
    pub fn load(&self, octets: &[u8], away_s: f64, now: f64) -> Loaded {
        let mut loaded = Loaded::default();
        let mut rest = octets;
        while let Some((record, behind)) = first_record(rest) {
            rest = behind;
            match self.keep_record(record, away_s, now) {
                Some(()) => loaded.kept += 1,
                None => loaded.refused += 1,
            }
        }
        loaded.refused += u64::from(!rest.is_empty());
        loaded
    }

    fn keep_record(&self, record: &[u8], away_s: f64, now: f64) -> Option<()> {
        let age_s = f64::from_le_bytes(record.get(..8)?.try_into().ok()?);
        let (flags, uses) = (*record.get(8)?, *record.get(9)?);
        let message = record.get(ABOUT_OCTETS..)?;
        if !(0.0..f64::INFINITY).contains(&age_s) {
            return None;
        }
        let (qname, qtype) = question_of(message)?;
        let dnssec_ok = flags & DNSSEC_OK != 0;
        let sent = SentQuery::over_udp(0, qname, qtype, false, dnssec_ok)?;
        if sent.name != sent.qname {
            return None;
        }
        let Accepted::Response(response) = accept_response(message, &sent) else { return None };
        if denies_name(&response) != (flags & DENIAL != 0) {
            return None;
        }
        let stored_at = now - away_s - age_s;
        if stored_at + f64::from(response.ttl_s) + f64::from(self.config().stale_max_s) <= now {
            return None;
        }
        let question =
            Question { qname, qtype, dnssec_ok, checking_disabled: flags & CHECKING_DISABLED != 0 };
        self.store_used(question, response, stored_at, uses.min(FREQUENCY_MAX), |kept| kept.is_ok())
            .then_some(())
    }
}

impl Shard {
    /// Write some seats from number `seat` on; true: there are no more.
    fn write_seats(&self, is_denials: bool, seat: &mut u32, now: f64, out: &mut Vec<u8>) -> bool {
        let count = self.seats.count() as u32;
        let end = count.min(seat.saturating_add(SEATS_AT_ONCE));
        for number in *seat..end {
            let one = &self.seats[number];
            // Free ones have a kind of no type.
            if one.kind >> 2 <= ANY_TYPE && (one.kind >> 2 == ANY_TYPE) == is_denials {
                write_record(one, now, out);
            }
        }
        *seat = end;
        end == count
    }
}

fn write_record(seat: &Seat, now: f64, out: &mut Vec<u8>) {
    let entry = &seat.entry;
    let Some(response) = entry.response.as_ref().filter(|_| now < entry.stale_until) else { return };
    let is_denial = seat.kind >> 2 == ANY_TYPE;
    let qtype = if is_denial { DENIAL_TYPE } else { (seat.kind >> 2) as u16 };
    let mut flags = if seat.kind & 2 != 0 { DNSSEC_OK } else { 0 };
    flags |= if seat.kind & 1 != 0 { CHECKING_DISABLED } else { 0 };
    flags |= if is_denial { DENIAL } else { 0 };
    let qname = seat.qname.octets_of();
    let length = ABOUT_OCTETS + HEADER_OCTETS + qname.len() + 4 + response.body.len();
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&(now - entry.stored_at).to_le_bytes());
    out.extend_from_slice(&[flags, if seat.in_main { FREQUENCY_MAX } else { seat.frequency }]);
    let ad = if response.authentic_data { FLAG_AD } else { 0 };
    for word in [0, FLAG_QR | FLAG_RA | ad | response.rcode & 0xF, 1, response.ancount, response.nscount, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(qname);
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    out.extend_from_slice(&response.body);
}

/// The first whole record, and what stands behind it.
fn first_record(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_at_checked(SIZE_OCTETS)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    if length <= ABOUT_OCTETS || length > KEPT_ANSWER_OCTETS_MAX {
        return None;
    }
    rest.split_at_checked(length)
}

/// Name and type of a message's question; None: it is not read.
fn question_of(message: &[u8]) -> Option<(&[u8], u16)> {
    let mut at = HEADER_OCTETS;
    while let length @ 1..=63 = *message.get(at)? {
        at += 1 + usize::from(length);
    }
    if *message.get(at)? != 0 {
        return None;
    }
    let qname = message.get(HEADER_OCTETS..=at)?;
    let qtype = message.get(at + 1..at + 3)?;
    message.get(at + 3..at + 5)?;
    Some((qname, u16::from_be_bytes([qtype[0], qtype[1]])))
}
