//! The class `Records`: what was recorded on all threads, as its readers see it.
//!
//! Knows: Python's types.  Does not know: who records, what becomes of the lines.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use resolver_core::flow::Recorded;
use resolver_core::records::{self, LineFormat, Lines, ShownClients};

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
        self.taken.count()
    }

    fn lines<'py>(
        &self,
        py: Python<'py>,
        line_format: &str,
        clients: &str,
        offset_s: f64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let format = match line_format {
            "text" => LineFormat::Text,
            "json" => LineFormat::Json,
            _ => return Err(PyValueError::new_err("line_format is text or json")),
        };
        let clients = match clients {
            "hidden" => ShownClients::Hidden,
            "network" => ShownClients::Network,
            "full" => ShownClients::Full,
            _ => return Err(PyValueError::new_err("clients is hidden, network or full")),
        };
        let write = || Ok(Lines::new(format, clients, offset_s).of(&self.taken));
        let lines = py.detach(|| self.guard.call_or_raise(write))?;
        Ok(PyBytes::new(py, &lines))
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
