//! The class `Plane`: threads and sockets over a core.
//!
//! Knows: starting, stopping, what crosses to the threads.  Does not know: what they do with a query.
//! Every listening socket gets a thread of its own, so that it can wait in the kernel for that socket alone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{mpsc, Arc};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use resolver_core::flow::DatagramRoute;

use crate::fields::{handover_fields, packed, question_from, route_field, waiters_fields, QuestionFields};
use crate::py_core::Core;
use crate::ring::thread_of;
use crate::ring::{Event, Ring, WorkerEvent};
use crate::shared::{
    Command, Mailbox, Shared, SharedFlow, UpstreamReport, SIGNAL_PANIC, SIGNAL_STOP, SIGNAL_STOP_READING,
};
use crate::sys::{ListenSocket, SendQueue};
use crate::udp_socket::SourcePorts;
use crate::worker;

/// Threads that a ticket has room to name.
const THREADS_MAX: usize = 256;

struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    send_queue: SendQueue,
}

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct Plane {
    shared_flow: Arc<SharedFlow>,
    /// None: closed.
    running: Mutex<Option<Running>>,
    /// What was counted by the time it was closed.
    totals: Mutex<BTreeMap<&'static str, u64>>,
}

type SocketFields = (i32, bool, bool);

#[pymethods]
impl Plane {
    #[new]
    #[pyo3(signature = (core, sockets, *, sockets_per_upstream=1024, sockets_max=16_384,
                        usable_ports=Vec::new(), events_max=8192, memo_octets=8_388_608,
                        record_octets=16_777_216))]
    #[allow(clippy::too_many_arguments)] // Each is a setting of its own, given by name.
    fn new(
        core: &Core,
        sockets: Vec<Vec<SocketFields>>,
        sockets_per_upstream: usize,
        sockets_max: usize,
        usable_ports: Vec<u16>,
        events_max: usize,
        memo_octets: usize,
        record_octets: usize,
    ) -> PyResult<Plane> {
        let shared_flow = Arc::clone(&core.shared_flow);
        let (mut listening, mut workers) = (Vec::new(), Vec::new());
        for (worker, sockets) in sockets.iter().enumerate() {
            for &(fd, is_ipv6, with_control) in sockets {
                listening.push(ListenSocket::duplicate(fd, is_ipv6, with_control)?);
                workers.push(worker as u16);
            }
        }
        if listening.len() > THREADS_MAX || events_max == 0 {
            return Err(PyValueError::new_err("at most 256 sockets, and room for at least one event"));
        }
        let threads = listening.len().max(1);
        let shared = Shared {
            ring: Ring::new(events_max)?,
            mailboxes: listening
                .iter()
                .map(|_| Mailbox::new(&shared_flow, record_octets / threads))
                .collect::<std::io::Result<_>>()?,
            sockets: listening,
            workers,
            down: Mutex::new(vec![0; sockets.len()]),
            sockets_per_upstream: sockets_per_upstream.max(1),
            source_ports: Arc::new(SourcePorts::new(usable_ports, sockets_max)),
            memo_octets: memo_octets / threads,
            shared_flow: Arc::clone(&shared_flow),
        };
        let running = Running { shared: Arc::new(shared), threads: Vec::new(), send_queue: SendQueue::new() };
        Ok(Plane { shared_flow, running: Mutex::new(Some(running)), totals: Mutex::default() })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut running = self.running.lock();
            let Running { shared, threads, .. } = running.as_mut().ok_or_else(closed)?;
            if !threads.is_empty() {
                return Err(PyRuntimeError::new_err("the plane was started before"));
            }
            let (named, names_taken) = mpsc::channel();
            for number in 0..shared.sockets.len() {
                let (shared, named) = (Arc::clone(shared), named.clone());
                let thread = thread::Builder::new().name(format!("dns-udp-{number}")).spawn(move || {
                    let _ = named.send(());
                    worker::run(&shared, number as u16);
                });
                match thread {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        stop(&mut running);
                        return Err(PyOSError::new_err(error.to_string()));
                    }
                }
            }
            // A thread takes its name when it first runs; whoever tells threads apart by theirs comes after this.
            for _ in threads.iter() {
                let _ = names_taken.recv();
            }
            Ok(())
        })
    }

    fn stop_reading(&self) {
        self.each_mailbox(|mailbox| mailbox.signal(SIGNAL_STOP_READING));
    }

    fn hand_over_all(&self) {
        self.each_mailbox(|mailbox| mailbox.command(Command::HandOverAll));
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            let mut running = self.running.lock();
            stop(&mut running);
            if let Some(running) = running.take() {
                *self.totals.lock() = totals(&running.shared, &self.shared_flow);
            }
        });
    }

    fn fileno(&self) -> PyResult<i32> {
        let running = self.running.lock();
        let running = running.as_ref().ok_or_else(closed)?;
        Ok(running.shared.ring.wakeup().as_raw_fd())
    }

    #[pyo3(signature = (max=256))]
    fn drain<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        let Some(shared) = self.shared() else { return Ok(events) };
        let (notices, drained) = self.shared_flow.guard.call_or_raise(|| Ok(shared.ring.drain(max)))?;
        for notice in notices {
            match notice {
                WorkerEvent::Down(worker) => events.append(("down", worker))?,
                WorkerEvent::Up(worker) => events.append(("up", worker))?,
            }
        }
        for event in drained {
            match event {
                Event::Query { octets, address, route } => events.append((
                    "query",
                    PyBytes::new(py, &octets),
                    packed(py, address),
                    route_field(py, &route)?,
                ))?,
                Event::Handover(handover) => {
                    events.append(("handover", handover_fields(py, &handover)?))?;
                }
                Event::Late { ticket, octets } => {
                    events.append(("late", ticket, PyBytes::new(py, &octets)))?;
                }
                Event::Broken { ticket, reason } => {
                    events.append(("broken", ticket, reason.label()))?;
                }
            }
        }
        Ok(events)
    }

    fn send(&self, route: &[u8], octets: &[u8]) -> PyResult<bool> {
        let route = DatagramRoute::from_octets(route)
            .ok_or_else(|| PyValueError::new_err("no route of this plane"))?;
        let send = || {
            let mut running = self.running.lock();
            let Some(Running { shared, send_queue, .. }) = running.as_mut() else { return Ok(false) };
            let thread = usize::from(route.thread);
            let Some(socket) = shared.sockets.get(thread) else {
                return Err(PyValueError::new_err("no route of this plane"));
            };
            send_queue.put(&route, octets);
            let is_sent = send_queue.send(socket) == 0;
            if !is_sent {
                shared.mailboxes[thread].counters.send_failed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(is_sent)
        };
        self.shared_flow.guard.call(|| Ok(false), send)
    }

    fn claim<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let waiters = self.shared_flow.claim(question_from(&question)?);
        waiters.map(|waiters| waiters_fields(py, &waiters)).transpose()
    }

    fn release(&self, question: QuestionFields<'_>) -> PyResult<()> {
        self.shared_flow.release(question_from(&question)?);
        Ok(())
    }

    fn close_ticket(&self, ticket: u64) {
        let close = || {
            if let Some(shared) = self.shared() {
                if let Some(mailbox) = shared.mailboxes.get(thread_of(ticket)) {
                    mailbox.command(Command::Close(ticket));
                }
            }
        };
        self.shared_flow.guard.call(|| (), close);
    }

    #[allow(clippy::type_complexity)] // One row of the stub file.
    fn upstream_reports<'py>(
        &self,
        py: Python<'py>,
    ) -> Vec<(usize, u64, u64, f64, Vec<u64>, f64, u64, u64, Option<Bound<'py, PyBytes>>)> {
        let sum_up = || {
            let mut sums: Vec<UpstreamReport> = Vec::new();
            for counts in self.shared_flow.all_counts() {
                let taken = counts.lock().take_upstreams();
                sums.resize(sums.len().max(taken.len()), UpstreamReport::default());
                for (sum, report) in sums.iter_mut().zip(&taken) {
                    sum.add(report);
                }
            }
            sums
        };
        let sums = py.detach(|| self.shared_flow.guard.call(Vec::new, sum_up));
        let servers = self.shared_flow.servers();
        let row = |(number, sum): (usize, &UpstreamReport)| {
            let mean_s = if sum.answers == 0 { 0.0 } else { sum.sum_s / sum.answers as f64 };
            let certificate = servers.get(number).and_then(|server| server.certificate.lock().take());
            let certificate = certificate.map(|octets| PyBytes::new(py, &octets));
            let (handshakes, resumptions) = (sum.handshakes, sum.resumptions);
            let buckets = sum.buckets.to_vec();
            (
                number,
                sum.queries,
                sum.answers,
                sum.sum_s,
                buckets,
                mean_s,
                handshakes,
                resumptions,
                certificate,
            )
        };
        let has_news =
            |sum: &UpstreamReport| sum.queries + sum.answers + sum.handshakes + sum.resumptions > 0;
        sums.iter().enumerate().filter(|(_, sum)| has_news(sum)).map(row).collect()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = match self.shared() {
            Some(shared) => totals(&shared, &self.shared_flow),
            None => self.totals.lock().clone(),
        };
        let counters = PyDict::new(py);
        for (name, total) in totals {
            counters.set_item(name, total)?;
        }
        Ok(counters)
    }
}

