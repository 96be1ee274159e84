//! The class `Steps`: what a thread of the plane does with a core, one step at a time, for tests.
//!
//! Knows: the flow's steps and what they tell.  Does not know: sockets, threads, time.

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
    Asked, Attempt, Desk, Finished, FlightKey, Heard, Hearing, Incoming, Memo, Replies, Route, Transport,
    Waiter,
};

use crate::fields::{address_from, handover_fields, waiters_fields};
use crate::py_core::{word_of, Core};
use crate::ring::{Handover, HandoverReason};
use crate::shared::{Heart, Ledger};

/// Octets of the memo that stands in front: enough for a test.
const MEMO_OCTETS: usize = 1 << 20;

/// What a thread has of its own.
struct Own {
    entropy: Entropy,
    out: Vec<u8>,
    memo: Memo,
    attempts: HashMap<u64, Box<Attempt>>,
    tickets: HashMap<u64, FlightKey>,
    next: u64,
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native.testing")]
pub struct Steps {
    heart: Arc<Heart>,
    ledger: Arc<Mutex<Ledger>>,
    own: Mutex<Own>,
}

/// Answers of a batch.
struct Rows {
    room: Vec<u8>,
    words: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

impl Replies for Rows {
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
            entropy,
            out: Vec::new(),
            attempts: HashMap::new(),
            tickets: HashMap::new(),
            next: 1,
        };
        let heart = Arc::clone(&core.heart);
        Ok(Steps { ledger: heart.new_ledger(), heart, own: Mutex::new(own) })
    }

    fn answer_batch<'py>(
        &self,
        py: Python<'py>,
        queries: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
        now: f64,
    ) -> PyResult<Vec<(u8, Bound<'py, PyBytes>)>> {
        let incoming = |(octets, address): &(Bound<'py, PyBytes>, Bound<'py, PyBytes>)| {
            Ok((octets.as_bytes().to_vec(), address_from(address.as_bytes())?))
        };
        let queries: Vec<(Vec<u8>, IpAddr)> = queries.iter().map(incoming).collect::<PyResult<_>>()?;
        let batch: Vec<Incoming> =
            queries.iter().map(|(octets, address)| Incoming { octets, address: *address }).collect();
        let count = batch.len();
        let mut rows = Rows { room: Vec::new(), words: vec![4; count], messages: vec![Vec::new(); count] };
        let policy = self.heart.flow.policy();
        if let Some(policy) = policy.as_deref() {
            let began = Instant::now();
            let own = &mut *self.own.lock();
            let mut ledger = self.ledger.lock();
            let tallies = &mut ledger.tallies;
            let mut rest = Vec::new();
            let desk = Desk { now, memo: &mut own.memo, tallies, concluded: &mut 0 };
            self.heart.flow.answer_batch(policy, &batch, desk, &mut rows, |index, outcome| {
                rest.push((index, outcome));
            });
            ledger.tallies.settle(began.elapsed().as_secs_f64());
            for (index, outcome) in rest {
                rows.words[index] = word_of(outcome);
            }
        }
        let told = rows.words.into_iter().zip(&rows.messages);
        Ok(told.map(|(word, message)| (word, PyBytes::new(py, message))).collect())
    }

    fn ask<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
        address: &[u8],
        now: f64,
        token: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let peer = self.heart.flow.peer(address_from(address)?, Transport::Udp);
        let policy = self.heart.flow.policy();
        let Some(policy) = policy.as_deref() else { return Ok(("punt",).into_pyobject(py)?.into_any()) };
        let Own { entropy, out, attempts, next, .. } = &mut *self.own.lock();
        let tallies = &mut self.ledger.lock().tallies;
        let route = Route::Stream { connection: token };
        let asked = self.heart.flow.ask(policy, octets, &peer, &route, now, entropy, out, tallies);
        tallies.settle(0.0);
        Ok(match asked {
            Asked::Send(attempt) => {
                let number = std::mem::replace(next, *next + 1);
                let message = PyBytes::new(py, &attempt.octets);
                let fields = ("send", number, attempt.upstream, message);
                attempts.insert(number, attempt);
                fields.into_pyobject(py)?.into_any()
            }
            Asked::Joined => ("joined",).into_pyobject(py)?.into_any(),
            Asked::Reply => ("reply", PyBytes::new(py, out)).into_pyobject(py)?.into_any(),
            Asked::Punt => ("punt",).into_pyobject(py)?.into_any(),
        })
    }

    fn heard<'py>(
        &self,
        py: Python<'py>,
        attempt: u64,
        octets: &[u8],
        now: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = &mut *self.own.lock();
        let asked = own.attempts.get(&attempt).ok_or_else(|| PyKeyError::new_err("no such attempt"))?;
        let policy = self.heart.flow.policy();
        let Some(policy) = policy.as_deref() else { return Err(PyValueError::new_err("there is no policy")) };
        let mut told: Vec<(u64, Option<Bound<'py, PyBytes>>)> = Vec::new();
        let mut punts: Vec<u64> = Vec::new();
        let mut ledger = self.ledger.lock();
        let hearing = Hearing { policy, now, out: &mut own.out, tallies: &mut ledger.tallies };
        let each = |waiter: &Waiter, finished: Finished| {
            let Route::Stream { connection: token } = waiter.route else { return };
            match finished {
                Finished::Reply(reply) => told.push((token, Some(PyBytes::new(py, reply)))),
                Finished::Drop => told.push((token, None)),
                Finished::Punt => punts.push(token),
            }
        };
        match self.heart.flow.heard(asked, octets, hearing, each) {
            Heard::Done => {
                own.attempts.remove(&attempt);
                Ok(("done", told, punts).into_pyobject(py)?.into_any())
            }
            Heard::HandOver => {
                let handover = self.hand_over(own, attempt, HandoverReason::Reply, Some(octets.into()))?;
                let fields = handover_fields(py, &handover)?;
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
        handover_fields(py, &handover)
    }

    fn want<'py>(
        &self,
        py: Python<'py>,
        qname: &[u8],
        qtype: u16,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let waiters = self.heart.want(qname, qtype, dnssec_ok, checking_disabled);
        waiters.map(|waiters| waiters_fields(py, &waiters)).transpose()
    }

    fn let_go(&self, qname: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) {
        self.heart.let_go(qname, qtype, dnssec_ok, checking_disabled);
    }

    fn close_ticket(&self, ticket: u64) {
        if let Some(key) = self.own.lock().tickets.remove(&ticket) {
            self.heart.flow.release(&key);
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
        let waiters = self.heart.flow.hand_over(&attempt.key).into_iter().collect();
        own.tickets.insert(number, attempt.key.clone());
        Ok(Handover { attempt, ticket: number, octets, reason, waiters })
    }
}
