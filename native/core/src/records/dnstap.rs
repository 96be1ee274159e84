//! Records as dnstap: protocol buffers of dnstap.proto, each in a data frame of Frame Streams.
//!
//! Knows: the messages' fields and numbers.  Does not know: handshakes, sockets.  The mirror of Python's
//! `sinks.dnstap`.
//!
//! An answer is a CLIENT_RESPONSE, its query within; what got no answer is a CLIENT_QUERY.  A record knows one
//! moment, when the query ended: it is the time of the answer, or of the query that was dropped.  Where clients are
//! not shown in full a query is its header, its question and an OPT without options (they hold clients' networks,
//! cookies, hardware addresses), and octets that are no query are left out.

use std::net::IpAddr;

use super::fields::{Fields, Spelling};
use super::kind::Kind;
use super::moment::split;
use super::shown::ShownClients;
use super::taken::Record;
use super::why::{Matched, Why};
use super::writer::RecordWriter;
use crate::wire::numbers::TYPE_OPT;
use crate::wire::options::error_codes;
use crate::wire::query::{parse_query, Malformed, Query};

/// Octets of a message's header.
const HEADER_OCTETS: usize = 12;

// Wire types of protocol buffers.
const VARINT: u64 = 0;
const OCTETS: u64 = 2;
const FIXED_32: u64 = 5;

// Fields of Dnstap.
const EXTRA: u64 = 3;
const MESSAGE: u64 = 14;
const TYPE: u64 = 15;
const TYPE_MESSAGE: u64 = 1;

// Fields of Message.
const MESSAGE_TYPE: u64 = 1;
const SOCKET_FAMILY: u64 = 2;
const SOCKET_PROTOCOL: u64 = 3;
const QUERY_ADDRESS: u64 = 4;
const QUERY_TIME_SEC: u64 = 8;
const QUERY_TIME_NSEC: u64 = 9;
const QUERY_MESSAGE: u64 = 10;
const RESPONSE_TIME_SEC: u64 = 12;
const RESPONSE_TIME_NSEC: u64 = 13;
const RESPONSE_MESSAGE: u64 = 14;
const POLICY: u64 = 15;
const HTTP_PROTOCOL: u64 = 16;
const CLIENT_QUERY: u64 = 5;
const CLIENT_RESPONSE: u64 = 6;

// Fields of Policy.
const POLICY_TYPE: u64 = 1;
const POLICY_RULE: u64 = 2;
const POLICY_ACTION: u64 = 3;
const POLICY_MATCH: u64 = 4;
const POLICY_VALUE: u64 = 5;

/// Makes frames.
pub struct Dnstap<'d> {
    clients: &'d ShownClients,
    /// Identity and version, as fields.
    head: &'d [u8],
    offset_s: f64,
    fields: Fields,
    payload: Vec<u8>,
    message: Vec<u8>,
    part: Vec<u8>,
    query: Vec<u8>,
}

impl<'d> Dnstap<'d> {
    /// Of records whose time runs `offset_s` behind wall time.
    pub fn new(clients: &'d ShownClients, head: &'d [u8], offset_s: f64) -> Dnstap<'d> {
        Dnstap {
            clients,
            head,
            offset_s,
            fields: Fields::new(Spelling::Member),
            payload: Vec::new(),
            message: Vec::new(),
            part: Vec::new(),
            query: Vec::new(),
        }
    }

    /// The query as it may be shown: whole, or without what tells of the client.
    fn take_query(&mut self, octets: &[u8], query: &Result<Query, Malformed>) {
        self.query.clear();
        if matches!(self.clients, ShownClients::Full) {
            self.query.extend_from_slice(octets);
        } else if let Ok(query) = query {
            put_bare_query(query, &mut self.query);
        }
    }

    fn put_message(&mut self, record: &Record, kind: &Kind, why: Option<&Why>) {
        let message = &mut self.message;
        message.clear();
        let message_type = if record.answer.is_some() { CLIENT_RESPONSE } else { CLIENT_QUERY };
        put_number(MESSAGE_TYPE, message_type, message);
        let shown = self.clients.address(record.address);
        let family = match shown.unwrap_or(record.address) {
            IpAddr::V4(_) => 1,
            IpAddr::V6(_) => 2,
        };
        put_number(SOCKET_FAMILY, family, message);
        let (protocol, http) = protocol_of(kind.transport);
        if protocol != 0 {
            put_number(SOCKET_PROTOCOL, protocol, message);
        }
        match shown {
            Some(IpAddr::V4(address)) => put_octets(QUERY_ADDRESS, &address.octets(), message),
            Some(IpAddr::V6(address)) => put_octets(QUERY_ADDRESS, &address.octets(), message),
            None => {}
        }
        let (second, micros) = split(record.at + self.offset_s);
        let (second, nanos) = (second.max(0) as u64, micros * 1000);
        if record.answer.is_none() {
            put_number(QUERY_TIME_SEC, second, message);
            put_fixed(QUERY_TIME_NSEC, nanos, message);
        }
        if !self.query.is_empty() {
            put_octets(QUERY_MESSAGE, &self.query, message);
        }
        if let Some(answer) = record.answer {
            put_number(RESPONSE_TIME_SEC, second, message);
            put_fixed(RESPONSE_TIME_NSEC, nanos, message);
            put_octets(RESPONSE_MESSAGE, answer, message);
        }
        if let Some(enforced) = &kind.enforced {
            self.part.clear();
            put_octets(POLICY_TYPE, enforced.kind.as_bytes(), &mut self.part);
            put_policy(enforced.action, kind.rcode, why, &mut self.part);
            put_octets(POLICY, &self.part, message);
        }
        if http != 0 {
            put_number(HTTP_PROTOCOL, http, message);
        }
    }
}

