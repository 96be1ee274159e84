//! The class `Steps`: what a thread of the plane does with a core, one step at a time, for tests.
//!
//! Knows: the flow's steps and what they return.  Does not know: sockets, threads, time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    AskOutcome, Attempt, AttemptMaker, BatchContext, FlightKey, Incoming, Memo, ReplySink, ResponseContext,
    ResponseResult, Route, StreamRoute, Waiter, WaiterReply,
};

use crate::fields::{
    address_from, handover_fields, question_from, transport_from, waiters_fields, QuestionFields,
};
use crate::py_core::{word_of, Core};
use crate::ring::{Handover, HandoverReason};
use crate::shared_flow::{SharedFlow, ThreadCounts};

/// Octets of the memo that stands in front: enough for a test.
const MEMO_OCTETS: usize = 1 << 20;

/// Octets of the records that wait: enough for a test.
const RECORD_OCTETS: usize = 1 << 20;

/// What a thread has of its own.
struct Own {
    maker: AttemptMaker,
    out: Vec<u8>,
    memo: Memo,
    attempts: HashMap<u64, Box<Attempt>>,
    tickets: HashMap<u64, FlightKey>,
    next: u64,
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native.testing")]
pub struct Steps {
    shared_flow: Arc<SharedFlow>,
    counts: Arc<Mutex<ThreadCounts>>,
    own: Mutex<Own>,
}

/// A client's token, which it was given for a way back.
fn token_field<'py>(py: Python<'py>, route: &Route) -> PyResult<Bound<'py, PyAny>> {
    let Route::Stream(route) = route else { return Err(PyValueError::new_err("no token")) };
    Ok(route.number().into_pyobject(py)?.into_any())
}

/// Answers of a batch.
struct Rows {
    room: Vec<u8>,
    words: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

impl ReplySink for Rows {
    fn room(&mut self) -> &mut Vec<u8> {
        &mut self.room
    }

    fn put(&mut self, index: usize) {
        self.words[index] = 0;
        self.messages[index].clone_from(&self.room);
    }
}

#[pymethods]
impl Steps {
    #[new]
    #[pyo3(signature = (core, *, seed=None))]
    fn new(core: &Core, seed: Option<Vec<u8>>) -> PyResult<Steps> {
        let mut entropy = match seed {
            None => Entropy::new(),
            Some(seed) => Entropy::from_seed(
                seed.try_into().map_err(|_| PyValueError::new_err("a seed has 32 octets"))?,
            ),
        };
        let own = Own {
            memo: Memo::new(MEMO_OCTETS, &mut entropy),
            maker: AttemptMaker::new(entropy),
            out: Vec::new(),
            attempts: HashMap::new(),
            tickets: HashMap::new(),
            next: 1,
        };
        let shared_flow = Arc::clone(&core.shared_flow);
        Ok(Steps { counts: shared_flow.new_counts(RECORD_OCTETS), shared_flow, own: Mutex::new(own) })
    }

    #[pyo3(signature = (queries, now, *, transport=0))]
    fn answer_batch<'py>(
        &self,
        py: Python<'py>,
        queries: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
        now: f64,
        transport: u8,
    ) -> PyResult<Vec<(u8, Bound<'py, PyBytes>)>> {
        let incoming = |(octets, address): &(Bound<'py, PyBytes>, Bound<'py, PyBytes>)| {
            Ok((octets.as_bytes().to_vec(), address_from(address.as_bytes())?))
        };
        let queries: Vec<(Vec<u8>, IpAddr)> = queries.iter().map(incoming).collect::<PyResult<_>>()?;
        let transport = transport_from(transport)?;
        let batch: Vec<Incoming> = queries
            .iter()
            .map(|(octets, address)| Incoming { octets, address: *address, transport })
            .collect();
        let count = batch.len();
        let mut rows = Rows { room: Vec::new(), words: vec![4; count], messages: vec![Vec::new(); count] };
        let policy = self.shared_flow.flow.policy();
        if let Some(policy) = policy.as_deref() {
            let began = Instant::now();
            let own = &mut *self.own.lock();
            let mut counts = self.counts.lock();
            let tallies = &mut counts.tallies;
            let mut rest = Vec::new();
            let context = BatchContext { now, memo: &mut own.memo, tallies, concluded: &mut 0 };
            self.shared_flow.flow.answer_batch(policy, &batch, context, &mut rows, |index, outcome| {
                rest.push((index, outcome));
            });
            counts.tallies.settle(began.elapsed().as_secs_f64());
            for (index, outcome) in rest {
                rows.words[index] = word_of(outcome);
            }
        }
        let outcomes = rows.words.into_iter().zip(&rows.messages);
        Ok(outcomes.map(|(word, message)| (word, PyBytes::new(py, message))).collect())
    }

