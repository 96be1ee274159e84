//! The classes `Records` and `RecordLook`: what was recorded on all threads, and how a reader wants it.
//!
//! Knows: Python's types.  Does not know: who records, what becomes of the octets.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use resolver_core::flow::Recorded;
use resolver_core::records::{self, Format, Look, PrefixCipher, ShownClients};

use crate::guard::Guard;

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct Records {
    taken: records::Records,
    guard: Arc<Guard>,
}

impl Records {
    /// What was taken.
    pub fn new(taken: records::Records, guard: Arc<Guard>) -> Records {
        Records { taken, guard }
    }
}

#[pymethods]
impl Records {
    fn __len__(&self) -> usize {
        self.taken.count(false)
    }

    #[pyo3(signature = (*, only_blocked))]
    fn count(&self, only_blocked: bool) -> usize {
        self.taken.count(only_blocked)
    }

    #[pyo3(signature = (look, offset_s, *, records_max=None))]
    fn written<'py>(
        &self,
        py: Python<'py>,
        look: &RecordLook,
        offset_s: f64,
        records_max: Option<usize>,
    ) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let write = || Ok(look.look.written(&self.taken, offset_s, records_max.unwrap_or(usize::MAX)));
        let (octets, count) = py.detach(|| self.guard.call_or_raise(write))?;
        Ok((PyBytes::new(py, &octets), count))
    }
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct RecordLook {
    look: Look,
}

#[pymethods]
impl RecordLook {
    #[new]
    #[pyo3(signature = (record_format, clients, *, only_blocked=false, key=None, head=Vec::new()))]
    fn new(
        record_format: &str,
        clients: &str,
        only_blocked: bool,
        key: Option<&[u8]>,
        head: Vec<u8>,
    ) -> PyResult<RecordLook> {
        let Some(format) = Format::from_label(record_format) else {
            return Err(PyValueError::new_err("record_format is text, json, jsonl, dnstap or syslog"));
        };
        let clients = match clients {
            "hidden" => ShownClients::Hidden,
            "network" => ShownClients::Network,
            "full" => ShownClients::Full,
            "encrypted" => match key.and_then(PrefixCipher::new) {
                Some(cipher) => ShownClients::Encrypted(Arc::new(cipher)),
                None => return Err(PyValueError::new_err("a key has 32 octets, and halves that differ")),
            },
            _ => return Err(PyValueError::new_err("clients is hidden, network, full or encrypted")),
        };
        Ok(RecordLook { look: Look { format, clients, only_blocked, head } })
    }
}

/// Which queries are recorded, as Python says it.
pub fn recorded_from(word: &str) -> PyResult<Option<Recorded>> {
    match word {
        "none" => Ok(None),
        "blocked" => Ok(Some(Recorded::Blocked)),
        "all" => Ok(Some(Recorded::All)),
        _ => Err(PyValueError::new_err("query_records is none, blocked or all")),
    }
}