impl RecordWriter for Dnstap<'_> {
    /// The members of `extra`, but for the errors.
    fn kind_part(&mut self, kind: &Kind) -> Vec<u8> {
        let mut part = Vec::new();
        self.fields.kind(kind, &mut part);
        // In place of the first comma.
        if let Some(first) = part.first_mut() {
            *first = b'{';
        }
        part
    }

    fn write(&mut self, record: &Record, kind: &Kind, kind_part: &[u8], out: &mut Vec<u8>) {
        let query = parse_query(record.octets);
        let why = query.as_ref().ok().and_then(|query| Why::read(record.why, &query.qname));
        self.take_query(record.octets, &query);
        self.put_message(record, kind, why.as_ref());
        self.part.clear();
        self.part.extend_from_slice(kind_part);
        let codes = record.answer.map(error_codes).unwrap_or_default();
        if !codes.is_empty() {
            self.fields.codes("ede", &codes, &mut self.part);
        }
        self.part.push(b'}');
        let payload = &mut self.payload;
        payload.clear();
        payload.extend_from_slice(self.head);
        put_octets(EXTRA, &self.part, payload);
        put_octets(MESSAGE, &self.message, payload);
        put_number(TYPE, TYPE_MESSAGE, payload);
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        out.extend_from_slice(payload);
    }
}

/// Header, question and the fixed part of the OPT.
fn put_bare_query(query: &Query, out: &mut Vec<u8>) {
    out.extend_from_slice(query.octets.get(..4).unwrap_or_default());
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(query.has_opt)]);
    out.extend_from_slice(query.octets.get(HEADER_OCTETS..query.question_end).unwrap_or_default());
    if query.has_opt {
        let [high, low] = query.payload_octets.to_be_bytes();
        let dnssec_ok = u8::from(query.dnssec_ok) << 7;
        out.extend_from_slice(&[0, 0, TYPE_OPT as u8, high, low, 0, query.edns_version, dnssec_ok, 0, 0, 0]);
    }
}

/// The transport's number, and that of HTTP's version; 0: dnstap has none.
fn protocol_of(transport: &str) -> (u64, u64) {
    match transport {
        "udp" => (1, 0),
        "tcp" => (2, 0),
        "tls" => (3, 0),
        "https" => (4, 0),
        "h3" => (4, 3),
        "quic" => (7, 0),
        _ => (0, 0),
    }
}

fn put_policy(action: &str, rcode: Option<&str>, why: Option<&Why>, out: &mut Vec<u8>) {
    match why {
        Some(Why::Name { owner, .. }) => put_octets(POLICY_RULE, owner, out),
        Some(Why::Address { network: Some((first, bits)), .. }) => {
            put_octets(POLICY_RULE, format!("{first}/{bits}").as_bytes(), out);
        }
        _ => {}
    }
    let action = match action {
        // Where names below are not blocked the name exists (RFC 8020), and is denied type by type.
        "nxdomain" if rcode == Some("NXDOMAIN") => 1,
        "nxdomain" | "nodata" => 2,
        "drop" => 4,
        "tcp-only" => 5,
        "sinkhole" | "local-data" => 6,
        _ => 0,
    };
    if action != 0 {
        put_number(POLICY_ACTION, action, out);
    }
    match why {
        Some(Why::Name { matched: Matched::Qname | Matched::Chain, value, .. }) => {
            put_number(POLICY_MATCH, 1, out);
            put_octets(POLICY_VALUE, value, out);
        }
        Some(Why::Name { value, .. }) => put_octets(POLICY_VALUE, value, out),
        Some(Why::Address { value, .. }) => {
            put_number(POLICY_MATCH, 3, out);
            match value {
                IpAddr::V4(address) => put_octets(POLICY_VALUE, &address.octets(), out),
                IpAddr::V6(address) => put_octets(POLICY_VALUE, &address.octets(), out),
            }
        }
        None => {}
    }
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_number(field: u64, number: u64, out: &mut Vec<u8>) {
    put_varint(field << 3 | VARINT, out);
    put_varint(number, out);
}

fn put_fixed(field: u64, number: u32, out: &mut Vec<u8>) {
    put_varint(field << 3 | FIXED_32, out);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_octets(field: u64, octets: &[u8], out: &mut Vec<u8>) {
    put_varint(field << 3 | OCTETS, out);
    put_varint(octets.len() as u64, out);
    out.extend_from_slice(octets);
}
