//! Functions over octets, for tests that hold both engines side by side.
//!
//! Knows: how a query, a response, a message cross the line.  Does not know: what the octets mean.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use resolver_core::wire;

use crate::fields::response_fields;

/// Put this file's functions into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_query, module)?)?;
    module.add_function(wrap_pyfunction!(accept_response, module)?)?;
    module.add_function(wrap_pyfunction!(encode_response, module)?)?;
    module.add_function(wrap_pyfunction!(encode_malformed, module)?)?;
    module.add_function(wrap_pyfunction!(encode_question, module)?)
}

/// See the stub file.
#[pyfunction]
fn parse_query<'py>(py: Python<'py>, octets: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    let query = match wire::parse_query(octets) {
        Ok(query) => query,
        Err(malformed) => return (malformed.reason.label(), malformed.rcode).into_pyobject(py),
    };
    let options = query.options_iter().map(|(code, value)| (code, PyBytes::new(py, value)));
    let fields = [
        query.flags.into_pyobject(py)?.into_any(),
        PyBytes::new(py, &query.qname).into_any(),
        query.qtype.into_pyobject(py)?.into_any(),
        query.qclass.into_pyobject(py)?.into_any(),
        query.question_end.into_pyobject(py)?.into_any(),
        query.has_opt.into_pyobject(py)?.to_owned().into_any(),
        query.edns_version.into_pyobject(py)?.into_any(),
        query.payload_octets.into_pyobject(py)?.into_any(),
        query.dnssec_ok.into_pyobject(py)?.to_owned().into_any(),
        PyTuple::new(py, options.collect::<Vec<_>>())?.into_any(),
    ];
    PyTuple::new(py, fields)
}

/// See the stub file.
#[pyfunction]
#[pyo3(signature = (octets, query_id, qname, qtype, *, edns, dnssec_ok, is_stream=false))]
#[allow(clippy::too_many_arguments)] // The facts of a query, most of them by name.
fn accept_response<'py>(
    py: Python<'py>,
    octets: &[u8],
    query_id: u16,
    qname: &[u8],
    qtype: u16,
    edns: bool,
    dnssec_ok: bool,
    is_stream: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let sent = wire::SentQuery::over_udp(query_id, qname, qtype, edns, dnssec_ok).ok_or_else(|| {
        pyo3::exceptions::PyValueError::new_err("a name in wire form has at most 255 octets")
    })?;
    let sent = wire::SentQuery { is_stream, ..sent };
    match wire::accept_response(octets, &sent) {
        wire::Accepted::Response(response) => ("response", response_fields(py, &response)?).into_pyobject(py),
        wire::Accepted::Truncated => ("truncated",).into_pyobject(py),
        wire::Accepted::Refused { reason, near_miss } => {
            ("refused", reason.label(), near_miss).into_pyobject(py)
        }
        wire::Accepted::UpstreamFailure { rcode, edns_refused } => {
            ("failure", rcode, edns_refused).into_pyobject(py)
        }
    }
}

/// See the stub file.
#[pyfunction]
#[pyo3(signature = (octets, rcode, *, body=&[][..], ancount=0, nscount=0, limit, ede=vec![], options=vec![],
                    pads=false, ra=true, aa=false, ad=false, truncated=false),
       text_signature = "(octets, rcode, *, body=b'', ancount=0, nscount=0, limit, ede=[], options=[], \
                         pads=False, ra=True, aa=False, ad=False, truncated=False)")]
#[allow(clippy::too_many_arguments)] // `wire.encode.encode_response` has as many.
fn encode_response<'py>(
    py: Python<'py>,
    octets: &[u8],
    rcode: u16,
    body: &[u8],
    ancount: u16,
    nscount: u16,
    limit: usize,
    ede: Vec<(u16, String)>,
    options: Vec<(u16, Vec<u8>)>,
    pads: bool,
    ra: bool,
    aa: bool,
    ad: bool,
    truncated: bool,
) -> PyResult<(Bound<'py, PyBytes>, usize)> {
    let query = wire::parse_query(octets)
        .map_err(|malformed| pyo3::exceptions::PyValueError::new_err(malformed.reason.label()))?;
    let ede: Vec<(u16, &str)> = ede.iter().map(|(code, text)| (*code, text.as_str())).collect();
    let options: Vec<(u16, &[u8])> = options.iter().map(|(code, value)| (*code, value.as_slice())).collect();
    let reply = wire::Reply {
        rcode,
        body,
        ancount,
        nscount,
        limit,
        ede: &ede,
        options: &options,
        pads,
        ra,
        aa,
        ad,
        truncated,
    };
    let mut out = Vec::new();
    let body_octets = wire::encode_response(&query, &reply, &mut out);
    Ok((PyBytes::new(py, &out), body_octets))
}

/// See the stub file.
#[pyfunction]
fn encode_malformed<'py>(py: Python<'py>, octets: &[u8], rcode: u8) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    wire::encode_malformed(octets, rcode, &mut out);
    PyBytes::new(py, &out)
}

/// See the stub file.
#[pyfunction]
fn encode_question<'py>(
    py: Python<'py>,
    query_id: u16,
    question: &[u8],
    dnssec_ok: bool,
    checking_disabled: bool,
    edns: bool,
) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    wire::encode_question(query_id, question, dnssec_ok, checking_disabled, edns, &mut out);
    PyBytes::new(py, &out)
}
