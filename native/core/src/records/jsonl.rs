//! Records as lines of JSON.
//!
//! Knows: how a line begins and ends.  Does not know: the fields.  The mirror of Python's `sinks.jsonl`.

use super::fields::{Fields, Spelling};
use super::kind::Kind;
use super::moment::Moments;
use super::shown::ShownClients;
use super::taken::Record;
use super::writer::RecordWriter;
use crate::wire::query::parse_query;

/// Makes lines.
pub struct Jsonl<'l> {
    clients: &'l ShownClients,
    offset_s: f64,
    moments: Moments,
    fields: Fields,
}

impl<'l> Jsonl<'l> {
    /// Of records whose time runs `offset_s` behind wall time.
    pub fn new(clients: &'l ShownClients, offset_s: f64) -> Jsonl<'l> {
        Jsonl { clients, offset_s, moments: Moments::new(), fields: Fields::new(Spelling::Member) }
    }
}

impl RecordWriter for Jsonl<'_> {
    fn kind_part(&mut self, kind: &Kind) -> Vec<u8> {
        let mut part = Vec::new();
        self.fields.kind(kind, &mut part);
        part
    }

    fn write(&mut self, record: &Record, kind: &Kind, kind_part: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        self.moments.write(record.at + self.offset_s, out);
        out.push(b'"');
        let query = parse_query(record.octets);
        self.fields.question(record, kind, &query, self.clients, out);
        out.extend_from_slice(kind_part);
        self.fields.reason(record, &query, out);
        out.extend_from_slice(b"}\n");
    }
}
