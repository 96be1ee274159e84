//! Upstreams as Python gives them, servers and who is asked first; and what it is told of them.
//!
//! Knows: Python's tuples, as the stub file has them; which servers are known already.  Does not know: how one is
//! asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use resolver_core::flow::{Carrier, First, LetterCase, UpstreamSet};

use crate::shared_flow::UpstreamReport;
use crate::upstream_authorities::Authorities;
use crate::upstream_server::{Identity, UpstreamServer};

/// Name, pins, authorities, and whether these are the operator's.
type TlsFields<'py> = (String, Vec<Vec<u8>>, Bound<'py, PyBytes>, bool);

/// A server as Python gives it.
#[derive(FromPyObject)]
pub enum ServerFields<'py> {
    /// Address and port: asked over a stream, with TLS or without.
    Stream(String, u16, Option<TlsFields<'py>>),
    /// The same: asked in datagrams.
    Datagrams(String, u16),
}

/// A set as Python gives it.
pub type SetFields = (Vec<u8>, i64, bool, bool, f64, f64, u8, Option<(u16, String)>);

/// Servers from their fields; those that are known are the same again.  Fails with ValueError for an address that is
/// not numeric, and for what TLS can do nothing with.
pub fn servers_from(
    fields: Vec<ServerFields<'_>>,
    known: &[Arc<UpstreamServer>],
) -> PyResult<Vec<Arc<UpstreamServer>>> {
    let server = |(number, fields): (usize, ServerFields<'_>)| {
        let (address, carrier, identity) = parts_of(fields)?;
        if let Some(known) = known.get(number).filter(|known| known.is(address, carrier, identity.as_ref())) {
            return Ok(Arc::clone(known));
        }
        let made = match identity {
            Some(identity) => UpstreamServer::over_tls(address, identity).map_err(PyValueError::new_err)?,
            None => UpstreamServer::plain(address, carrier),
        };
        Ok(Arc::new(made))
    };
    fields.into_iter().enumerate().map(server).collect()
}

fn parts_of(fields: ServerFields<'_>) -> PyResult<(SocketAddr, Carrier, Option<Identity>)> {
    let (address, port, tls) = match fields {
        ServerFields::Datagrams(address, port) => {
            return Ok((socket_address(&address, port)?, Carrier::Udp, None))
        }
        ServerFields::Stream(address, port, tls) => (address, port, tls),
    };
    let address = socket_address(&address, port)?;
    let Some((name, pins, authorities, is_private)) = tls else { return Ok((address, Carrier::Tcp, None)) };
    let pin = |pin: Vec<u8>| pin.try_into().map_err(|_| PyValueError::new_err("a pin has 32 octets"));
    let pins = pins.into_iter().map(pin).collect::<PyResult<_>>()?;
    let identity = Identity { name, pins, authorities: Authorities::of(authorities.as_bytes(), is_private) };
    Ok((address, Carrier::Tls, Some(identity)))
}

fn socket_address(address: &str, port: u16) -> PyResult<SocketAddr> {
    let ip: IpAddr =
        address.parse().map_err(|_| PyValueError::new_err(format!("{address:?} is no numeric address")))?;
    Ok(SocketAddr::new(ip, port))
}

/// A set from its fields, with the suffix it is for.  Fails with ValueError for a letter case that is none.
pub fn set_from(fields: SetFields, servers: &[Arc<UpstreamServer>]) -> PyResult<(Vec<u8>, UpstreamSet)> {
    let (suffix, first, edns, trust_ad, timeout_s, probe_at, letter_case, failure) = fields;
    let first = u16::try_from(first).ok().and_then(|number| {
        let carrier = servers.get(usize::from(number))?.carrier;
        Some(First { number, carrier })
    });
    let letter_case = match letter_case {
        0 => LetterCase::Lower,
        1 => LetterCase::Unproven,
        2 => LetterCase::Mixed,
        _ => return Err(PyValueError::new_err("letter case is 0, 1 or 2")),
    };
    let failure = failure.map(|(code, why)| (code, why.into()));
    Ok((suffix, UpstreamSet { first, edns, trust_ad, timeout_s, probe_at, letter_case, failure }))
}

/// What became of the queries to one upstream, as the stub file has it: number, queries, answers, their seconds, their
/// buckets, their mean; handshakes, resumptions and connections; the certificate.
pub type ReportRow<'py> = (usize, u64, u64, f64, Vec<u64>, f64, (u64, u64, u32), Option<Bound<'py, PyBytes>>);

/// A row for each upstream of which there is news.
pub fn report_rows<'py>(
    py: Python<'py>,
    sums: &[UpstreamReport],
    servers: &[Arc<UpstreamServer>],
) -> Vec<ReportRow<'py>> {
    let row = |(number, server): (usize, &Arc<UpstreamServer>)| {
        let sum = sums.get(number).copied().unwrap_or_default();
        let (connections, is_news) = server.tell_connections();
        if sum == UpstreamReport::default() && !is_news {
            return None;
        }
        let mean_s = if sum.answers == 0 { 0.0 } else { sum.sum_s / sum.answers as f64 };
        let certificate = server.certificate.lock().take().map(|octets| PyBytes::new(py, &octets));
        let streams = (sum.handshakes, sum.resumptions, connections);
        let buckets = sum.buckets.to_vec();
        Some((number, sum.queries, sum.answers, sum.sum_s, buckets, mean_s, streams, certificate))
    };
    servers.iter().enumerate().filter_map(row).collect()
}
