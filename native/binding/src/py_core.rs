//! The class `Core`: the request flow without sockets, and what it counts on all threads.
//!
//! Knows: the flow, images in files.  Does not know: sockets, threads, how an answer is made.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use resolver_core::access::{AccessList, RateLimiter};
use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    Asked, Attempt, Desk, Finished, FlightKey, Flow, FlowConfig, Heard, Hearing, HitId, Incoming, Memo,
    Outcome, Peer, Replies, Route, Source, UpstreamSet, UpstreamView, Waiter,
};
use resolver_core::local::LocalNames;
use resolver_core::policy::{Image, PolicyTable};

use crate::fields::{address_from, handover_fields, waiters_fields, RouteAs};
use crate::py_cache::Cache;
use crate::ring::{Handover, HandoverReason};
use crate::shared::{Heart, Ledger};

/// Units of the TCP keepalive in a second (RFC 7828 §3.1).
const KEEPALIVE_UNITS_PER_S: f64 = 10.0;

/// Octets of the memo that `answer_batch` works with: enough for a test.
const MEMO_OCTETS: usize = 1 << 20;

/// What tells one file from another, and from itself after a change.
type FileMark = (u64, u64, u64, i64, i64);

/// What the calls of Python's threads work with.
struct Own {
    entropy: Entropy,
    out: Vec<u8>,
    memo: Memo,
    attempts: HashMap<u64, Box<Attempt>>,
    tickets: HashMap<u64, FlightKey>,
    next: u64,
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct Core {
    /// Shared with every plane over it.
    pub heart: Arc<Heart>,
    ledger: Arc<Mutex<Ledger>>,
    own: Mutex<Own>,
    /// The image that was published last, to be used again while its file is the same.
    image: Mutex<Option<(FileMark, Arc<Image>)>>,
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

fn word_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Respond => 0,
        Outcome::Drop { close: false } => 1,
        Outcome::Drop { close: true } => 2,
        Outcome::Ask => 3,
        Outcome::Punt => 4,
    }
}

