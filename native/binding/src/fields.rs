//! What crosses the line, field by field: responses, entries, handovers, routes, addresses.
//!
//! Knows: Python's tuples and their order, as the stub file gives it.  Does not know: what they are for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use resolver_core::cache::Entry;
use resolver_core::flow::{Attempt, Route, Transport, Waiter};
use resolver_core::policy::StructuredErrors;
use resolver_core::wire::{
    ChainLink, NegativeKind, Question, Response, Ttl, NAME_OCTETS_MAX, STREAM_OCTETS_MAX,
};

use crate::ring::{Handover, HandoverReason};

/// A response as Python gives it; see `ResponseFields` in the stub file.
type Given<'py> = (
    (u16, bool, Bound<'py, PyBytes>, u16, u16),
    (Vec<u16>, Vec<u32>, u8, u32),
    Vec<(Bound<'py, PyBytes>, u16, u16)>,
    (Vec<Bound<'py, PyBytes>>, Vec<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>),
);

/// Structured errors as Python gives them: option code, sub-error, members `o` and `l`.
pub type StructuredFields = (u16, u8, String, String);

/// Structured errors from their fields.
pub fn structured_from(fields: StructuredFields) -> StructuredErrors {
    let (option_code, sub_error, organization, language) = fields;
    StructuredErrors { option_code, sub_error, organization, language }
}

/// A question as Python gives it: name, type, DO and CD.
pub type QuestionFields<'py> = (Bound<'py, PyBytes>, u16, bool, bool);

/// A question from its fields.  Fails with ValueError for a name that is too long.
pub fn question_from<'q>(fields: &'q QuestionFields<'_>) -> PyResult<Question<'q>> {
    let (qname, qtype, dnssec_ok, checking_disabled) = fields;
    let (qtype, dnssec_ok, checking_disabled) = (*qtype, *dnssec_ok, *checking_disabled);
    Ok(Question { qname: name_from(qname)?, qtype, dnssec_ok, checking_disabled })
}

fn part<'py, T: FromPyObject<'py>>(fields: &Bound<'py, PyTuple>, index: usize) -> PyResult<T> {
    fields.get_item(index)?.extract()
}

/// A response from its fields.  Fails with ValueError where they contradict each other.
pub fn response_from(fields: &Bound<'_, PyTuple>, qname: &[u8]) -> PyResult<Response> {
    if fields.len() != 13 {
        return Err(PyValueError::new_err("a response has 13 fields"));
    }
    let given: Given = (
        (part(fields, 0)?, part(fields, 1)?, part(fields, 2)?, part(fields, 3)?, part(fields, 4)?),
        (part(fields, 5)?, part(fields, 6)?, part(fields, 7)?, part(fields, 8)?),
        part(fields, 9)?,
        (part(fields, 10)?, part(fields, 11)?, part(fields, 12)?),
    );
    let ((rcode, authentic_data, body, ancount, nscount), (offsets, ttls, negative, ttl_s), links, names) =
        given;
    let (service_targets, addresses, name_at_end) = names;
    let body: Box<[u8]> = body.as_bytes().into();
    let fits = |end: usize| end <= body.len();
    if body.len() > STREAM_OCTETS_MAX
        || offsets.len() != ttls.len()
        || !offsets.iter().all(|&offset| fits(usize::from(offset) + 4))
        || !links.iter().all(|&(_, end, _)| fits(usize::from(end)))
    {
        return Err(PyValueError::new_err("the fields of a response contradict each other"));
    }
    let negative = match negative {
        0 => None,
        1 => Some(NegativeKind::Nxdomain),
        2 => Some(NegativeKind::Nodata),
        _ => return Err(PyValueError::new_err("a negative answer is of kind 1 or 2")),
    };
    let link = |(target, end, ancount): (Bound<PyBytes>, u16, u16)| {
        Ok(ChainLink { target: name_from(&target)?.into(), end, ancount })
    };
    let target = |target: Bound<PyBytes>| Ok(name_from(&target)?.into());
    let name_at_end = name_at_end.filter(|name| name.as_bytes() != qname);
    Ok(Response {
        rcode,
        authentic_data,
        ancount,
        nscount,
        ttls: offsets.iter().zip(&ttls).map(|(&offset, &ttl_s)| Ttl { offset, ttl_s }).collect(),
        negative,
        ttl_s,
        links: links.into_iter().map(link).collect::<PyResult<Vec<_>>>()?.into(),
        service_targets: service_targets.into_iter().map(target).collect::<PyResult<Vec<_>>>()?.into(),
        addresses: addresses
            .iter()
            .map(|address| address_from(address.as_bytes()))
            .collect::<PyResult<Vec<_>>>()?
            .into_iter()
            .collect(),
        name_at_end: name_at_end.map(|name| name_from(&name).map(Into::into)).transpose()?,
        body,
    })
}

/// A name in wire form: its length alone is checked, as the flow trusts nothing else of it.
pub fn name_from<'b>(name: &'b Bound<'_, PyBytes>) -> PyResult<&'b [u8]> {
    let octets = name.as_bytes();
    if octets.is_empty() || octets.len() > NAME_OCTETS_MAX {
        return Err(PyValueError::new_err("a name in wire form has 1 to 255 octets"));
    }
    Ok(octets)
}

/// A response's fields.
pub fn response_fields<'py>(py: Python<'py>, response: &Response) -> PyResult<Bound<'py, PyTuple>> {
    let bytes = |octets: &[u8]| PyBytes::new(py, octets);
    let tuple = |items: Vec<Bound<'py, PyAny>>| PyTuple::new(py, items);
    let negative = match response.negative {
        None => 0u8,
        Some(NegativeKind::Nxdomain) => 1,
        Some(NegativeKind::Nodata) => 2,
    };
    let link =
        |link: &ChainLink| Ok((bytes(&link.target), link.end, link.ancount).into_pyobject(py)?.into_any());
    let name_at_end = response.name_at_end.as_deref().map(bytes);
    let fields = [
        response.rcode.into_pyobject(py)?.into_any(),
        response.authentic_data.into_pyobject(py)?.to_owned().into_any(),
        bytes(&response.body).into_any(),
        response.ancount.into_pyobject(py)?.into_any(),
        response.nscount.into_pyobject(py)?.into_any(),
        PyTuple::new(py, response.ttls.iter().map(|ttl| ttl.offset))?.into_any(),
        PyTuple::new(py, response.ttls.iter().map(|ttl| ttl.ttl_s))?.into_any(),
        negative.into_pyobject(py)?.into_any(),
        response.ttl_s.into_pyobject(py)?.into_any(),
        tuple(response.links.iter().map(link).collect::<PyResult<_>>()?)?.into_any(),
        PyTuple::new(py, response.service_targets.iter().map(|target| bytes(target)))?.into_any(),
        PyTuple::new(py, response.addresses.iter().map(|&address| packed(py, address)))?.into_any(),
        name_at_end.into_pyobject(py)?.into_any(),
    ];
    PyTuple::new(py, fields)
}

