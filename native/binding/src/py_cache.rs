//! The class `Cache`: the one cache, as Python's flow uses it.
//!
//! Knows: the core's cache.  Does not know: what an answer is.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use resolver_core::cache as core;

use crate::fields::{question_from, response_from, EntryCopy, QuestionFields};
use crate::guard::Guard;

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct Cache {
    /// Shared with every core over it.
    pub inner: Arc<core::Cache>,
    /// Shared likewise.
    pub guard: Arc<Guard>,
}

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (octets_max, *, ttl_min_s=0, ttl_max_s=86_400, negative_ttl_max_s=3600, stale_max_s=86_400))]
    fn new(
        octets_max: usize,
        ttl_min_s: u32,
        ttl_max_s: u32,
        negative_ttl_max_s: u32,
        stale_max_s: u32,
    ) -> Cache {
        let config = core::CacheConfig { octets_max, ttl_min_s, ttl_max_s, negative_ttl_max_s, stale_max_s };
        Cache { inner: Arc::new(core::Cache::new(config)), guard: Arc::default() }
    }

    fn lookup<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
        now: f64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let question = question_from(&question)?;
        let copy = |entry: Option<&mut core::Entry>| entry.map(|entry| EntryCopy::of(entry));
        let look = || self.inner.lookup(question, now, copy);
        let found = self.guard.call(|| None, look);
        found.map(|entry| entry.fields(py)).transpose()
    }

    fn store<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
        response: Bound<'py, PyTuple>,
        now: f64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let question = question_from(&question)?;
        let response = response_from(&response, question.qname)?;
        let copy = |kept: Result<&mut core::Entry, _>| kept.ok().map(|entry| EntryCopy::of(entry));
        let store = || self.inner.store(question, response, now, copy);
        let kept = self.guard.call(|| None, store);
        kept.map(|entry| entry.fields(py)).transpose()
    }

    fn store_failure<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
        ede: (u16, String),
        now: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let question = question_from(&question)?;
        let ede = (ede.0, ede.1.as_str());
        let copy = |entry: &mut core::Entry| EntryCopy::of(entry);
        let note = || self.inner.store_failure_with(question, ede, now, copy);
        self.guard.call(|| EntryCopy::of_failure(ede, now), note).fields(py)
    }

    fn snapshot<'py>(
        &self,
        py: Python<'py>,
        place: u64,
        octets_max: usize,
        now: f64,
    ) -> (Option<u64>, Bound<'py, PyBytes>) {
        let (next, octets) = py.detach(|| {
            let mut octets = Vec::new();
            let place = core::SnapshotPlace::from_bits(place);
            let write = || self.inner.snapshot(place, octets_max, now, &mut octets);
            let next = self.guard.call(|| None, write);
            (next, octets)
        });
        (next.map(core::SnapshotPlace::to_bits), PyBytes::new(py, &octets))
    }

    fn load(&self, py: Python<'_>, octets: &[u8], away_s: f64, now: f64) -> (u64, u64) {
        // Python may not move what it lent us while others run: a copy of a portion costs nothing beside reading it.
        let octets = octets.to_vec();
        let load = || self.guard.call(core::Loaded::default, || self.inner.load(&octets, away_s, now));
        let loaded = py.detach(load);
        (loaded.kept, loaded.refused)
    }

    #[pyo3(signature = (name, *, subtree))]
    fn flush(&self, py: Python<'_>, name: &[u8], subtree: bool) -> u64 {
        let name = name.to_vec();
        py.detach(|| self.guard.call(|| 0, || self.inner.flush(&name, subtree)))
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.inner.counters().entries
    }

    #[getter]
    fn octets(&self) -> u64 {
        self.inner.counters().octets
    }

    #[getter]
    fn hits(&self) -> u64 {
        self.inner.counters().hits
    }

    #[getter]
    fn misses(&self) -> u64 {
        self.inner.counters().misses
    }

    #[getter]
    fn evictions(&self) -> u64 {
        self.inner.counters().evictions
    }
}
