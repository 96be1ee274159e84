//! The lines of the query log, in text and in JSON.
//!
//! Knows: how a line looks.  Does not know: who writes it, and where.
//! The mirror of Python's `observe.log` and `observe.query_log`: the same records give the same octets.
//! No octet of a query breaks a line: names are written with RFC 1035's escapes, and all else is a label.

use std::io::Write;

use super::kind::Kind;
use super::moment::Moments;
use super::shown::{write_name, ShownClients};
use super::taken::Record;
use super::writer::RecordWriter;
use crate::wire::numbers::{qtype_label, OTHER_LABEL};
use crate::wire::query::parse_query;

/// Of one value; a domain name is at most 1,004 characters with every octet escaped.
const VALUE_CHARACTERS_MAX: usize = 1000;

/// What stands at the end of a value that was cut: as UTF-8, and as JSON.
const CUT: [&[u8]; 2] = ["…".as_bytes(), b"\\u2026"];

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// `2026-01-01T00:00:00.000Z info query transport=udp ...`
    Text,
    /// One object for each line.
    Json,
}

/// Makes lines of records.
pub struct Lines<'l> {
    format: LineFormat,
    clients: &'l ShownClients,
    /// Wall time less monotonic time, seconds.
    offset_s: f64,
    moments: Moments,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl<'l> Lines<'l> {
    /// Lines of this look, of records whose time runs `offset_s` behind wall time.
    pub fn new(format: LineFormat, clients: &'l ShownClients, offset_s: f64) -> Lines<'l> {
        Lines { format, clients, offset_s, moments: Moments::new(), name: Vec::new(), value: Vec::new() }
    }
}

impl RecordWriter for Lines<'_> {
    /// What stands behind the question.
    fn kind_part(&mut self, kind: &Kind) -> Vec<u8> {
        let mut end = Vec::new();
        for (name, label) in kind.fields() {
            self.field(&name, label.as_bytes(), &mut end);
        }
        end.extend_from_slice(if self.format == LineFormat::Json { b"}\n" } else { b"\n" });
        end
    }

    fn write(&mut self, record: &Record, kind: &Kind, end: &[u8], out: &mut Vec<u8>) {
        let at = record.at + self.offset_s;
        match self.format {
            LineFormat::Text => {
                self.moments.write(at, out);
                out.extend_from_slice(b" info query");
            }
            LineFormat::Json => {
                out.extend_from_slice(b"{\"time\": \"");
                self.moments.write(at, out);
                out.extend_from_slice(b"\", \"level\": \"info\", \"event\": \"query\"");
            }
        }
        if let Some(shown) = self.clients.text(record.address) {
            self.field("client", shown.as_bytes(), out);
        }
        self.field("transport", kind.transport.as_bytes(), out);
        match parse_query(record.octets) {
            Err(malformed) => self.field("malformed", malformed.reason.label().as_bytes(), out),
            Ok(query) => {
                let mut name = std::mem::take(&mut self.name);
                name.clear();
                write_name(&query.qname, &mut name);
                self.field("qname", &name, out);
                self.name = name;
                match qtype_label(query.qtype) {
                    OTHER_LABEL => self.field("qtype", format!("TYPE{}", query.qtype).as_bytes(), out),
                    label => self.field("qtype", label.as_bytes(), out),
                }
            }
        }
        out.extend_from_slice(end);
    }
}

