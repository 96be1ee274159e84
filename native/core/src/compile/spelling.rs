//! One plain line of a list -> its names, in the formats whose lines stand for themselves.
//!
//! Knows: the common spellings of `domains`, `hosts`, `wildcard`, `adblock`, `dnsmasq`.  Does not know: any
//! odd line; those are told apart and left to the full reader, whose reading of plain ones this is.

use super::batch::NameBatch;

/// Longest line looked at; the full reader refuses some longer ones, with reasons.
const LINE_OCTETS_MAX: usize = 4096;
/// Addresses that make a line of a hosts file a block.
const NOBODY: [&[u8]; 4] = [b"0.0.0.0", b"127.0.0.1", b"::1", b"::"];
/// What stands behind the names of a dnsmasq line that blocks.
const TARGETS: [&[u8]; 6] = [b"", b"0.0.0.0", b"127.0.0.1", b"::", b"::1", b"#"];

/// The format of a list, as far as one line is understood without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// One name a line; `*.` or a dot before it changes nothing.
    Domains,
    /// An address and names.
    Hosts,
    /// One name a line behind `*.` or a dot.
    Wildcard,
    /// Blockers' filters, `||name^` of them.
    Adblock,
    /// Directives `address`, `server`, `local`.
    Dnsmasq,
}

impl Spelling {
    /// The spelling of this format; `None`: there is none for it.
    #[must_use]
    pub fn of(format: &str) -> Option<Self> {
        Some(match format {
            "domains" => Self::Domains,
            "hosts" => Self::Hosts,
            "wildcard" => Self::Wildcard,
            "adblock" => Self::Adblock,
            "dnsmasq" => Self::Dnsmasq,
            _ => return None,
        })
    }

    /// Add the names of a line; `false`: it is odd, and `names` may hold some of it.
    pub(super) fn take_line(self, line: &[u8], names: &mut NameBatch) -> bool {
        match self {
            Self::Domains => take_domain(line, names).is_some(),
            Self::Hosts => take_hosts(line, names).is_some(),
            Self::Wildcard => take_wildcard(line, names).is_some(),
            Self::Adblock => take_adblock(line, names).is_some(),
            Self::Dnsmasq => take_dnsmasq(line, names).is_some(),
        }
    }
}

/// The line behind its leading space; `None`: nothing but space, or a comment, is on it.
fn said(line: &[u8]) -> Option<&[u8]> {
    let rest = skip_space(line);
    (!rest.is_empty() && rest[0] != b'#').then_some(rest)
}

fn skip_space(text: &[u8]) -> &[u8] {
    let space = text.iter().take_while(|&&octet| matches!(octet, b' ' | b'\t' | b'\r')).count();
    text.get(space..).unwrap_or_default()
}

/// Whether nothing that counts follows: space, then perhaps a comment.
fn is_end(rest: &[u8]) -> bool {
    rest.is_empty() || said(rest).is_none()
}

fn take_domain(line: &[u8], names: &mut NameBatch) -> Option<()> {
    let Some(text) = said(line) else { return Some(()) };
    let name = behind_sign(text).unwrap_or(text);
    let length = names.take_text(name, true)?;
    is_end(name.get(length..)?).then_some(())
}

/// What stands behind the sign for "and all below it", if there is one.
fn behind_sign(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"*.").or_else(|| text.strip_prefix(b"."))
}

fn take_wildcard(line: &[u8], names: &mut NameBatch) -> Option<()> {
    let Some(text) = said(line) else { return Some(()) };
    let name = behind_sign(text)?;
    let length = names.take_text(name, true)?;
    is_end(name.get(length..)?).then_some(())
}

fn take_hosts(line: &[u8], names: &mut NameBatch) -> Option<()> {
    let Some(text) = said(line) else { return Some(()) };
    let mut rest = NOBODY.iter().find_map(|address| text.strip_prefix(*address))?;
    if text.len() > LINE_OCTETS_MAX {
        return None;
    }
    let before = names.len();
    loop {
        let word = skip_space(rest);
        if word.is_empty() || word[0] == b'#' {
            // An address alone is a bad line.
            return (names.len() > before).then_some(());
        }
        // Behind the address, and behind each name, stands space.
        if word.len() == rest.len() || is_own_name(word) {
            return None;
        }
        rest = word.get(names.take_text(word, true)?..)?;
    }
}

/// Whether a name that hosts files hold for the machine's own sake may begin here (others have one label).
fn is_own_name(word: &[u8]) -> bool {
    const OWN: &[u8] = b"localhost.";
    word.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN))
}

fn take_adblock(line: &[u8], names: &mut NameBatch) -> Option<()> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line[0] == b'!' {
        return Some(());
    }
    let name = line.strip_prefix(b"||")?;
    let length = names.take_text(name, true)?;
    (name.get(length..) == Some(b"^")).then_some(())
}

