//! Queries as they go into a stream: with their length in front (RFC 1035 §4.2.2).
//!
//! Knows: what a query gets besides over TLS.  Does not know: sockets, what comes back (`wire::frames`).

use resolver_core::wire::query_options::put_with_options;

/// Append a query; with `options`, also what it gets over an encrypted transport, whether it asks for the time of idle
/// connections among it.
pub fn put_query(query: &[u8], options: Option<bool>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    match options {
        Some(asks_keepalive) => put_with_options(query, asks_keepalive, out),
        None => out.extend_from_slice(query),
    }
    let length = out.len() - start - 2;
    if let Some(room) = out.get_mut(start..start + 2) {
        // A query of ours is far shorter than what 16 bits can say.
        room.copy_from_slice(&(length as u16).to_be_bytes());
    }
}