/// What is copied of an entry under its shard's lock; Python's objects are made of it afterwards.
pub struct EntryCopy {
    response: Option<Response>,
    times: (f64, f64, f64, f64),
    failure: Option<(u16, String)>,
}

impl EntryCopy {
    /// Copy an entry.
    pub fn of(entry: &Entry) -> EntryCopy {
        EntryCopy {
            response: entry.response.clone(),
            times: (entry.stored_at, entry.expires_at, entry.stale_until, entry.failed_until),
            failure: entry.failure.as_ref().map(|(code, text)| (*code, text.to_string())),
        }
    }

    /// An entry that was kept nowhere, of a failure that holds for no time.
    pub fn of_failure(ede: (u16, &str), now: f64) -> EntryCopy {
        EntryCopy { response: None, times: (now, now, now, now), failure: Some((ede.0, ede.1.into())) }
    }

    /// Its fields.
    pub fn fields<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let response = self.response.map(|response| response_fields(py, &response)).transpose()?;
        let (stored_at, expires_at, stale_until, failed_until) = self.times;
        Ok((response, stored_at, expires_at, stale_until, failed_until, self.failure)
            .into_pyobject(py)?
            .into_any())
    }
}

/// An address from its 4 or 16 octets.
pub fn address_from(octets: &[u8]) -> PyResult<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => Ok(IpAddr::V6(Ipv6Addr::from(octets))),
        Err(_) => Err(PyValueError::new_err("an address has 4 or 16 octets")),
    }
}

