//! The one encoder: facts and record octets -> a whole message, the same on every transport.
//!
//! Knows: header bits, OPT, Extended DNS Errors, padding, and what gives way when a message is too long.
//! Does not know: why an answer is what it is, which options its client gets.
//! Order of giving way: the text of Extended DNS Errors, then the errors, then the other options, then the
//! records (TC=1): over a datagram all of them, for the client can come back over a stream; over a stream those
//! at the end that do not fit.  Question and OPT always stay.  Padding comes last, where there is room.

use super::numbers::{FLAG_AA, FLAG_AD, FLAG_CD, FLAG_QR, FLAG_RA, FLAG_RD, FLAG_TC, OPTION_EXTENDED_ERROR};
use super::numbers::{OPTION_PADDING, RCODE_SERVFAIL, TYPE_ANY, TYPE_OPT};
use super::query::Query;
use super::walk::{read_fixed, skip_name, WireError, FIXED_OCTETS};
use arrayvec::ArrayVec;

/// Largest UDP message sent or asked for, in octets: fits the IPv6 minimum MTU of 1280 (DNS Flag Day 2020).
pub const UDP_PAYLOAD_OCTETS_MAX: usize = 1232;
/// Largest message over TCP, in octets: its length field has 16 bits (RFC 1035 §4.2.2).
pub const STREAM_OCTETS_MAX: usize = 65535;
/// Longest EXTRA-TEXT sent, in octets: an explanation, not a page; leaves room for records in 512 octets.
pub const EDE_TEXT_OCTETS_MAX: usize = 200;

/// Longest name of a server, in octets: tells it from its twin, and hardly lets an answer outgrow its query.
pub const NSID_OCTETS_MAX: usize = 64;

/// A padded answer has a multiple of this many octets (RFC 8467 §4.1): who reads along learns little of it.
pub const PADDED_BLOCK_OCTETS: usize = 468;

/// An answer to ANY over a datagram has at most as many halves of its query's octets: the address may be
/// somebody else's, and no client needs more than the hint to come over a stream (RFC 8482 §4.4).
pub const ANY_GROWTH_HALVES: usize = 3;

/// Root owner, type, class, TTL and RDLENGTH of an OPT.
pub const OPT_OCTETS: usize = 11;
/// Option code, length and INFO-CODE (RFC 8914 §2).
pub const EDE_OCTETS: usize = 6;
/// Code and length of an EDNS option (RFC 6891 §6.1.2).
pub const OPTION_HEAD_OCTETS: usize = 4;
/// Where the length of an OPT's data stands in it.
const RDLENGTH_OFFSET: usize = OPT_OCTETS - 2;
/// RD and CD: the only bits a reply takes from its query (RFC 1035 §4.1.1, RFC 4035 §3.2.2).
const COPIED_FLAGS: u16 = FLAG_RD | FLAG_CD;

/// The EDNS options that a client gets because its query asked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedOptions<'o> {
    /// Codes and values.
    pub values: ArrayVec<(u16, &'o [u8]), 3>,
    /// Whether its answer is padded to a block (RFC 7830).
    pub pads: bool,
}

impl AskedOptions<'_> {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && !self.pads
    }

    /// What they take in the OPT, padding aside.
    pub fn octets(&self) -> usize {
        self.values.iter().map(|(_, value)| OPTION_HEAD_OCTETS + value.len()).sum()
    }
}

/// What to say to a query.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'r> {
    /// Response code, 12 bits.
    pub rcode: u16,
    /// Answer and authority, with compression pointers that count from this query's question at offset 12.
    pub body: &'r [u8],
    /// Answer records in `body`.
    pub ancount: u16,
    /// Authority records in `body`.
    pub nscount: u16,
    /// Most octets the message may have: a `response_limit`, or at least 512.
    pub limit: usize,
    /// Extended DNS Errors: INFO-CODE and EXTRA-TEXT.
    pub ede: &'r [(u16, &'r str)],
    /// Other EDNS options; they stand before the errors.
    pub options: &'r [(u16, &'r [u8])],
    /// Whether the OPT ends with as many octets of padding as make whole blocks, or as there is room for.
    pub pads: bool,
    /// RA: we recurse.
    pub ra: bool,
    /// AA: we speak with authority (local names).
    pub aa: bool,
    /// AD: the records were validated by somebody we trust.
    pub ad: bool,
    /// TC: set even when everything fits.
    pub truncated: bool,
}

