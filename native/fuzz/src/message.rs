//! Reads messages for the checks, written anew so as to share no mistake with the core.
//!
//! Knows: RFC 1035 §4.1.  Does not know: the core.

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Expanded, lower case.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: u16,
    /// As sent.
    pub ttl_s: u32,
    /// Offset of its TTL.
    pub ttl_at: usize,
    /// As sent.
    pub rdata: Vec<u8>,
    /// 0: answer, 1: authority, 2: additional.
    pub section: usize,
}

/// A whole message with one question.
#[derive(Clone, Debug)]
pub struct Message {
    /// Second and third octet pair of the header.
    pub flags: u16,
    /// Lower case.
    pub qname: Vec<u8>,
    /// The type asked.
    pub qtype: u16,
    /// The class asked.
    pub qclass: u16,
    /// Offset behind the question.
    pub question_end: usize,
    /// All records in order.
    pub records: Vec<Record>,
}

impl Message {
    /// The header's four bits of response code.
    #[must_use]
    pub fn rcode(&self) -> u16 {
        self.flags & 15
    }

    /// Records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.section == 0)
    }
}

fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

/// The name at an offset, expanded and in lower case, and the offset behind it.
pub fn read_name(octets: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut end, mut floor) = (Vec::new(), at, None, at);
    loop {
        let length = usize::from(*octets.get(at)?);
        if length >= 0xC0 {
            let target = usize::from(word(octets, at)? & 0x3FFF);
            end = end.or(Some(at + 2));
            if target >= floor {
                return None;
            }
            (at, floor) = (target, target);
            continue;
        }
        if length >= 0x40 {
            return None;
        }
        name.extend_from_slice(octets.get(at..=at + length)?);
        at += 1 + length;
        if name.len() > 255 {
            return None;
        }
        if length == 0 {
            name.make_ascii_lowercase();
            return Some((name, end.unwrap_or(at)));
        }
    }
}

/// A message with exactly one question and nothing behind its last record; None: it is not whole.
#[must_use]
pub fn read(octets: &[u8]) -> Option<Message> {
    if word(octets, 4)? != 1 {
        return None;
    }
    let (qname, name_end) = read_name(octets, 12)?;
    let question_end = name_end + 4;
    let mut at = question_end;
    let mut records = Vec::new();
    for section in 0..3 {
        for _ in 0..word(octets, 6 + 2 * section)? {
            let (owner, fixed) = read_name(octets, at)?;
            let ttl = octets.get(fixed + 4..fixed + 8)?;
            let rdata_at = fixed + 10;
            at = rdata_at + usize::from(word(octets, fixed + 8)?);
            records.push(Record {
                owner,
                rtype: word(octets, fixed)?,
                ttl_s: u32::from_be_bytes(ttl.try_into().ok()?),
                ttl_at: fixed + 4,
                rdata: octets.get(rdata_at..at)?.to_vec(),
                section,
            });
        }
    }
    let (qtype, qclass) = (word(octets, name_end)?, word(octets, name_end + 2)?);
    let message = Message { flags: word(octets, 2)?, qname, qtype, qclass, question_end, records };
    (at == octets.len()).then_some(message)
}

/// A query: RD=1, with an OPT if `edns`.
#[must_use]
pub fn query(id: u16, qname: &[u8], qtype: u16, edns: bool, dnssec_ok: bool) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    octets.extend_from_slice(qname);
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    if edns {
        octets.extend_from_slice(&[0, 0, 41, 4, 0xD0, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    }
    octets
}

/// Whether a name is another one or below it.
#[must_use]
pub fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    let mut rest = name;
    while let Some(&length) = rest.first() {
        if rest == ancestor {
            return true;
        }
        rest = rest.get(usize::from(length) + 1..).unwrap_or_default();
    }
    false
}
