//! The class `PolicyTable`: one policy at one time for one group of clients, for tests that hold both engines side
//! by side.
//!
//! Knows: how verdicts cross the line.  Does not know: which rule wins.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use resolver_core::policy::{self, AnswerForm, Image, Judgement, PolicyAnswer, Verdict};
use resolver_core::wire;

use crate::fields::{response_from, structured_from, StructuredFields};

/// Put this file's class into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PolicyTable>()
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native.testing")]
pub struct PolicyTable {
    table: policy::PolicyTable,
}

/// A response to be judged, and whether qname's own verdict is that of a stream.
type JudgedBy<'py> = (Bound<'py, PyTuple>, bool);

#[pymethods]
impl PolicyTable {
    #[new]
    #[pyo3(signature = (path, generation, wall, monotonic, group=0))]
    fn new(path: PathBuf, generation: u64, wall: f64, monotonic: f64, group: u8) -> PyResult<PolicyTable> {
        if group >= policy::GROUPS_MAX {
            return Err(PyValueError::new_err(format!("group {group}: there are {}", policy::GROUPS_MAX)));
        }
        let unusable = |why: String| PyValueError::new_err(format!("{}: {why}", path.display()));
        let octets = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        let image = Image::open(Box::new(octets)).map_err(|error| unusable(error.0))?;
        image.verify().map_err(|error| unusable(error.0))?;
        let everybody = policy::PolicyTable::new(Arc::new(image), generation, wall, monotonic);
        Ok(PolicyTable { table: everybody.for_group(group) })
    }

    #[getter]
    fn is_filtering(&self) -> bool {
        self.table.is_filtering()
    }

    fn judge_name<'py>(&self, py: Python<'py>, qname: &[u8], now: f64) -> PyResult<Bound<'py, PyTuple>> {
        verdict_fields(py, &self.table.judge_name(qname, now))
    }

    #[pyo3(signature = (qname, response, now, *, over_stream=false))]
    fn judge_response<'py>(
        &self,
        py: Python<'py>,
        qname: &[u8],
        response: Bound<'py, PyTuple>,
        now: f64,
        over_stream: bool,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.judge(qname, &(response, over_stream), now)? {
            (_, Judgement::Same) => Ok(None),
            (_, Judgement::Other(verdict)) => verdict_fields(py, &verdict).map(Some),
        }
    }

    #[pyo3(signature = (query, limit, judged_at, now, *, response=None, kept=None, structured=None))]
    #[allow(clippy::too_many_arguments)] // The facts of an answer, most of them by name.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        query: &[u8],
        limit: usize,
        judged_at: f64,
        now: f64,
        response: Option<JudgedBy<'py>>,
        kept: Option<(Vec<u8>, u16)>,
        structured: Option<StructuredFields>,
    ) -> PyResult<(&'static str, Bound<'py, PyBytes>)> {
        let query =
            wire::parse_query(query).map_err(|malformed| PyValueError::new_err(malformed.reason.label()))?;
        let verdict = match &response {
            None => self.table.judge_name(&query.qname, judged_at),
            Some(response) => match self.judge(&query.qname, response, judged_at)? {
                (own, Judgement::Same) => own,
                (_, Judgement::Other(other)) => *other,
            },
        };
        let kept = kept.as_ref().map(|(chain, count)| (chain.as_slice(), *count));
        let mut out = Vec::new();
        let structured = structured.map(structured_from);
        let form = AnswerForm { kept, structured: structured.as_ref(), ..AnswerForm::plain(limit) };
        let word = match policy::policy_answer(&self.table, &query, &verdict, form, now, &mut out) {
            PolicyAnswer::Written { .. } => "written",
            PolicyAnswer::Drop => "drop",
            PolicyAnswer::Redirect => "redirect",
        };
        Ok((word, PyBytes::new(py, if word == "written" { &out } else { b"" })))
    }
}

impl PolicyTable {
    /// The verdict on a name and the judgement on an answer to it.
    fn judge(&self, qname: &[u8], judged_by: &JudgedBy<'_>, now: f64) -> PyResult<(Verdict, Judgement)> {
        let (fields, over_stream) = judged_by;
        let response = response_from(fields, qname)?;
        let mut verdict = self.table.judge_name(qname, now);
        if *over_stream {
            verdict = verdict.over_stream();
        }
        let judgement = self.table.judge_response(&verdict, qname, &response, now);
        Ok((verdict, judgement))
    }
}

fn verdict_fields<'py>(py: Python<'py>, verdict: &Verdict) -> PyResult<Bound<'py, PyTuple>> {
    let matched = verdict.matched.as_ref();
    let denied = verdict.denied.as_deref().map(|name| PyBytes::new(py, name));
    let over_stream = verdict.over_stream.as_deref().map(|other| verdict_fields(py, other)).transpose()?;
    let fields = [
        verdict.action.label().into_pyobject(py)?.into_any(),
        matched.map(|matched| matched.rule).into_pyobject(py)?.into_any(),
        matched.and_then(|matched| matched.form).map(|form| form.label()).into_pyobject(py)?.into_any(),
        matched.map(|matched| matched.owner_offset).into_pyobject(py)?.into_any(),
        verdict.shadow.into_pyobject(py)?.into_any(),
        (verdict.exemption as u8).into_pyobject(py)?.into_any(),
        denied.into_pyobject(py)?.into_any(),
        verdict.nxdomain_ok.into_pyobject(py)?.to_owned().into_any(),
        verdict.valid_until.into_pyobject(py)?.into_any(),
        verdict.kept_links.into_pyobject(py)?.into_any(),
        over_stream.into_pyobject(py)?.into_any(),
    ];
    PyTuple::new(py, fields)
}
