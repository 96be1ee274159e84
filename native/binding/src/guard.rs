//! The line that no panic crosses: what Python calls for a query, an answer or a policy.
//!
//! Knows: that a panic is counted, and that the caller is told something safe instead.  Does not know: what the
//! call does.
//! Left alone, a panic would reach Python as an exception that no handler of defects there catches.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::PyResult;

use crate::counters::add;

/// Shared by a cache, the cores over it and their planes.
#[derive(Default)]
pub struct Guard {
    /// Panics caught in calls of Python's.
    pub panics: AtomicU64,
    panics_next: AtomicBool,
}

impl Guard {
    /// Do `work`; what it holds is as good after a panic as before, since every lock and count here bears that.
    pub fn call<T>(&self, safe: impl FnOnce() -> T, work: impl FnOnce() -> T) -> T {
        let work = || {
            if self.panics_next.load(Ordering::Relaxed) {
                self.panics_next.store(false, Ordering::Relaxed);
                panic!("a test wanted this panic");
            }
            work()
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            add(&self.panics, 1);
            safe()
        })
    }

    /// The same where nothing safe can be told but that it failed: an ordinary exception.
    pub fn call_or_raise<T>(&self, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        self.call(|| Err(PyRuntimeError::new_err("a defect of the native plane; it is counted")), work)
    }

    /// The next call panics (tests).
    pub fn panic_next(&self) {
        self.panics_next.store(true, Ordering::Relaxed);
    }
}
