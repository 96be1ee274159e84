//! Watches the heads of HTTP/1.1 requests on their way to the library that reads them.
//!
//! Knows: where a head ends and how long its body is; which heads two readers could understand differently (RFC
//! 9112 §11.2).  Does not know: what a request means, how its answer looks.
//! Theory: the library reads generously what a proxy in front may read otherwise: line feeds alone, `Content-Length`
//! beside `Transfer-Encoding`.  Such a request is refused whole, before the library sees it, and its connection
//! ends.  Bodies of known length are passed over; behind one in chunks nothing more is served on the connection,
//! so nothing behind it needs to be understood.

/// Octets of one line of a head, then 414 for the first and 431 for others; a target of the longest kind fits.
pub const HEAD_LINE_OCTETS_MAX: usize = 8192 + 64;

/// Octets of a line that are kept to read a length from it.
const KEPT_OCTETS: usize = 48;

/// Empty lines that may stand before a request (RFC 9112 §2.2 asks for one at least).
const EMPTY_LINES_MAX: u8 = 4;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// Its first line is longer than any query's.
    TargetTooLong,
    /// All lines together, or one of them, are more than is read.
    TooLarge,
    /// Readers could disagree on where it, or its body, ends.
    Ambiguous,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    RequestLine,
    HeaderLine,
    Body,
    /// Nothing that comes is a request.
    Over,
}

/// One connection's.
pub struct HeadGuard {
    place: Place,
    head_octets_max: usize,
    head_octets: usize,
    line_octets: usize,
    kept: [u8; KEPT_OCTETS],
    /// The octet before the next one.
    last: u8,
    empty_lines: u8,
    length: Option<u64>,
    is_chunked: bool,
    body_left: u64,
}

impl HeadGuard {
    /// At the beginning of a connection whose heads may have so many octets.
    pub fn new(head_octets_max: usize) -> HeadGuard {
        HeadGuard {
            place: Place::RequestLine,
            head_octets_max,
            head_octets: 0,
            line_octets: 0,
            kept: [0; KEPT_OCTETS],
            last: 0,
            empty_lines: 0,
            length: None,
            is_chunked: false,
            body_left: 0,
        }
    }

    /// Whether the connection must end with the answer to the request whose head came last.
    pub fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether a request has begun whose head is not whole yet.
    pub fn is_within_head(&self) -> bool {
        self.place == Place::HeaderLine || (self.place == Place::RequestLine && self.line_octets > 0)
    }

    /// Whether a request has begun that is not whole yet, as far as that is known: a body in chunks is not followed.
    pub fn is_within_request(&self) -> bool {
        self.is_within_head() || self.place == Place::Body
    }

    /// See what comes next.  An error: nothing of `octets` may reach the library.
    pub fn take(&mut self, mut octets: &[u8]) -> Result<(), HeadFault> {
        while !octets.is_empty() {
            match self.place {
                Place::Over => return Ok(()),
                Place::Body => {
                    let passed = self.body_left.min(octets.len() as u64);
                    self.body_left -= passed;
                    octets = &octets[passed as usize..];
                    if self.body_left == 0 {
                        self.place = Place::RequestLine;
                    }
                }
                Place::RequestLine | Place::HeaderLine => octets = self.take_line(octets)?,
            }
        }
        Ok(())
    }

