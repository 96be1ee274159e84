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
use resolver_core::flow::{ConnectionBounds, Route, Transport};

use crate::fields::{
    handover_fields, packed, question_from, route_field, transport_from, waiters_fields, QuestionFields,
};
use crate::https;
use crate::https_counts::HttpsCounts;
use crate::mailbox::{Command, Mailbox, SIGNAL_PANIC, SIGNAL_STOP, SIGNAL_STOP_READING};
use crate::py_core::Core;
use crate::py_upstreams::{report_rows, ReportRow};
use crate::ring::thread_of;
use crate::ring::{Event, Ring, WorkerEvent};
use crate::shared::Shared;
use crate::shared_flow::SharedFlow;
use crate::stream_state::{StreamAnswer, StreamBounds, StreamMailbox, StreamThread, Streams};
use crate::streams;
use crate::sys::{duplicate, ListenSocket, SendQueue};
use crate::tls::TlsServer;
use crate::tls_counts::{SessionRow, TlsCounts};
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

/// Number of the transport, and descriptor.
type StreamFields = (u8, i32);

#[pymethods]
impl Plane {
    #[new]
    #[pyo3(signature = (core, sockets, *, sockets_per_upstream=1024, sockets_max=16_384,
                        usable_ports=Vec::new(), events_max=8192, memo_octets=8_388_608,
                        record_octets=16_777_216, streams=Vec::new(), stream_memo_octets=4_194_304,
                        connections_max=1000, connections_per_client_max=100, held_octets_max=33_554_432,
                        idle_s=10.0, handshakes_per_s_max=1000, handshakes_per_client_max=100,
                        https_streams_max=100, https_header_octets_max=16_384))]
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
        streams: Vec<Vec<StreamFields>>,
        stream_memo_octets: usize,
        connections_max: usize,
        connections_per_client_max: usize,
        held_octets_max: usize,
        idle_s: f64,
        handshakes_per_s_max: u32,
        handshakes_per_client_max: u32,
        https_streams_max: u32,
        https_header_octets_max: u32,
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
        let bounds = StreamBounds {
            connections: ConnectionBounds {
                connections_max: connections_max.max(1),
                per_client_max: connections_per_client_max.max(1),
                held_octets_max: held_octets_max.max(1),
            },
            idle_s,
            handshakes_per_s_max,
            handshakes_per_client_max,
            https_streams_max,
            https_header_octets_max,
            memo_octets: stream_memo_octets / streams.len().max(1),
        };
        let threads = (listening.len() + streams.len()).max(1);
        let record_octets = record_octets / threads;
        let streams = streams
            .iter()
            .map(|sockets| stream_thread(&shared_flow, sockets, record_octets))
            .collect::<PyResult<Vec<_>>>()?;
        let udp_threads = listening.len().max(1);
        let shared = Shared {
            ring: Ring::new(events_max)?,
            mailboxes: listening
                .iter()
                .map(|_| Mailbox::new(&shared_flow, record_octets))
                .collect::<std::io::Result<_>>()?,
            sockets: listening,
            workers,
            down: Mutex::new(vec![0; sockets.len()]),
            sockets_per_upstream: sockets_per_upstream.max(1),
            source_ports: Arc::new(SourcePorts::new(usable_ports, sockets_max)),
            memo_octets: memo_octets / udp_threads,
            streams: Streams::new(streams, bounds),
            tls: TlsServer::new(shared_flow.flow.client_names().has_server_names())
                .map_err(PyOSError::new_err)?,
            tls_counts: TlsCounts::default(),
            https_counts: HttpsCounts::default(),
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
            let udp =
                (0..shared.sockets.len()).map(|number| (format!("dns-udp-{number}"), number, Kind::Udp));
            let streams = shared.streams.threads.iter().enumerate().map(|(number, thread)| {
                let kind = kind_of(thread);
                let word = if matches!(kind, Kind::Https) { "https" } else { "stream" };
                (format!("dns-{word}-{number}"), number, kind)
            });
            for (name, number, kind) in udp.chain(streams).collect::<Vec<_>>() {
                let (shared, named) = (Arc::clone(shared), named.clone());
                let thread = thread::Builder::new().name(name).spawn(move || {
                    let _ = named.send(());
                    match kind {
                        Kind::Udp => worker::run(&shared, number as u16),
                        Kind::Streams => streams::run(&shared, number as u16),
                        Kind::Https => https::run(&shared, number as u16),
                    }
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
        if let Some(shared) = self.shared() {
            let threads = &shared.streams.threads;
            threads.iter().for_each(|thread| thread.letters.mailbox.signal(SIGNAL_STOP_READING));
        }
    }

    fn pulse(&self) -> usize {
        let Some(shared) = self.shared() else { return 0 };
        let of_streams = shared.streams.threads.iter().map(|thread| &thread.letters.mailbox);
        // Each is asked, whatever the others say.
        shared.mailboxes.iter().chain(of_streams).filter(|mailbox| !mailbox.has_beaten()).count()
    }

    fn set_certificates(&self, py: Python<'_>, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<()> {
        let shared = self.shared().ok_or_else(closed)?;
        py.detach(|| {
            let set = || shared.tls.set_certificates(&pairs).map_err(PyValueError::new_err);
            self.shared_flow.guard.call_or_raise(set)
        })
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
                WorkerEvent::StreamDown(thread) => events.append(("stream_down", thread))?,
                WorkerEvent::StreamUp(thread) => events.append(("stream_up", thread))?,
            }
        }
        for event in drained {
            match event {
                Event::Query { octets, peer, route } => events.append((
                    "query",
                    PyBytes::new(py, &octets),
                    packed(py, peer.address),
                    route_field(py, &route)?,
                    peer.transport as u8,
                    peer.name.unwrap_or_default(),
                ))?,
                Event::Handover(handover) => {
                    events.append(("handover", handover_fields(py, &handover, route_field)?))?;
                }
                Event::Late { ticket, octets } => {
                    events.append(("late", ticket, PyBytes::new(py, &octets)))?;
                }
                Event::Broken { ticket, reason, left } => {
                    events.append(("broken", ticket, reason.label(), left))?;
                }
            }
        }
        Ok(events)
    }

    fn send(&self, route: &[u8], octets: &[u8]) -> PyResult<bool> {
        let route = route_from(route)?;
        let send = || {
            let mut running = self.running.lock();
            let Some(Running { shared, send_queue, .. }) = running.as_mut() else { return Ok(false) };
            let route = match route {
                Route::Datagram(route) => route,
                Route::Stream(route) => {
                    shared.streams.put(route, StreamAnswer::Message(octets.into()));
                    shared.streams.ring(route.thread);
                    return Ok(true);
                }
            };
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

    #[pyo3(signature = (route, *, close=true))]
    fn drop(&self, route: &[u8], close: bool) -> PyResult<()> {
        let route = route_from(route)?;
        let drop = || {
            if let (Some(shared), Route::Stream(route)) = (self.shared(), route) {
                shared.streams.put(route, StreamAnswer::Nothing { close });
                shared.streams.ring(route.thread);
            }
        };
        self.shared_flow.guard.call(|| (), drop);
        Ok(())
    }

    fn claim<'py>(
        &self,
        py: Python<'py>,
        question: QuestionFields<'py>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let waiters = self.shared_flow.claim(question_from(&question)?);
        waiters.map(|waiters| waiters_fields(py, &waiters, route_field)).transpose()
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

    fn upstream_reports<'py>(&self, py: Python<'py>) -> Vec<ReportRow<'py>> {
        let sums = py.detach(|| self.shared_flow.guard.call(Vec::new, || self.shared_flow.take_reports()));
        report_rows(py, &sums, &self.shared_flow.servers())
    }

    fn connections(&self) -> (Vec<(&'static str, usize)>, usize) {
        let Some(shared) = self.shared() else { return (Vec::new(), 0) };
        let limits = &shared.streams.limits;
        let open = |transport: &Transport| (transport.label(), limits.open_over(*transport));
        let over = Transport::ALL.iter().filter(|transport| transport.is_stream()).map(open);
        (over.collect(), limits.octets())
    }

    #[allow(clippy::type_complexity)] // Two rows of the stub file.
    fn handshakes(&self) -> (Vec<SessionRow>, Vec<(&'static str, u64)>) {
        let Some(shared) = self.shared() else { return (Vec::new(), Vec::new()) };
        (shared.tls_counts.session_rows(), shared.tls_counts.failure_rows())
    }

    fn https_responses(&self) -> Vec<(u16, u64)> {
        self.shared().map(|shared| shared.https_counts.status_rows()).unwrap_or_default()
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

    /// The next query of this thread with streams panics (tests).
    pub fn panic_stream_thread(&self, thread: usize) {
        if let Some(shared) = self.shared() {
            if let Some(thread) = shared.streams.threads.get(thread) {
                thread.letters.mailbox.signal(SIGNAL_PANIC);
            }
        }
    }

    /// How often a connection over HTTPS came to rest (tests).
    pub fn https_rests(&self) -> u64 {
        self.shared().map_or(0, |shared| shared.https_counts.rests.load(Ordering::Relaxed))
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
    for thread in &shared.streams.threads {
        thread.letters.mailbox.signal(SIGNAL_STOP);
    }
    for thread in threads.drain(..) {
        thread.thread().unpark();
        // A thread that died has reported it; its end is all that matters here.
        let _ = thread.join();
    }
}

fn totals(shared: &Shared, shared_flow: &SharedFlow) -> BTreeMap<&'static str, u64> {
    let mut totals = BTreeMap::new();
    let of_streams = shared.streams.threads.iter().map(|thread| &thread.letters.mailbox);
    let mailboxes = shared.mailboxes.iter().chain(of_streams);
    for (name, count) in mailboxes.flat_map(|mailbox| mailbox.counters.named()) {
        *totals.entry(name).or_default() += count;
    }
    totals.extend(shared.streams.drops());
    totals.extend(shared.https_counts.cut_rows());
    let counts = &shared_flow.flow.counts;
    for (name, count) in
        [("asked", &counts.asked), ("coalesced", &counts.coalesced), ("overloads", &counts.overloads)]
    {
        totals.insert(name, count.load(Ordering::Relaxed));
    }
    *totals.entry("panics").or_default() += shared_flow.guard.panics.load(Ordering::Relaxed);
    totals
}

/// What a thread works at.
#[derive(Clone, Copy)]
enum Kind {
    Udp,
    Streams,
    Https,
}

/// The thread's work, by its sockets, which are all of HTTPS or none.
fn kind_of(thread: &StreamThread) -> Kind {
    match thread.sockets.first() {
        Some((Transport::Https, _)) => Kind::Https,
        _ => Kind::Streams,
    }
}

/// A thread for the streams of these listening sockets.
fn stream_thread(
    shared_flow: &SharedFlow,
    sockets: &[StreamFields],
    record_octets: usize,
) -> PyResult<StreamThread> {
    let socket = |&(transport, fd): &StreamFields| {
        let transport = transport_from(transport)?;
        if !matches!(transport, Transport::Tcp | Transport::Tls | Transport::Https) {
            return Err(PyValueError::new_err("a stream is TCP's, TLS's or HTTPS's"));
        }
        Ok((transport, duplicate(fd)?))
    };
    let https = sockets.iter().filter(|(transport, _)| *transport == Transport::Https as u8).count();
    if https > 0 && https < sockets.len() {
        return Err(PyValueError::new_err("a thread for HTTPS has sockets of no other transport"));
    }
    Ok(StreamThread {
        letters: StreamMailbox::new(shared_flow, record_octets)?,
        sockets: sockets.iter().map(socket).collect::<PyResult<_>>()?,
    })
}

fn route_from(octets: &[u8]) -> PyResult<Route> {
    Route::from_octets(octets).ok_or_else(|| PyValueError::new_err("no route of this plane"))
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the plane is closed")
}