impl Lines<'_> {
    /// Append a field; `value` is printable ASCII, as names and labels are.
    fn field(&mut self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        let is_json = self.format == LineFormat::Json;
        let _ = if is_json { write!(out, ", \"{name}\": ") } else { write!(out, " {name}=") };
        self.value.clear();
        let cut = if value.len() > VALUE_CHARACTERS_MAX { VALUE_CHARACTERS_MAX - 1 } else { value.len() };
        for &octet in &value[..cut] {
            if octet == b'\\' {
                self.value.push(b'\\');
            }
            self.value.push(octet);
        }
        let is_quoted = is_json || self.value.is_empty() || self.value.iter().any(|o| b" \"=".contains(o));
        if is_quoted {
            out.push(b'"');
        }
        for &octet in &self.value {
            if octet == b'"' || (is_json && octet == b'\\') {
                out.push(b'\\');
            }
            out.push(octet);
        }
        if cut < value.len() {
            out.extend_from_slice(CUT[usize::from(is_json)]);
        }
        if is_quoted {
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ring, Ended, Format, HitLabels, Look, Records, Source};
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const HEADER: &[u8] = b"\xbe\xef\x01\0\0\x01\0\0\0\0\0\0";

    fn blocked() -> Kind {
        let hit = |kind, label: &str| Some(HitLabels { kind, label: label.to_owned(), action: "nxdomain" });
        Kind {
            transport: "udp",
            rcode: Some("NXDOMAIN"),
            source: Some("policy"),
            reason: None,
            enforced: hit("exchange", "acme"),
            shadow: hit("list", "ads"),
        }
    }

    fn line(
        format: LineFormat,
        clients: ShownClients,
        kind: Kind,
        address: IpAddr,
        question: &[u8],
    ) -> String {
        let (mut producer, consumer) = ring(1 << 16);
        let octets = [HEADER, question].concat();
        producer.put(&Ended {
            kind: 0,
            has_hit: true,
            address,
            name: "",
            at: 1.25,
            octets: &octets,
            why: &[],
            answer: None,
        });
        let part = Source::new(consumer).take(|_| vec![kind]).unwrap();
        let records = Records { parts: vec![part] };
        let format = if format == LineFormat::Text { Format::Text } else { Format::Json };
        let look = Look { format, clients, only_blocked: false, head: Vec::new() };
        String::from_utf8(look.written(&records, 100.0, usize::MAX).0).unwrap()
    }

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 3));
    const WWW: &[u8] = b"\x03wWw\x04acme\0\0\x01\0\x01";

    #[test]
    fn a_line_says_what_was_asked_and_what_was_done() {
        assert_eq!(
            line(LineFormat::Text, ShownClients::Full, blocked(), V4, WWW),
            "1970-01-01T00:01:41.250Z info query client=192.0.2.77 transport=udp qname=www.acme qtype=A \
             rcode=NXDOMAIN source=policy exchange=acme action=nxdomain shadow_list=ads shadow_action=nxdomain\n"
        );
        assert_eq!(
            line(LineFormat::Json, ShownClients::Network, blocked(), V6, WWW),
            "{\"time\": \"1970-01-01T00:01:41.250Z\", \"level\": \"info\", \"event\": \"query\", \
             \"client\": \"2001:db8:1::/48\", \"transport\": \"udp\", \"qname\": \"www.acme\", \"qtype\": \"A\", \
             \"rcode\": \"NXDOMAIN\", \"source\": \"policy\", \"exchange\": \"acme\", \"action\": \"nxdomain\", \
             \"shadow_list\": \"ads\", \"shadow_action\": \"nxdomain\"}\n"
        );
    }

    #[test]
    fn a_hidden_client_is_in_no_line() {
        for format in [LineFormat::Text, LineFormat::Json] {
            let line = line(format, ShownClients::Hidden, blocked(), V4, WWW);
            assert!(!line.contains("192.0.2") && !line.contains("client"), "{line}");
        }
    }

    #[test]
    fn hostile_octets_stay_on_one_line_of_printable_characters() {
        let question = b"\x06a\n\"=\\ \x01\xff\0\x12\x34\0\x01";
        let text = line(LineFormat::Text, ShownClients::Hidden, blocked(), V4, question);
        assert!(text.contains(r#" qname="a\\010\\\"\\=\\\\\\032.\\255" qtype=TYPE4660 "#), "{text}");
        let json = line(LineFormat::Json, ShownClients::Hidden, blocked(), V4, question);
        assert!(json.contains(r#""qname": "a\\\\010\\\\\"\\\\=\\\\\\\\\\\\032.\\\\255""#), "{json}");
        let longest =
            [&[63; 1][..], &[1; 63], &[63], &[1; 63], &[63], &[1; 63], &[61], &[1; 61], &[0], &[0, 1, 0, 1]];
        let text = line(LineFormat::Text, ShownClients::Hidden, blocked(), V4, &longest.concat());
        assert!(text.contains('…') && text.matches('\n').count() == 1, "{text}");
    }

    #[test]
    fn what_is_no_query_and_what_is_dropped_say_so() {
        let kind = Kind {
            rcode: None,
            source: None,
            reason: Some("short"),
            enforced: None,
            shadow: None,
            ..blocked()
        };
        let text = line(LineFormat::Text, ShownClients::Hidden, kind, V4, b"\x01");
        assert!(text.ends_with("info query transport=udp malformed=name dropped=short\n"), "{text}");
    }
}