impl Default for Reply<'_> {
    /// NOERROR without records, RA set, at most 512 octets.
    fn default() -> Self {
        Reply {
            rcode: 0,
            body: &[],
            ancount: 0,
            nscount: 0,
            limit: 512,
            ede: &[],
            options: &[],
            pads: false,
            ra: true,
            aa: false,
            ad: false,
            truncated: false,
        }
    }
}

/// How much of an OPT's options is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortening {
    /// Everything, each text cut to [`EDE_TEXT_OCTETS_MAX`].
    Whole,
    /// All errors, their texts sharing this many octets.
    Cut(usize),
    /// Options but no errors.
    NoErrors,
    /// Nothing.
    Bare,
}

/// Write a whole reply to `query` into `out`, its question echoed octet for octet.
///
/// OPT, and with it `ede`, `options` and the upper bits of `rcode`, is sent only to a client that sent one
/// (RFC 6891 §6.1.1); without it an rcode over 15 becomes SERVFAIL.  Returns how many octets
/// of the body are in the message; it starts at `query.question_end`.
#[inline]
pub fn encode_response(query: &Query<'_>, reply: &Reply<'_>, out: &mut Vec<u8>) -> usize {
    let kept = encode_unpadded(query, reply, out);
    if reply.pads && query.has_opt {
        pad(query.question_end + kept, reply.limit, out);
    }
    kept
}

fn encode_unpadded(query: &Query<'_>, reply: &Reply<'_>, out: &mut Vec<u8>) -> usize {
    out.clear();
    let used = query.question_end + reply.body.len();
    let opt_octets = if query.has_opt { opt_length(reply.ede, reply.options) } else { 0 };
    if used + opt_octets > reply.limit {
        return encode_shortened(query, reply, out);
    }
    out.reserve(used + opt_octets);
    put_head(query, reply, (reply.ancount, reply.nscount), reply.truncated, out);
    out.extend_from_slice(reply.body);
    if query.has_opt {
        encode_opt(query.dnssec_ok, upper_bits(reply.rcode), reply.ede, reply.options, out);
    }
    reply.body.len()
}

/// Octets a reply may have: the client's payload size up to 1232, 512 without OPT, 65535 on a stream.
///
/// To ANY over a datagram at most one and a half times the query's.
#[inline]
pub fn response_limit(query: &Query<'_>, is_stream: bool) -> usize {
    if is_stream {
        return STREAM_OCTETS_MAX;
    }
    let limit = usize::from(query.payload_octets).min(UDP_PAYLOAD_OCTETS_MAX);
    if query.qtype == TYPE_ANY {
        return limit.min(query.octets.len() * ANY_GROWTH_HALVES / 2);
    }
    limit
}

