//! Records as messages of syslog (RFC 5424), each behind its count of octets (RFC 6587 §3.4.1).
//!
//! Knows: how a message is put together.  Does not know: the fields, transports.  The mirror of Python's
//! `sinks.syslog`.

use super::fields::{type_text, Fields, Spelling};
use super::kind::Kind;
use super::moment::Moments;
use super::shown::{write_name, ShownClients};
use super::taken::Record;
use super::writer::RecordWriter;
use crate::wire::query::parse_query;

/// Facility daemon (3), severity informational (6), and the version (RFC 5424 §6.2.1, §6.2.2).
const PRIORITY: &str = "<30>1 ";

/// Makes messages.
pub struct Syslog<'s> {
    clients: &'s ShownClients,
    /// From the host name to the element's name.
    head: &'s [u8],
    offset_s: f64,
    moments: Moments,
    fields: Fields,
    message: Vec<u8>,
}

impl<'s> Syslog<'s> {
    /// Of records whose time runs `offset_s` behind wall time.
    pub fn new(clients: &'s ShownClients, head: &'s [u8], offset_s: f64) -> Syslog<'s> {
        let fields = Fields::new(Spelling::Parameter);
        Syslog { clients, head, offset_s, moments: Moments::new(), fields, message: Vec::new() }
    }
}

impl RecordWriter for Syslog<'_> {
    fn kind_part(&mut self, kind: &Kind) -> Vec<u8> {
        let mut part = Vec::new();
        self.fields.kind(kind, &mut part);
        part
    }

    fn write(&mut self, record: &Record, kind: &Kind, kind_part: &[u8], out: &mut Vec<u8>) {
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        message.extend_from_slice(PRIORITY.as_bytes());
        self.moments.write(record.at + self.offset_s, &mut message);
        message.push(b' ');
        message.extend_from_slice(self.head);
        let query = parse_query(record.octets);
        self.fields.question(record, kind, &query, self.clients, &mut message);
        message.extend_from_slice(kind_part);
        self.fields.reason(record, &query, &mut message);
        message.extend_from_slice(b"] ");
        if let Ok(query) = &query {
            let mut name = Vec::new();
            write_name(&query.qname, &mut name);
            message.extend_from_slice(&name);
            message.push(b' ');
            message.extend_from_slice(type_text(query.qtype).as_bytes());
            message.push(b' ');
        }
        message.extend_from_slice(kind.rcode.or(kind.reason).unwrap_or_default().as_bytes());
        out.extend_from_slice(message.len().to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&message);
        self.message = message;
    }
}