    /// Take one line, or what came of it; the rest.
    fn take_line<'o>(&mut self, octets: &'o [u8]) -> Result<&'o [u8], HeadFault> {
        let end = octets.iter().position(|&octet| octet == b'\n');
        let part = &octets[..end.unwrap_or(octets.len())];
        let known = self.line_octets.min(KEPT_OCTETS);
        let kept = part.len().min(KEPT_OCTETS - known);
        self.kept[known..known + kept].copy_from_slice(&part[..kept]);
        self.line_octets += part.len();
        self.head_octets += part.len();
        if self.line_octets > HEAD_LINE_OCTETS_MAX {
            let is_first = self.place == Place::RequestLine;
            return Err(if is_first { HeadFault::TargetTooLong } else { HeadFault::TooLarge });
        }
        if self.head_octets > self.head_octets_max {
            return Err(HeadFault::TooLarge);
        }
        // A carriage return belongs before a line feed and nowhere else (RFC 9112 §2.2).
        if self.last == b'\r' && !part.is_empty() {
            return Err(HeadFault::Ambiguous);
        }
        if let Some((&last, before)) = part.split_last() {
            if before.contains(&b'\r') {
                return Err(HeadFault::Ambiguous);
            }
            self.last = last;
        }
        let Some(end) = end else { return Ok(&[]) };
        if self.last != b'\r' {
            return Err(HeadFault::Ambiguous);
        }
        self.last = 0;
        let line_octets = std::mem::take(&mut self.line_octets) - 1;
        self.end_line(line_octets)?;
        Ok(&octets[end + 1..])
    }

    fn end_line(&mut self, line_octets: usize) -> Result<(), HeadFault> {
        match (self.place, line_octets) {
            (Place::RequestLine, 0) => {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Err(HeadFault::Ambiguous);
                }
                self.head_octets = 0;
            }
            (Place::RequestLine, _) => self.place = Place::HeaderLine,
            (_, 0) => self.end_head()?,
            (_, _) => self.end_header(line_octets)?,
        }
        Ok(())
    }

    fn end_header(&mut self, line_octets: usize) -> Result<(), HeadFault> {
        let line = &self.kept[..line_octets.min(KEPT_OCTETS)];
        // RFC 9112 §5.2: a line that goes on from the one before is refused.
        if matches!(line[0], b' ' | b'\t') {
            return Err(HeadFault::Ambiguous);
        }
        let colon = line.iter().position(|&octet| octet == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        // RFC 9112 §5.1: no space before the colon.
        let name_as_read = name.trim_ascii_end();
        if name_as_read.eq_ignore_ascii_case(b"transfer-encoding") {
            if name_as_read.len() != name.len() || self.is_chunked {
                return Err(HeadFault::Ambiguous);
            }
            self.is_chunked = true;
        } else if name_as_read.eq_ignore_ascii_case(b"content-length") {
            let is_whole = name_as_read.len() == name.len() && line_octets <= KEPT_OCTETS;
            let length = is_whole.then(|| number(value)).flatten();
            // One that is repeated is refused even with the same value (RFC 9110 §8.6).
            if length.is_none() || self.length.is_some() {
                return Err(HeadFault::Ambiguous);
            }
            self.length = length;
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), HeadFault> {
        self.head_octets = 0;
        self.empty_lines = 0;
        let length = self.length.take();
        match (std::mem::take(&mut self.is_chunked), length) {
            // RFC 9112 §6.1: with both, one of them is an attempt at smuggling.
            (true, Some(_)) => return Err(HeadFault::Ambiguous),
            (true, None) => self.place = Place::Over,
            (false, None | Some(0)) => self.place = Place::RequestLine,
            (false, Some(length)) => {
                self.body_left = length;
                self.place = Place::Body;
            }
        }
        Ok(())
    }
}

/// The number behind the colon at the front of `value`: digits alone (RFC 9110 §8.6).
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.get(1..)?.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_MAX: usize = 16_384;

    /// What becomes of these octets: whole, and octet by octet.
    fn taken(octets: &[u8]) -> (Result<(), HeadFault>, HeadGuard) {
        let mut whole = HeadGuard::new(HEAD_MAX);
        let result = whole.take(octets);
        let mut single = HeadGuard::new(HEAD_MAX);
        let singly = octets.iter().try_for_each(|&octet| single.take(&[octet]));
        assert_eq!(result, singly, "{}", String::from_utf8_lossy(octets));
        assert_eq!((whole.place, whole.body_left), (single.place, single.body_left));
        (result, whole)
    }

    fn fault(octets: &[u8]) -> HeadFault {
        taken(octets).0.expect_err(&String::from_utf8_lossy(octets))
    }

    #[test]
    fn ordinary_requests_pass_one_behind_the_other() {
        let post = b"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n\r\n";
        let get = b"GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: a\r\n\r\n";
        let (result, guard) = taken(&[&post[..], &get[..], b"\r\n", &post[..]].concat());
        assert_eq!((result, guard.place), (Ok(()), Place::RequestLine));
        assert!(!guard.is_over() && !guard.is_within_head());
    }

    #[test]
    fn a_body_in_chunks_is_the_last_on_its_connection() {
        let (result, guard) =
            taken(b"POST /dns-query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET \n\n\n");
        assert!(result.is_ok() && guard.is_over());
    }

    #[test]
    fn heads_that_readers_take_differently_are_refused() {
        for head in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"POST / HTTP/1.1\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n",
            b"\r\n\r\n\r\n\r\n\r\n",
        ] {
            assert_eq!(fault(head), HeadFault::Ambiguous);
        }
        let spaces = [&b"POST / HTTP/1.1\r\nContent-Length: "[..], &[b' '; 60], b"3\r\n\r\n"].concat();
        assert_eq!(fault(&spaces), HeadFault::Ambiguous);
    }

    #[test]
    fn what_is_too_long_says_which() {
        let long = vec![b'a'; 100_000];
        assert_eq!(fault(&[&b"GET /dns-query?dns="[..], &long].concat()), HeadFault::TargetTooLong);
        assert_eq!(fault(&[&b"GET / HTTP/1.1\r\nX: "[..], &long].concat()), HeadFault::TooLarge);
        let many = b"X: yyyyyyyyyyyy\r\n".repeat(2000);
        assert_eq!(fault(&[&b"GET / HTTP/1.1\r\n"[..], &many].concat()), HeadFault::TooLarge);
        let target = vec![b'a'; 8192];
        let fits = [&b"GET "[..], &target, b" HTTP/1.1\r\n\r\n"].concat();
        assert!(taken(&fits).0.is_ok());
    }
}