/// A transport from its number.
pub fn transport_from(number: u8) -> PyResult<Transport> {
    Transport::by_number(number).ok_or_else(|| PyValueError::new_err("no transport has this number"))
}

/// An address as its 4 or 16 octets.
pub fn packed(py: Python<'_>, address: IpAddr) -> Bound<'_, PyBytes> {
    match address {
        IpAddr::V4(address) => PyBytes::new(py, &address.octets()),
        IpAddr::V6(address) => PyBytes::new(py, &address.octets()),
    }
}

/// How a way back is shown to Python.
pub type RouteField = for<'py> fn(Python<'py>, &Route) -> PyResult<Bound<'py, PyAny>>;

/// A way back: octets for `Plane.send`.
pub fn route_field<'py>(py: Python<'py>, route: &Route) -> PyResult<Bound<'py, PyAny>> {
    Ok(PyBytes::new(py, &route.to_octets()).into_any())
}

fn waiter_fields<'py>(py: Python<'py>, waiter: &Waiter, field: RouteField) -> PyResult<Bound<'py, PyAny>> {
    let route = field(py, &waiter.route)?;
    let (octets, address) = (PyBytes::new(py, &waiter.octets), packed(py, waiter.peer.address));
    let (transport, name) = (waiter.peer.transport as u8, waiter.peer.name.unwrap_or_default());
    Ok((octets, address, route, waiter.asked_at, transport, name).into_pyobject(py)?.into_any())
}

/// All waiters' fields.
pub fn waiters_fields<'py>(
    py: Python<'py>,
    waiters: &[Waiter],
    field: RouteField,
) -> PyResult<Bound<'py, PyList>> {
    let fields = waiters.iter().map(|waiter| waiter_fields(py, waiter, field));
    PyList::new(py, fields.collect::<PyResult<Vec<_>>>()?)
}

/// A handover's fields.
pub fn handover_fields<'py>(
    py: Python<'py>,
    handover: &Handover,
    field: RouteField,
) -> PyResult<Bound<'py, PyTuple>> {
    let Handover { attempt, ticket, octets, reason, left, waiters } = handover;
    let Attempt { key, sent, upstream, sent_at, due_at, .. } = &**attempt;
    let Question { qname, qtype, dnssec_ok, checking_disabled } = key.question();
    let waiters = waiters_fields(py, waiters, field)?;
    let octets = octets.as_deref().map(|octets| PyBytes::new(py, octets));
    let fields = [
        (PyBytes::new(py, qname), qtype, dnssec_ok, checking_disabled).into_pyobject(py)?.into_any(),
        key.set.into_pyobject(py)?.into_any(),
        upstream.into_pyobject(py)?.into_any(),
        sent.id.into_pyobject(py)?.into_any(),
        PyBytes::new(py, &sent.qname).into_any(),
        sent.edns.into_pyobject(py)?.to_owned().into_any(),
        sent_at.into_pyobject(py)?.into_any(),
        due_at.into_pyobject(py)?.into_any(),
        ticket.into_pyobject(py)?.into_any(),
        octets.into_pyobject(py)?.into_any(),
        HandoverReason::label(*reason).into_pyobject(py)?.into_any(),
        left.into_pyobject(py)?.into_any(),
        waiters.into_any(),
    ];
    PyTuple::new(py, fields)
}