impl Plane {
    /// The next query of each of this worker's threads panics (tests).
    pub fn panic_worker(&self, worker: u16) {
        if let Some(shared) = self.shared() {
            for (mailbox, _) in shared.mailboxes.iter().zip(&shared.workers).filter(|(_, &of)| of == worker) {
                mailbox.signal(SIGNAL_PANIC);
            }
        }
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.running.lock().as_ref().map(|running| Arc::clone(&running.shared))
    }

    fn each_mailbox(&self, apply: impl Fn(&Mailbox)) {
        if let Some(shared) = self.shared() {
            shared.mailboxes.iter().for_each(apply);
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // The threads know nothing of Python, so waiting for them here cannot lock up.
        stop(&mut self.running.lock());
    }
}

/// End the threads, if there are any.
fn stop(running: &mut Option<Running>) {
    let Some(Running { shared, threads, .. }) = running else { return };
    for mailbox in &shared.mailboxes {
        mailbox.signal(SIGNAL_STOP);
    }
    for thread in threads.drain(..) {
        thread.thread().unpark();
        // A thread that died has reported it; its end is all that matters here.
        let _ = thread.join();
    }
}

fn totals(shared: &Shared, shared_flow: &SharedFlow) -> BTreeMap<&'static str, u64> {
    let mut totals = BTreeMap::new();
    for (name, count) in shared.mailboxes.iter().flat_map(|mailbox| mailbox.counters.named()) {
        *totals.entry(name).or_default() += count;
    }
    let counts = &shared_flow.flow.counts;
    for (name, count) in
        [("asked", &counts.asked), ("coalesced", &counts.coalesced), ("overloads", &counts.overloads)]
    {
        totals.insert(name, count.load(Ordering::Relaxed));
    }
    *totals.entry("panics").or_default() += shared_flow.guard.panics.load(Ordering::Relaxed);
    totals
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the plane is closed")
}