type Network = (Vec<u8>, u8);
type Record = (Vec<u8>, Vec<Vec<u8>>);
type SetFields = (Vec<u8>, i64, bool, bool, f64, f64);
type Key = (&'static str, &'static str, [Option<&'static str>; 3], HitId, HitId);

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (cache, *, allow, rate_limit_qps, records, tcp_idle_s, in_flight_max, waiters_max,
                        waiting_max, punt_blocked, punt_all, seed=None))]
    #[allow(clippy::too_many_arguments)] // Each is a setting of its own, given by name.
    fn new(
        cache: &Cache,
        allow: Vec<Network>,
        rate_limit_qps: u32,
        records: Vec<Record>,
        tcp_idle_s: f64,
        in_flight_max: usize,
        waiters_max: usize,
        waiting_max: usize,
        punt_blocked: bool,
        punt_all: bool,
        seed: Option<Vec<u8>>,
    ) -> PyResult<Core> {
        let network = |(address, bits): &Network| Ok((address_from(address)?, *bits));
        let record = |(name, addresses): &Record| {
            let addresses = addresses.iter().map(|address| address_from(address));
            Ok((name.clone(), addresses.collect::<PyResult<Vec<IpAddr>>>()?))
        };
        let mut entropy = match seed {
            None => Entropy::new(),
            Some(seed) => Entropy::from_seed(
                seed.try_into().map_err(|_| PyValueError::new_err("a seed has 32 octets"))?,
            ),
        };
        let config = FlowConfig {
            access: AccessList::new(&allow.iter().map(network).collect::<PyResult<Vec<_>>>()?),
            limiter: (rate_limit_qps > 0).then(|| RateLimiter::new(rate_limit_qps)),
            local: LocalNames::new(&records.iter().map(record).collect::<PyResult<Vec<_>>>()?),
            keepalive_units: (tcp_idle_s * KEEPALIVE_UNITS_PER_S) as u16,
            in_flight_max,
            waiters_max,
            waiting_max,
            punt_blocked,
            punt_all,
        };
        let flow = Flow::new(config, Arc::clone(&cache.inner));
        let heart = Arc::new(Heart::new(flow, Arc::clone(&cache.guard)));
        let ledger = heart.new_ledger();
        let own = Own {
            memo: Memo::new(MEMO_OCTETS, &mut entropy),
            entropy,
            out: Vec::new(),
            attempts: HashMap::new(),
            tickets: HashMap::new(),
            next: 1,
        };
        Ok(Core { heart, ledger, own: Mutex::new(own), image: Mutex::new(None) })
    }

    fn publish(
        &self,
        py: Python<'_>,
        path: std::path::PathBuf,
        generation: u64,
        wall: f64,
        monotonic: f64,
    ) -> PyResult<()> {
        let publish = || {
            let image = self.open_image(&path)?;
            self.heart.flow.publish(PolicyTable::new(image, generation, wall, monotonic));
            Ok(())
        };
        py.detach(|| self.heart.guard.call_or_raise(publish))
    }

    fn withdraw(&self) {
        self.heart.flow.withdraw();
    }

    fn publish_upstreams(&self, servers: Vec<(String, u16)>, sets: Vec<SetFields>) -> PyResult<()> {
        let server = |(address, port): &(String, u16)| {
            let address: IpAddr = address
                .parse()
                .map_err(|_| PyValueError::new_err(format!("{address:?} is no numeric address")))?;
            Ok(SocketAddr::new(address, *port))
        };
        let servers = servers.iter().map(server).collect::<PyResult<Vec<_>>>()?;
        let set = |(suffix, first, edns, trust_ad, timeout_s, probe_at): SetFields| {
            let first = u16::try_from(first).ok().filter(|&number| usize::from(number) < servers.len());
            (suffix, UpstreamSet { first, edns, trust_ad, timeout_s, probe_at })
        };
        let sets = sets.into_iter().map(set).collect();
        self.heart.guard.call_or_raise(|| {
            // Before the sets that speak of them.
            if !self.heart.set_servers(&servers) {
                return Err(PyValueError::new_err("an upstream's number must keep its meaning"));
            }
            self.heart.flow.publish_upstreams(UpstreamView::new(servers, sets));
            Ok(())
        })
    }

    fn answer<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
        address: &[u8],
        is_stream: bool,
        now: f64,
    ) -> PyResult<(u8, Bound<'py, PyBytes>)> {
        let peer = Peer { address: address_from(address)?, is_stream };
        let policy = self.heart.flow.policy();
        let nothing = || PyBytes::new(py, b"");
        let Some(policy) = policy.as_deref() else { return Ok((word_of(Outcome::Punt), nothing())) };
        let answer = || {
            let began = Instant::now();
            let own = &mut *self.own.lock();
            let mut ledger = self.ledger.lock();
            let tallies = &mut ledger.tallies;
            let outcome = self.heart.flow.answer_now(policy, octets, &peer, now, &mut own.out, tallies);
            tallies.settle(began.elapsed().as_secs_f64());
            let message = if outcome == Outcome::Respond { PyBytes::new(py, &own.out) } else { nothing() };
            (word_of(outcome), message)
        };
        Ok(self.heart.guard.call(|| (word_of(Outcome::Punt), nothing()), answer))
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
        let peer = Peer { address: address_from(address)?, is_stream: false };
        let policy = self.heart.flow.policy();
        let Some(policy) = policy.as_deref() else { return Ok(("punt",).into_pyobject(py)?.into_any()) };
        let Own { entropy, out, attempts, next, .. } = &mut *self.own.lock();
        let tallies = &mut self.ledger.lock().tallies;
        let route = Route::by_token(token);
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
        let each = |waiter: &Waiter, finished: Finished| match finished {
            Finished::Reply(reply) => told.push((waiter.route.token, Some(PyBytes::new(py, reply)))),
            Finished::Drop => told.push((waiter.route.token, None)),
            Finished::Punt => punts.push(waiter.route.token),
        };
        match self.heart.flow.heard(asked, octets, hearing, each) {
            Heard::Done => {
                own.attempts.remove(&attempt);
                Ok(("done", told, punts).into_pyobject(py)?.into_any())
            }
            Heard::HandOver => {
                let handover = self.hand_over(own, attempt, HandoverReason::Reply, Some(octets.into()))?;
                let fields = handover_fields(py, &handover, &RouteAs::Token)?;
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
        handover_fields(py, &handover, &RouteAs::Token)
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
        waiters.map(|waiters| waiters_fields(py, &waiters, &RouteAs::Token)).transpose()
    }

    fn let_go(&self, qname: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) {
        self.heart.let_go(qname, qtype, dnssec_ok, checking_disabled);
    }

    fn close_ticket(&self, ticket: u64) {
        if let Some(key) = self.own.lock().tickets.remove(&ticket) {
            self.heart.flow.release(&key);
        }
    }

    fn judge_name<'py>(&self, py: Python<'py>, qname: &[u8], now: f64) -> PyResult<Bound<'py, PyTuple>> {
        let policy = self.heart.flow.policy();
        let Some(policy) = policy.as_deref() else { return Err(PyValueError::new_err("there is no policy")) };
        let verdict = policy.table.judge_name(qname, now);
        let matched = verdict.matched.as_ref();
        let fields = [
            verdict.action.label().into_pyobject(py)?.into_any(),
            matched.map(|matched| matched.rule).into_pyobject(py)?.into_any(),
            matched.and_then(|matched| matched.form).map(|form| form.label()).into_pyobject(py)?.into_any(),
            verdict.shadow.into_pyobject(py)?.into_any(),
            (verdict.exemption as u8).into_pyobject(py)?.into_any(),
            verdict.nxdomain_ok.into_pyobject(py)?.to_owned().into_any(),
            verdict.valid_until.into_pyobject(py)?.into_any(),
        ];
        PyTuple::new(py, fields)
    }

    fn tallies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let sums = py.detach(|| self.heart.guard.call_or_raise(|| Ok(self.sum_up())))?;
        let hit = |id: HitId| self.heart.flow.hit(id).map(|hit| (hit.kind, hit.label, hit.action, hit.mode));
        let rows =
            sums.into_iter().map(|((transport, qtype, [rcode, source, reason], enforced, shadow), sum)| {
                let (count, seconds) = sum;
                (transport, qtype, rcode, source, reason, hit(enforced), hit(shadow), count, seconds)
            });
        PyList::new(py, rows.collect::<Vec<_>>())
    }

    fn late<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sum_up = || {
            Ok(Source::ALL.map(|source| {
                let mut sum = [0; resolver_core::flow::SECONDS_BOUNDS.len() + 1];
                for ledger in self.heart.ledgers() {
                    for (total, more) in sum.iter_mut().zip(ledger.lock().tallies.late(source)) {
                        *total += more;
                    }
                }
                sum
            }))
        };
        let sums = py.detach(|| self.heart.guard.call_or_raise(sum_up))?;
        let late = PyDict::new(py);
        for (source, sum) in Source::ALL.iter().zip(sums) {
            late.set_item(source.label(), sum.to_vec())?;
        }
        Ok(late)
    }

    #[getter]
    fn in_flight(&self) -> usize {
        self.heart.flow.in_flight()
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.heart.flow.waiting()
    }
}

