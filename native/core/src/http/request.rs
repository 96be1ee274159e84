//! A request's head becomes a query, a wait for its body, or a status (RFC 8484 §4.1, §6).
//!
//! Knows: path, methods, base64url, media type, sizes.  Does not know: HTTP's framing, what the query asks.  Total,
//! whatever the octets.  `listeners/http.py` decides the same, and `tests/vectors/https.yaml` holds both to it.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;

use super::statuses::Refusal;
use crate::wire::STREAM_OCTETS_MAX;

/// Where queries are taken; `dohpath` of discovery says the same (RFC 9461 §5).
pub const DNS_PATH: &str = "/dns-query";

/// Path and query of a request, then 414: a query of 6,000 octets.  RFC 9110 §4.1 asks for 8,000 octets.
pub const TARGET_OCTETS_MAX: usize = 8192;

/// A query shorter than a header is 400, as over other transports it is no query.
pub const MESSAGE_OCTETS_MIN: usize = 12;

/// The type of queries and answers.
pub const DNS_MESSAGE: &str = "application/dns-message";

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An answer to the query in its URL.
    Answer(Vec<u8>),
    /// An answer to the query that is its body, which may be read now.
    AnswerToBody,
}

/// Judge a head.  `target`: path and query, as they came.  None: the header is not there.
pub fn judge(
    method: &str,
    target: &str,
    content_type: Option<&[u8]>,
    content_length: Option<u64>,
) -> Result<Wanted, Refusal> {
    // Before anything looks into it.
    if target.len() > TARGET_OCTETS_MAX {
        return Err(Refusal::UriTooLong);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != DNS_PATH {
        return Err(Refusal::NotFound);
    }
    match method {
        "GET" | "HEAD" => return message_in(query).map(Wanted::Answer).ok_or(Refusal::BadRequest),
        "POST" => {}
        _ => return Err(Refusal::MethodNotAllowed),
    }
    // RFC 9110 §8.3.1: what stands behind a semicolon is a parameter, and letters are alike.
    let media_type = content_type.and_then(|value| value.split(|&octet| octet == b';').next());
    if !media_type.is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(DNS_MESSAGE.as_bytes())) {
        return Err(Refusal::UnsupportedMediaType);
    }
    // Before a single octet of it is read.
    if content_length.is_some_and(|octets| octets > STREAM_OCTETS_MAX as u64) {
        return Err(Refusal::ContentTooLarge);
    }
    Ok(Wanted::AnswerToBody)
}

/// Judge a body of so many octets: whether it is a query.
pub fn judge_body(octets: usize) -> Result<(), Refusal> {
    match octets {
        ..MESSAGE_OCTETS_MIN => Err(Refusal::BadRequest),
        MESSAGE_OCTETS_MIN..=STREAM_OCTETS_MAX => Ok(()),
        _ => Err(Refusal::ContentTooLarge),
    }
}

/// The message of `dns=`, the only one of its name; None: there is none, or it is broken.
///
/// RFC 8484 §6: base64url without padding, and one text for each message (RFC 4648 §3.5).
fn message_in(query: &str) -> Option<Vec<u8>> {
    let mut found = None;
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name == "dns" && found.replace(value).is_some() {
            return None;
        }
    }
    // The engine takes no padding, and no bits behind the last octet.
    let message = URL_SAFE_NO_PAD.decode(found?).ok()?;
    (message.len() >= MESSAGE_OCTETS_MIN).then_some(message)
}