/// Write a header-only reply to octets that are no query: ID, opcode and RD echoed, all else 0 but QR.
///
/// Octets under a header's 12 leave `out` empty: send nothing.
pub fn encode_malformed(octets: &[u8], rcode: u8, out: &mut Vec<u8>) {
    out.clear();
    if octets.len() >= 12 {
        let flags = [0x80 | octets[2] & 0x79, rcode & 0xF];
        out.extend_from_slice(&[octets[0], octets[1], flags[0], flags[1], 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}

/// Write a query for an upstream: RD=1, our payload size, and `question` (name, type and class) as given.
pub fn encode_question(id: u16, question: &[u8], dnssec_ok: bool, cd: bool, edns: bool, out: &mut Vec<u8>) {
    out.clear();
    out.reserve(12 + question.len() + OPT_OCTETS);
    let id = id.to_be_bytes();
    let copied = if cd { (FLAG_RD | FLAG_CD).to_be_bytes() } else { FLAG_RD.to_be_bytes() };
    out.extend_from_slice(&[id[0], id[1], copied[0], copied[1], 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    out.extend_from_slice(question);
    if edns {
        encode_opt(dnssec_ok, 0, &[], &[], out);
    }
}

/// Append our OPT record, version 0, of DO, the rcode's upper eight bits and options alone.
///
/// `options` stand before `ede`; each text is cut between characters to [`EDE_TEXT_OCTETS_MAX`].
#[inline]
pub fn encode_opt(
    dnssec_ok: bool,
    extended_rcode: u8,
    ede: &[(u16, &str)],
    options: &[(u16, &[u8])],
    out: &mut Vec<u8>,
) {
    let rdata_octets = opt_length(ede, options) - OPT_OCTETS;
    put_opt_head(dnssec_ok, extended_rcode, rdata_octets, out);
    for (code, value) in options {
        put_option_head(*code, value.len(), out);
        out.extend_from_slice(value);
    }
    for (code, text) in ede {
        put_ede(*code, cut_text(text, EDE_TEXT_OCTETS_MAX), out);
    }
}

/// The reply when the whole one is over its limit; the same result as [`encode_response`].
#[cold]
fn encode_shortened(query: &Query<'_>, reply: &Reply<'_>, out: &mut Vec<u8>) -> usize {
    let room = reply.limit.checked_sub(query.question_end + reply.body.len());
    if let Some(shortening) = room.and_then(|room| fullest(query, reply.ede, reply.options, room)) {
        put_head(query, reply, (reply.ancount, reply.nscount), reply.truncated, out);
        out.extend_from_slice(reply.body);
        put_opt(query, reply.rcode, reply.ede, reply.options, shortening, out);
        return reply.body.len();
    }
    let room = reply.limit.saturating_sub(query.question_end);
    let (kept, counts) = if reply.limit == STREAM_OCTETS_MAX {
        first_records(reply, room.saturating_sub(if query.has_opt { OPT_OCTETS } else { 0 }))
    } else {
        (&[][..], (0, 0))
    };
    put_head(query, reply, counts, true, out);
    out.extend_from_slice(kept);
    let shortening = fullest(query, &[], reply.options, room - kept.len()).unwrap_or(Shortening::Bare);
    put_opt(query, reply.rcode, &[], reply.options, shortening, out);
    kept.len()
}

/// Put a padding option (RFC 7830 §3) at the end of a message whose OPT is its last record, from `opt` on.
#[cold]
fn pad(opt: usize, limit: usize, out: &mut Vec<u8>) {
    let octets = out.len() + OPTION_HEAD_OCTETS;
    let Some(room) = limit.checked_sub(octets) else { return }; // Not even an empty one fits.
    let padding = (octets.next_multiple_of(PADDED_BLOCK_OCTETS) - octets).min(room);
    put_option_head(OPTION_PADDING, padding, out);
    out.resize(octets + padding, 0);
    put_rdlength(opt, out);
}

/// Say in the OPT that starts at `opt` and ends the message how long it is.
fn put_rdlength(opt: usize, out: &mut [u8]) {
    let rdata_octets = (out.len().saturating_sub(opt + OPT_OCTETS)) as u16;
    if let Some(place) = out.get_mut(opt + RDLENGTH_OFFSET..opt + OPT_OCTETS) {
        place.copy_from_slice(&rdata_octets.to_be_bytes());
    }
}

/// As many whole records of the body as fit `room`, and how many of them are answer and authority.
fn first_records<'r>(reply: &Reply<'r>, room: usize) -> (&'r [u8], (u16, u16)) {
    let body = reply.body;
    let record_end = |start: usize| -> Result<usize, WireError> {
        let at = skip_name(body, start)?;
        Ok(at + FIXED_OCTETS + read_fixed(body, at)?.rdlength)
    };
    let mut end = 0;
    let mut kept = 0;
    while kept < u32::from(reply.ancount) + u32::from(reply.nscount) {
        match record_end(end) {
            Ok(next) if next > room || next > body.len() => break,
            Ok(next) => end = next,
            Err(WireError) => return (&[], (0, 0)),
        }
        kept += 1;
    }
    let ancount = kept.min(u32::from(reply.ancount));
    // Neither is more than there are.
    (body.get(..end).unwrap_or_default(), (ancount as u16, (kept - ancount) as u16))
}

/// The fullest OPT that fits `room`: texts cut, then no texts, then no errors, then no options.
fn fullest(
    query: &Query<'_>,
    ede: &[(u16, &str)],
    options: &[(u16, &[u8])],
    room: usize,
) -> Option<Shortening> {
    if !query.has_opt || opt_length(ede, options) <= room {
        return Some(Shortening::Whole);
    }
    let without_errors = opt_length(&[], options);
    let without_texts = without_errors + EDE_OCTETS * ede.len();
    if !ede.is_empty() && without_texts <= room {
        return Some(Shortening::Cut(room - without_texts));
    }
    if without_errors <= room {
        return Some(Shortening::NoErrors);
    }
    (OPT_OCTETS <= room).then_some(Shortening::Bare)
}

fn put_opt(
    query: &Query<'_>,
    rcode: u16,
    ede: &[(u16, &str)],
    options: &[(u16, &[u8])],
    shortening: Shortening,
    out: &mut Vec<u8>,
) {
    if !query.has_opt {
        return;
    }
    let upper = upper_bits(rcode);
    match shortening {
        Shortening::Whole => encode_opt(query.dnssec_ok, upper, ede, options, out),
        Shortening::NoErrors => encode_opt(query.dnssec_ok, upper, &[], options, out),
        Shortening::Bare => encode_opt(query.dnssec_ok, upper, &[], &[], out),
        Shortening::Cut(mut spare) => {
            let start = out.len();
            encode_opt(query.dnssec_ok, upper, &[], options, out);
            for (code, text) in ede {
                let kept = cut_text(text, spare.min(EDE_TEXT_OCTETS_MAX));
                spare -= kept.len();
                put_ede(*code, kept, out);
            }
            put_rdlength(start, out);
        }
    }
}

/// Octets of an OPT that says everything.
#[inline]
fn opt_length(ede: &[(u16, &str)], options: &[(u16, &[u8])]) -> usize {
    let mut octets = OPT_OCTETS;
    for (_, value) in options {
        octets += OPTION_HEAD_OCTETS + value.len();
    }
    for (_, text) in ede {
        octets += EDE_OCTETS + cut_text(text, EDE_TEXT_OCTETS_MAX).len();
    }
    octets
}

/// The start of `text`, cut between characters to at most `octets_max` octets.
#[inline]
fn cut_text(text: &str, octets_max: usize) -> &str {
    if text.len() <= octets_max {
        return text;
    }
    let mut end = octets_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[inline]
fn upper_bits(rcode: u16) -> u8 {
    (rcode >> 4) as u8
}

#[inline]
fn put_head(query: &Query<'_>, reply: &Reply<'_>, counts: (u16, u16), truncated: bool, out: &mut Vec<u8>) {
    let rcode = if reply.rcode > 15 && !query.has_opt { RCODE_SERVFAIL } else { reply.rcode & 0xF };
    let flags = FLAG_QR
        | query.flags & COPIED_FLAGS
        | rcode
        | if reply.ra { FLAG_RA } else { 0 }
        | if reply.aa { FLAG_AA } else { 0 }
        | if reply.ad { FLAG_AD } else { 0 }
        | if truncated { FLAG_TC } else { 0 };
    // Why the question comes with the header's room: one copy instead of two.
    out.extend_from_slice(query.octets.get(..query.question_end).unwrap_or_default());
    let (ancount, nscount) = counts;
    if let Some(header) = out.get_mut(2..12) {
        let (flags, ancount, nscount) = (flags.to_be_bytes(), ancount.to_be_bytes(), nscount.to_be_bytes());
        header.copy_from_slice(&[
            flags[0],
            flags[1],
            0,
            1,
            ancount[0],
            ancount[1],
            nscount[0],
            nscount[1],
            0,
            u8::from(query.has_opt),
        ]);
    }
}

#[inline]
fn put_opt_head(dnssec_ok: bool, extended_rcode: u8, rdata_octets: usize, out: &mut Vec<u8>) {
    let payload = (UDP_PAYLOAD_OCTETS_MAX as u16).to_be_bytes();
    let length = (rdata_octets as u16).to_be_bytes();
    let dnssec_ok = u8::from(dnssec_ok) << 7;
    let (rtype, upper) = (TYPE_OPT as u8, extended_rcode);
    out.extend_from_slice(&[
        0, 0, rtype, payload[0], payload[1], upper, 0, dnssec_ok, 0, length[0], length[1],
    ]);
}

#[inline]
fn put_option_head(code: u16, octets: usize, out: &mut Vec<u8>) {
    let (code, length) = (code.to_be_bytes(), (octets as u16).to_be_bytes());
    out.extend_from_slice(&[code[0], code[1], length[0], length[1]]);
}

/// One Extended DNS Error option (RFC 8914 §2): INFO-CODE, then EXTRA-TEXT without a NUL.
#[inline]
fn put_ede(code: u16, text: &str, out: &mut Vec<u8>) {
    put_option_head(OPTION_EXTENDED_ERROR, 2 + text.len(), out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
