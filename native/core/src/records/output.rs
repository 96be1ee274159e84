//! Records -> what one reader of them gets: the octets, and how many records those are.
//!
//! Knows: which writer makes which format, which records a reader wants.  Does not know: how a record looks.

use super::dnstap::Dnstap;
use super::jsonl::Jsonl;
use super::lines::{LineFormat, Lines};
use super::shown::ShownClients;
use super::syslog::Syslog;
use super::taken::Records;
use super::writer::RecordWriter;

/// Octets of a usual record, for a first guess of the room that all need.
const RECORD_OCTETS: usize = 256;

/// What records become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of the log, of words.
    Text,
    /// Lines of the log, each an object.
    Json,
    /// Lines of their own, each an object.
    Jsonl,
    /// Frames of protocol buffers.
    Dnstap,
    /// Messages of RFC 5424, each behind its count of octets.
    Syslog,
}

impl Format {
    /// The format of this name; None: there is none.
    pub fn from_label(label: &str) -> Option<Format> {
        match label {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            "jsonl" => Some(Format::Jsonl),
            "dnstap" => Some(Format::Dnstap),
            "syslog" => Some(Format::Syslog),
            _ => None,
        }
    }
}

/// How one reader wants records.
pub struct Look {
    /// What they become.
    pub format: Format,
    /// How much of a client is shown.
    pub clients: ShownClients,
    /// Whether those are left out that no rule blocked, or would have.
    pub only_blocked: bool,
    /// What every record has in front, as its format puts it there.
    pub head: Vec<u8>,
}

impl Look {
    /// The octets, and of how many records, the first `records_max` at most; their time runs `offset_s` behind wall
    /// time.
    pub fn written(&self, records: &Records, offset_s: f64, records_max: usize) -> (Vec<u8>, usize) {
        let count_max = records.count(self.only_blocked).min(records_max);
        let mut out = Vec::with_capacity(count_max * RECORD_OCTETS);
        let (clients, head) = (&self.clients, &*self.head);
        let count = match self.format {
            Format::Text => {
                self.write_all(records, count_max, Lines::new(LineFormat::Text, clients, offset_s), &mut out)
            }
            Format::Json => {
                self.write_all(records, count_max, Lines::new(LineFormat::Json, clients, offset_s), &mut out)
            }
            Format::Jsonl => self.write_all(records, count_max, Jsonl::new(clients, offset_s), &mut out),
            Format::Dnstap => {
                self.write_all(records, count_max, Dnstap::new(clients, head, offset_s), &mut out)
            }
            Format::Syslog => {
                self.write_all(records, count_max, Syslog::new(clients, head, offset_s), &mut out)
            }
        };
        (out, count)
    }

    fn write_all(
        &self,
        records: &Records,
        count_max: usize,
        mut writer: impl RecordWriter,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut count = 0;
        for part in &records.parts {
            if count == count_max {
                break;
            }
            // Each kind's share of a record is made once for each part.
            let mut kind_parts: Vec<Option<Vec<u8>>> = vec![None; part.kinds.len()];
            part.each(|record| {
                let (Some(kind), Some(kept)) = (part.kinds.get(record.kind), kind_parts.get_mut(record.kind))
                else {
                    return;
                };
                if count == count_max || (self.only_blocked && !kind.has_hit()) {
                    return;
                }
                let kind_part = &*kept.get_or_insert_with(|| writer.kind_part(kind));
                writer.write(&record, kind, kind_part, out);
                count += 1;
            });
        }
        count
    }
}
