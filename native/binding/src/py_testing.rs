//! The module `resolver_native.testing`: what only tests call.
//!
//! Knows: what belongs to it.  Does not know: what any of it does.
//! `resolver_native/testing.pyi` is its manual.

use pyo3::prelude::*;

use crate::py_cache::Cache;
use crate::py_plane::Plane;
use crate::py_steps::Steps;
use crate::{py_policy, py_wire};

/// Put the module into its parent, whose `__all__` does not name it: the server has no use for it.
pub fn register(parent: &Bound<'_, PyModule>) -> PyResult<()> {
    let module = PyModule::new(parent.py(), "resolver_native.testing")?;
    module.add_class::<Steps>()?;
    py_wire::register(&module)?;
    py_policy::register(&module)?;
    module.add_function(wrap_pyfunction!(panic_next, &module)?)?;
    module.add_function(wrap_pyfunction!(panic_worker, &module)?)?;
    module.add_function(wrap_pyfunction!(panic_stream_thread, &module)?)?;
    module.add_function(wrap_pyfunction!(https_rests, &module)?)?;
    parent.setattr("testing", module)
}

/// See the stub file.
#[pyfunction]
fn panic_next(cache: &Cache) {
    cache.guard.panic_next();
}

/// See the stub file.
#[pyfunction]
fn panic_stream_thread(plane: &Plane, thread: usize) {
    plane.panic_stream_thread(thread);
}

/// See the stub file.
#[pyfunction]
fn https_rests(plane: &Plane) -> u64 {
    plane.https_rests()
}

/// See the stub file.
#[pyfunction]
fn panic_worker(plane: &Plane, worker: u16) {
    plane.panic_worker(worker);
}
