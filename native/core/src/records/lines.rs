//! The lines of the query log, in text and in JSON.
//!
//! Knows: how a line looks, how much of a client is shown.  Does not know: who writes it, and where.
//! The mirror of Python's `observe.log` and `observe.query_log`: the same records give the same octets.
//! No octet of a query breaks a line: names are written with RFC 1035's escapes, and all else is a label.

use std::io::Write;
use std::net::IpAddr;

use super::kind::Kind;
use super::moment::Moments;
use super::taken::{Part, Record, Records};
use crate::wire::numbers::{qtype_label, OTHER_LABEL};
use crate::wire::query::parse_query;

/// Of one value; a domain name is at most 1,004 characters with every octet escaped.
const VALUE_CHARACTERS_MAX: usize = 1000;

/// What stands at the end of a value that was cut: as UTF-8, and as JSON.
const CUT: [&[u8]; 2] = ["…".as_bytes(), b"\\u2026"];

/// How much of an address a network is: a site, not a person.
const IPV4_NETWORK_BITS: u32 = 24;
const IPV6_NETWORK_BITS: u32 = 48;

/// Octets of a usual line, for a first guess of the room that lines need.
const LINE_OCTETS: usize = 200;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// `2026-01-01T00:00:00.000Z info query transport=udp ...`
    Text,
    /// One object for each line.
    Json,
}

/// How much of a client is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownClients {
    /// Nothing.
    Hidden,
    /// Its /24 or /48.
    Network,
    /// The whole address.
    Full,
}

/// Makes lines of records.
pub struct Lines {
    format: LineFormat,
    clients: ShownClients,
    /// Wall time less monotonic time, seconds.
    offset_s: f64,
    moments: Moments,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Lines {
    /// Lines of this look, of records whose time runs `offset_s` behind wall time.
    pub fn new(format: LineFormat, clients: ShownClients, offset_s: f64) -> Lines {
        Lines { format, clients, offset_s, moments: Moments::new(), name: Vec::new(), value: Vec::new() }
    }

    /// One line for each record.
    pub fn of(&mut self, records: &Records) -> Vec<u8> {
        let mut out = Vec::with_capacity(records.count() * LINE_OCTETS);
        for part in &records.parts {
            self.write_part(part, &mut out);
        }
        out
    }

    fn write_part(&mut self, part: &Part, out: &mut Vec<u8>) {
        // Each kind's share of a line is written once for each part.
        let mut ends: Vec<Option<Vec<u8>>> = vec![None; part.kinds.len()];
        part.each(|record| {
            let (Some(kind), Some(end)) = (part.kinds.get(record.kind), ends.get_mut(record.kind)) else {
                return;
            };
            let end = &*end.get_or_insert_with(|| self.end(kind));
            self.write_line(&record, kind, end, out);
        });
    }

    /// What stands behind the question.
    fn end(&mut self, kind: &Kind) -> Vec<u8> {
        let mut end = Vec::new();
        for (name, label) in kind.fields() {
            self.field(&name, label.as_bytes(), &mut end);
        }
        end.extend_from_slice(if self.format == LineFormat::Json { b"}\n" } else { b"\n" });
        end
    }

    fn write_line(&mut self, record: &Record, kind: &Kind, end: &[u8], out: &mut Vec<u8>) {
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
        if self.clients != ShownClients::Hidden {
            let shown = shown_client(record.address, self.clients == ShownClients::Full);
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

/// An address, or its network only.
fn shown_client(address: IpAddr, is_full: bool) -> String {
    match address {
        _ if is_full => address.to_string(),
        IpAddr::V4(whole) => {
            let bits = u32::from(whole) & (u32::MAX << (32 - IPV4_NETWORK_BITS));
            format!("{}/{}", std::net::Ipv4Addr::from(bits), IPV4_NETWORK_BITS)
        }
        IpAddr::V6(whole) => {
            let bits = u128::from(whole) & (u128::MAX << (128 - IPV6_NETWORK_BITS));
            format!("{}/{}", std::net::Ipv6Addr::from(bits), IPV6_NETWORK_BITS)
        }
    }
}

/// Presentation text of a well-formed name: no last dot but for the root.
fn write_name(name: &[u8], out: &mut Vec<u8>) {
    let mut rest = name;
    while let Some((&length, behind)) = rest.split_first() {
        if length == 0 {
            break;
        }
        if !out.is_empty() {
            out.push(b'.');
        }
        let (label, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(octet),
                0x21..=0x7E => out.extend_from_slice(&[b'\\', octet]),
                _ => {
                    let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                    out.push(b'\\');
                    out.extend_from_slice(&digits);
                }
            }
        }
    }
    if out.is_empty() {
        out.push(b'.');
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ring, HitLabels, Source};
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

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
        producer.put(0, address, 1.25, &octets);
        let part = Source::new(consumer).take(|_| vec![kind]).unwrap();
        let records = Records { parts: vec![part] };
        String::from_utf8(Lines::new(format, clients, 100.0).of(&records)).unwrap()
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