fn take_dnsmasq(line: &[u8], names: &mut NameBatch) -> Option<()> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(text) = said(line) else {
        return (line.len() <= LINE_OCTETS_MAX && line.is_ascii()).then_some(());
    };
    let key = text.iter().position(|&octet| octet == b'=')?;
    let name = text.get(key..)?.strip_prefix(b"=/")?;
    let key = text.get(..key)?;
    let is_address = key == b"address";
    if text.len() < line.len() || !(is_address || key == b"server" || key == b"local") {
        return None;
    }
    let length = names.take_text(name, false)?;
    let target = name.get(length..)?.strip_prefix(b"/")?;
    // Of `server` and `local` a target makes an exception.
    (target.is_empty() || (is_address && TARGETS.contains(&target))).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a line as text; `None`: odd.
    fn read(spelling: Spelling, line: &[u8]) -> Option<Vec<String>> {
        let mut names = NameBatch::default();
        spelling.take_line(line, &mut names).then(|| names.iter().map(text_of).collect())
    }

    fn text_of(name: &[u8]) -> String {
        let mut labels = Vec::new();
        let mut rest = name;
        while rest[0] > 0 {
            let (label, behind) = rest[1..].split_at(usize::from(rest[0]));
            labels.push(String::from_utf8(label.to_vec()).unwrap());
            rest = behind;
        }
        labels.join(".")
    }

    #[track_caller]
    fn check(spelling: Spelling, plain: &[(&[u8], &[&str])], odd: &[&[u8]]) {
        for (line, names) in plain {
            let wanted: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(read(spelling, line), Some(wanted), "{:?}", String::from_utf8_lossy(line));
        }
        for line in odd {
            assert_eq!(read(spelling, line), None, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn domains() {
        check(
            Spelling::Domains,
            &[
                (b"ads.example", &["ads.example"]),
                (b" \tAds.Example. \t# why", &["ads.example"]),
                (b"ads.example#why", &["ads.example"]),
                (b"ads.example\r", &["ads.example"]),
                (b"*.ads.example", &["ads.example"]),
                (b".ads.example. # why", &["ads.example"]),
                (b"# \xff", &[]),
                (b"\r", &[]),
                (b"", &[]),
            ],
            &[
                b"two words.example",
                b"a.example b.example",
                b"*.*.a.example",
                b"..a.example",
                b"*.com",
                b"*.",
                b"com",
                b"a.example\x0b",
                b"b\xc3\xbc.example",
                b"1.2",
            ],
        );
    }

    #[test]
    fn wildcard() {
        check(
            Spelling::Wildcard,
            &[(b"*.ads.example", &["ads.example"]), (b".ads.example. # x", &["ads.example"]), (b"#", &[])],
            &[b"ads.example", b"*.*.example", b"**.example", b"*.com", b"*. a.example", b"..a.example"],
        );
    }

    #[test]
    fn hosts() {
        check(
            Spelling::Hosts,
            &[
                (b"0.0.0.0 ads.example", &["ads.example"]),
                (b"127.0.0.1\ta.example  b.example # c", &["a.example", "b.example"]),
                (b"::1 a.example\r", &["a.example"]),
                (b":: a.example.#x", &["a.example"]),
                (b"0.0.0.0\ra.example\rb.example", &["a.example", "b.example"]),
                (b"# 0.0.0.0", &[]),
            ],
            &[
                b"0.0.0.0",
                b"0.0.0.0a.example",
                b"0.0.0.00 a.example",
                b"0.0.0.0 localhost.localdomain",
                b"0.0.0.0 LOCALHOST.localdomain.x",
                b"0.0.0.0 a.example localhost",
                b"192.0.2.1 a.example",
                b"::2 a.example",
                b"0.0.0.0 a.example/x",
                b"a.example",
            ],
        );
    }

    #[test]
    fn adblock() {
        check(
            Spelling::Adblock,
            &[
                (b"||Ads.Example^", &["ads.example"]),
                (b"||a.example^\r", &["a.example"]),
                (b"||a.example.^", &["a.example"]),
                (b"! \xff", &[]),
                (b"", &[]),
            ],
            &[
                b"||a.example",
                b"||a.example^$third-party",
                b"@@||a.example^",
                b"|a.example^",
                b"||a.example..^",
                b"a.example",
                b"##x",
                b" ||a.example^",
            ],
        );
    }

    #[test]
    fn dnsmasq() {
        check(
            Spelling::Dnsmasq,
            &[
                (b"address=/a.example/", &["a.example"]),
                (b"address=/A.example/0.0.0.0\r", &["a.example"]),
                (b"address=/a.example/#", &["a.example"]),
                (b"server=/a.example/", &["a.example"]),
                (b"local=/a.example/", &["a.example"]),
                (b" # comment", &[]),
            ],
            &[
                b"server=/a.example/#",
                b"address=/a.example/192.0.2.7",
                b"address=/a.example/b.example/",
                b"address=/a.example",
                b"address=/a.example./",
                b"ADDRESS=/a.example/",
                b"address =/a.example/",
                b" address=/a.example/",
                b"port=53",
                b"# \xff",
            ],
        );
    }
}
