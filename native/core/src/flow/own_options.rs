//! The EDNS options of this server's own that a client gets because it asked: its name, keepalive, padding.
//!
//! Knows: which option is answered on which transport.  Does not know: why an answer is what it is, how it is
//! encoded.

use super::peer::Transport;
use super::state::FlowConfig;
use crate::wire::encode::AskedOptions;
use crate::wire::numbers::{OPTION_NSID, OPTION_PADDING, OPTION_TCP_KEEPALIVE};
use crate::wire::query::Query;

/// The options that the answer to `query` carries.
#[inline]
pub(super) fn asked_by<'o>(config: &'o FlowConfig, query: &Query, transport: Transport) -> AskedOptions<'o> {
    if query.options.is_empty() || !query.has_opt {
        return AskedOptions::default();
    }
    pick(config, query, transport)
}

#[cold]
fn pick<'o>(config: &'o FlowConfig, query: &Query, transport: Transport) -> AskedOptions<'o> {
    let asks = |wanted: u16| query.options_iter().any(|(code, _)| code == wanted);
    let mut asked = AskedOptions::default();
    // RFC 5001 §2.1: whatever a client's own option holds is ignored.
    if !config.nsid.is_empty() && asks(OPTION_NSID) {
        asked.values.push((OPTION_NSID, &config.nsid));
    }
    if transport.has_keepalive() && asks(OPTION_TCP_KEEPALIVE) {
        asked.values.push((OPTION_TCP_KEEPALIVE, &config.keepalive_units));
    }
    // RFC 7830 §4: never unasked for, and only where it hides something.
    asked.pads = transport.is_encrypted() && asks(OPTION_PADDING);
    asked
}