impl Core {
    /// The image in a file, read whole; or the one published last, if that is still the same file.
    fn open_image(&self, path: &std::path::Path) -> PyResult<Arc<Image>> {
        let unusable = |why: String| PyValueError::new_err(format!("{}: {why}", path.display()));
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        let stat = file.metadata().map_err(|error| unusable(error.to_string()))?;
        let mark = (stat.dev(), stat.ino(), stat.len(), stat.mtime(), stat.mtime_nsec());
        let mut last = self.image.lock();
        if let Some((known, image)) = &*last {
            if *known == mark {
                return Ok(Arc::clone(image));
            }
        }
        // SAFETY: images are written once under another name, renamed, and never changed in place; what reads
        // them checks every offset it follows, whatever the octets.
        let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(|error| unusable(error.to_string()))?;
        let image = Image::open(Box::new(mapped)).map_err(|error| unusable(error.0))?;
        image.verify().map_err(|error| unusable(error.0))?;
        let image = Arc::new(image);
        *last = Some((mark, Arc::clone(&image)));
        Ok(image)
    }

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

    fn sum_up(&self) -> HashMap<Key, (u64, f64)> {
        let mut sums: HashMap<Key, (u64, f64)> = HashMap::new();
        for ledger in self.heart.ledgers() {
            let rows = ledger.lock().tallies.rows();
            for row in rows {
                let words = [row.rcode, row.source, row.reason];
                let sum =
                    sums.entry((row.transport, row.qtype, words, row.enforced, row.shadow)).or_default();
                sum.0 += row.count;
                sum.1 += row.seconds;
            }
        }
        sums
    }
}
