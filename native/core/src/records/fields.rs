//! What a record says, field by field, as an object's members or a syslog element's parameters.
//!
//! Knows: which fields there are and in which order, how both spellings escape.  Does not know: what stands
//! around them.  The mirror of Python's `sinks.fields`: the same records give the same octets.

use std::io::Write;

use super::kind::Kind;
use super::shown::{write_name, ShownClients};
use super::taken::Record;
use super::why::Why;
use crate::verdict::RuleForm;
use crate::wire::numbers::{qtype_label, OTHER_LABEL};
use crate::wire::options::error_codes;
use crate::wire::query::{Malformed, Query};

/// How fields are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `,"name":"value"`
    Member,
    /// ` name="value"`
    Parameter,
}

/// Appends fields.
pub struct Fields {
    spelling: Spelling,
    name: Vec<u8>,
}

impl Fields {
    /// In one spelling.
    pub fn new(spelling: Spelling) -> Fields {
        Fields { spelling, name: Vec::new() }
    }

    /// One text; it is printable ASCII, as names and labels are.
    pub fn text(&self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        self.begin(name, out);
        out.push(b'"');
        for &octet in value {
            // RFC 8259 §7; RFC 5424 §6.3.3.
            if octet == b'"' || octet == b'\\' || (octet == b']' && self.spelling == Spelling::Parameter) {
                out.push(b'\\');
            }
            out.push(octet);
        }
        out.push(b'"');
    }

    /// Numbers.
    pub fn codes(&self, name: &str, codes: &[u16], out: &mut Vec<u8>) {
        let [open, close] = if self.spelling == Spelling::Member { *b"[]" } else { *b"\"\"" };
        self.begin(name, out);
        out.push(open);
        for (number, code) in codes.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(out, "{comma}{code}");
        }
        out.push(close);
    }

    fn begin(&self, name: &str, out: &mut Vec<u8>) {
        let _ = match self.spelling {
            Spelling::Member => write!(out, ",\"{name}\":"),
            Spelling::Parameter => write!(out, " {name}="),
        };
    }

    /// What all records of a kind say.
    pub fn kind(&self, kind: &Kind, out: &mut Vec<u8>) {
        for (name, label) in kind.fields() {
            self.text(&name, label.as_bytes(), out);
        }
    }

    /// Who asked what.
    pub fn question(
        &mut self,
        record: &Record,
        kind: &Kind,
        query: &Result<Query, Malformed>,
        clients: &ShownClients,
        out: &mut Vec<u8>,
    ) {
        if let Some(shown) = clients.text(record.address) {
            self.text("client", shown.as_bytes(), out);
        }
        if let Some(name) = clients.name(record.name) {
            self.text("client_name", name.as_bytes(), out);
        }
        self.text("transport", kind.transport.as_bytes(), out);
        match query {
            Err(malformed) => self.text("malformed", malformed.reason.label().as_bytes(), out),
            Ok(query) => {
                self.name_field("qname", b"", &query.qname, out);
                self.text("qtype", type_text(query.qtype).as_bytes(), out);
            }
        }
    }

    /// Which rule spoke of what, and which errors the answer tells.
    pub fn reason(&mut self, record: &Record, query: &Result<Query, Malformed>, out: &mut Vec<u8>) {
        let why = query.as_ref().ok().and_then(|query| Why::read(record.why, &query.qname));
        match &why {
            Some(Why::Name { form, owner, .. }) => self.name_field("rule", mark_of(*form), owner, out),
            Some(Why::Address { network: Some((first, bits)), .. }) => {
                self.text("rule", format!("{first}/{bits}").as_bytes(), out);
            }
            Some(Why::Address { network: None, .. }) | None => {}
        }
        if let Some(why) = &why {
            self.text("match", why.matched().label().as_bytes(), out);
        }
        match &why {
            Some(Why::Name { value, .. }) => self.name_field("value", b"", value, out),
            Some(Why::Address { value, .. }) => self.text("value", value.to_string().as_bytes(), out),
            None => {}
        }
        let codes = record.answer.map(error_codes).unwrap_or_default();
        if !codes.is_empty() {
            self.codes("ede", &codes, out);
        }
    }

    fn name_field(&mut self, field: &str, mark: &[u8], name: &[u8], out: &mut Vec<u8>) {
        let mut text = std::mem::take(&mut self.name);
        text.clear();
        let mut shown = Vec::new();
        write_name(name, &mut shown);
        text.extend_from_slice(mark);
        text.append(&mut shown);
        self.text(field, &text, out);
        self.name = text;
    }
}

/// What stands before a rule's name in blocklists.
fn mark_of(form: RuleForm) -> &'static [u8] {
    match form {
        RuleForm::Exact => b"=",
        RuleForm::Below => b"*.",
        RuleForm::Subtree => b"",
    }
}

/// A type's name, or its number (RFC 3597 §5).
pub fn type_text(qtype: u16) -> String {
    match qtype_label(qtype) {
        OTHER_LABEL => format!("TYPE{qtype}"),
        label => label.to_owned(),
    }
}