    #[pyo3(signature = (octets, address, now, token, *, transport=0))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
        address: &[u8],
        now: f64,
        token: u64,
        transport: u8,
    ) -> PyResult<Bound<'py, PyAny>> {
        let peer = self.shared_flow.flow.peer(address_from(address)?, transport_from(transport)?);
        let policy = self.shared_flow.flow.policy();
        let Some(policy) = policy.as_deref() else { return Ok(("punt",).into_pyobject(py)?.into_any()) };
        let Own { maker, out, attempts, next, .. } = &mut *self.own.lock();
        let tallies = &mut self.counts.lock().tallies;
        let route = Route::Stream(StreamRoute::numbered(token));
        let asked = self.shared_flow.flow.ask(policy, octets, &peer, &route, now, maker, out, tallies);
        tallies.settle(0.0);
        Ok(match asked {
            AskOutcome::Send(attempt) => {
                let number = std::mem::replace(next, *next + 1);
                let message = PyBytes::new(py, &attempt.octets);
                let fields = ("send", number, attempt.upstream, message);
                attempts.insert(number, attempt);
                fields.into_pyobject(py)?.into_any()
            }
            AskOutcome::Joined => ("joined",).into_pyobject(py)?.into_any(),
            AskOutcome::Reply => ("reply", PyBytes::new(py, out)).into_pyobject(py)?.into_any(),
            AskOutcome::Drop => ("drop",).into_pyobject(py)?.into_any(),
            AskOutcome::Punt => ("punt",).into_pyobject(py)?.into_any(),
        })
    }

    fn on_response<'py>(
        &self,
        py: Python<'py>,
        attempt: u64,
        octets: &[u8],
        now: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = &mut *self.own.lock();
        let asked = own.attempts.get(&attempt).ok_or_else(|| PyKeyError::new_err("no such attempt"))?;
        let policy = self.shared_flow.flow.policy();
        let Some(policy) = policy.as_deref() else { return Err(PyValueError::new_err("there is no policy")) };
        let mut answers: Vec<(u64, Option<Bound<'py, PyBytes>>)> = Vec::new();
        let mut punts: Vec<u64> = Vec::new();
        let mut counts = self.counts.lock();
        let context = ResponseContext { policy, now, out: &mut own.out, tallies: &mut counts.tallies };
        let each = |waiter: &Waiter, finished: WaiterReply| {
            let Route::Stream(route) = waiter.route else { return };
            let token = route.number();
            match finished {
                WaiterReply::Reply(reply) => answers.push((token, Some(PyBytes::new(py, reply)))),
                WaiterReply::Drop => answers.push((token, None)),
                WaiterReply::Punt => punts.push(token),
            }
        };
        match self.shared_flow.flow.on_response(asked, octets, context, each) {
            ResponseResult::Done => {
                own.attempts.remove(&attempt);
                Ok(("done", answers, punts).into_pyobject(py)?.into_any())
            }
            ResponseResult::HandOver => {
                let handover = self.hand_over(own, attempt, HandoverReason::Reply, Some(octets.into()))?;
                let fields = handover_fields(py, &handover, token_field)?;
                Ok(("handover", fields).into_pyobject(py)?.into_any())
            }
        }
    }

    fn overdue<'py>(&self, py: Python<'py>, attempt: u64, now: f64) -> PyResult<Bound<'py, PyTuple>> {
        let own = &mut *self.own.lock();
        let asked = own.attempts.get(&attempt).ok_or_else(|| PyKeyError::new_err("no such attempt"))?;
        if now < asked.due_at {
            return Err(PyValueError::new_err("the attempt is not due yet"));
        }
        let handover = self.hand_over(own, attempt, HandoverReason::Timeout, None)?;
        handover_fields(py, &handover, token_field)
    }

    fn claim<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let waiters = self.shared_flow.claim(question_from(&question)?);
        waiters.map(|waiters| waiters_fields(py, &waiters, token_field)).transpose()
    }

    fn release(&self, question: QuestionFields<'_>) -> PyResult<()> {
        self.shared_flow.release(question_from(&question)?);
        Ok(())
    }

    fn close_ticket(&self, ticket: u64) {
        if let Some(key) = self.own.lock().tickets.remove(&ticket) {
            self.shared_flow.flow.release_key(&key);
        }
    }
}

impl Steps {
    fn hand_over(
        &self,
        own: &mut Own,
        number: u64,
        reason: HandoverReason,
        octets: Option<Box<[u8]>>,
    ) -> PyResult<Handover> {
        let attempt = own.attempts.remove(&number).ok_or_else(|| PyKeyError::new_err("no such attempt"))?;
        let waiters = self.shared_flow.flow.hand_over(&attempt.key).into_iter().collect();
        own.tickets.insert(number, attempt.key.clone());
        Ok(Handover { attempt, ticket: number, octets, reason, left: None, waiters })
    }
}
