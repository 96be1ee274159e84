//! One client's connection: what is known of it, and when it must end.
//!
//! Knows: its place among all, what it holds, its times.  Does not know: TLS and HTTP (`life`), what a request means
//! (`service`).

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use resolver_core::flow::{
    client_behind, BadForwarded, ClientName, Place, Transport, NEVER, SLOW_AFTER_S, UNNOTED_OCTETS_MAX,
};
use resolver_core::http::{Refusal, RefusedByLibrary, Rest};

use super::answer_body::Unwritten;
use super::bounds::{ENDING_S, HANDSHAKE_S, REST_AFTER_S, STALL_S};
use super::desk::{Answering, Asker};
use super::guarded_io::Watch;
use super::state::Thread;
use super::tls_io::Handshake;
use crate::https_counts::Cut;
use crate::stream_state::StreamDrop;
use crate::sys::monotonic;
use crate::tls_counts::TlsFailure;

/// How a connection ends, where its client does not end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the answers to what was asked.
    Soon,
    /// At once.
    Now,
}

/// What is known of one connection.
pub struct Connection {
    thread: Rc<Thread>,
    address: IpAddr,
    /// Whether it may speak for others.
    is_proxys: bool,
    /// The name in its server name.
    name: Cell<Option<ClientName>>,
    /// The last one in a path.
    name_in_path: Cell<Option<ClientName>>,
    place: Arc<Place>,
    watch: Rc<Watch>,
    unwritten: Rc<Unwritten>,
    /// Octets of requests that wait for their client: for the rest of a body, or for room for an answer.
    reading: Cell<usize>,
    /// What was written when somebody last looked, and when that was less.
    written: Cell<u64>,
    moved_at: Cell<f64>,
    handshake: Cell<Handshake>,
    began_at: f64,
    /// Whether the library has nothing of it.
    is_resting: Cell<bool>,
    ending: Cell<Option<Ending>>,
    ending_since: Cell<f64>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    /// Just accepted.
    pub fn new(thread: Rc<Thread>, address: IpAddr, place: Arc<Place>) -> Connection {
        let now = thread.desk.now();
        Connection {
            is_proxys: thread.flow().trusted_proxies().contains(address),
            name: Cell::default(),
            name_in_path: Cell::default(),
            thread,
            address,
            place,
            watch: Rc::default(),
            unwritten: Rc::default(),
            reading: Cell::new(0),
            written: Cell::new(0),
            moved_at: Cell::new(now),
            handshake: Cell::new(Handshake::Awaited),
            began_at: now,
            is_resting: Cell::new(false),
            ending: Cell::new(None),
            ending_since: Cell::new(NEVER),
            waker: RefCell::default(),
        }
    }

    /// Whose connection it is.
    pub fn thread(&self) -> &Rc<Thread> {
        &self.thread
    }

    /// Who asks in a request that names its client (None: it does not), with these headers.
    ///
    /// `Forwarded` and `X-Forwarded-For` are looked up for trusted proxies alone.
    pub fn asker<'h>(
        &self,
        name: Option<String>,
        headers: impl Fn(&'static str) -> Vec<&'h [u8]>,
    ) -> Result<Asker, BadForwarded> {
        let (flow, mut address) = (self.thread.flow(), self.address);
        if self.is_proxys {
            let (forwarded, listed) = (headers("forwarded"), headers("x-forwarded-for"));
            address = client_behind(address, &forwarded, &listed, flow.trusted_proxies())?;
        }
        let name = match name {
            None => self.name.get(),
            Some(name) => {
                // Mostly it is the one before.
                let last = self.name_in_path.get().filter(|&last| last == name);
                let kept = last.or_else(|| flow.named_peer(address, Transport::Https, &name).name);
                self.name_in_path.set(kept);
                kept
            }
        };
        Ok(Asker { address, name })
    }

    /// Who sees what comes and leaves.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// What its answers hold.
    pub fn unwritten(&self) -> &Rc<Unwritten> {
        &self.unwritten
    }

    // Its session.

    /// How far it is on its way to one.
    pub fn handshake(&self) -> &Cell<Handshake> {
        &self.handshake
    }

    /// There is one, with a client that asked for this server name.
    pub fn begin_session(&self, server_name: Option<&str>) {
        let flow = self.thread.flow();
        let name = server_name.and_then(|name| flow.client_names().in_server_name(name));
        self.name.set(name.and_then(|name| match self.is_proxys {
            // For whom it asks is not known yet; whether they may is looked at then.
            true => flow.client_names().keep(&name, self.address),
            false => flow.named_peer(self.address, Transport::Https, &name).name,
        }));
        self.handshake.set(Handshake::Done);
        self.place.set_quiet_since(self.thread.desk.now());
        self.place.set_slow_since(NEVER);
    }

    /// There will be none.
    pub fn fail_handshake(&self, failure: TlsFailure) {
        if self.handshake.get() == Handshake::Answered {
            self.charge();
        }
        self.thread.tls_counts().failed(failure);
        match failure {
            TlsFailure::Closed => {}
            TlsFailure::Timeout => self.thread.count(StreamDrop::HandshakeTimeout),
            _ => self.thread.count(StreamDrop::TlsFailed),
        }
    }

    /// It broke the rules of TLS behind its handshake; the alert is sent.
    pub fn break_tls(&self) {
        self.charge();
        self.thread.count(StreamDrop::TlsFailed);
    }

    // Its rest.

    /// What is needed to go on later, if it has been quiet for long enough and nothing is open.
    pub fn rest(&self) -> Option<Rest> {
        let is_quiet = self.thread.desk.now() - self.place.quiet_since() >= REST_AFTER_S
            && self.ending.get().is_none()
            && self.place.open_questions() == 0
            && self.unwritten.octets() == 0
            && self.reading.get() == 0;
        if is_quiet {
            self.watch.rest()
        } else {
            None
        }
    }

    /// The library has nothing of it any more, or has again.
    pub fn set_resting(&self, is_resting: bool) {
        self.is_resting.set(is_resting);
        if is_resting {
            self.thread.count_rest();
        }
    }

    // Requests.

    /// Whether its client may have another answer; if not, `waker` is woken when it may.
    pub fn has_room(&self, waker: &Waker) -> bool {
        self.unwritten.has_room(waker)
    }

    /// A whole request is here: answer its query, or say who will.
    pub fn answer(&self, octets: &[u8], asker: Asker) -> Answering {
        let answering = self.thread.desk.answer(octets, asker);
        self.place.set_quiet_since(self.thread.desk.now());
        answering
    }

    /// A response leaves; whether it has to be the last.
    pub fn leave(&self) -> bool {
        self.watch.answered();
        self.watch.is_last() || self.ending.get().is_some()
    }

    /// A request got an answer.
    pub fn count_answer(&self) {
        self.thread.counts().answered();
    }

    /// The rest of a request did not come in time.
    pub fn count_stalled(&self) {
        self.thread.counts().cut(Cut::Stalled);
    }

    /// Its client broke the rules, or its hello was answered and led to no session: that counts against it.
    pub fn charge(&self) {
        // A proxy does not pay for its clients.
        if !self.is_proxys {
            self.thread.shared.streams.handshakes.charge(self.address, monotonic());
        }
    }

    /// What a trusted proxy says of its client cannot be read.
    pub fn count_bad_forwarded(&self) {
        self.thread.counts().cut(Cut::Forwarded);
    }

    /// A request got a status instead of an answer.
    pub fn count_refusal(&self, refusal: Refusal) {
        self.thread.counts().refuse(refusal);
    }

    /// Count what the library refused by itself since the last call; whether it ends the connection for its headers.
    pub fn count_refused(&self) -> bool {
        let RefusedByLibrary { streams, headers, is_over_by_headers } = self.watch.take_refused();
        if streams > 0 {
            self.thread.counts().cut_many(Cut::StreamsMax, streams);
        }
        for _ in 0..headers {
            self.charge();
            self.count_refusal(Refusal::HeadersTooLarge);
            self.thread.counts().cut(Cut::Headers);
        }
        is_over_by_headers
    }

    /// Requests that wait for their client hold `octets` instead of `before`.
    pub fn change_reading(&self, before: usize, octets: usize) {
        self.reading.set(self.reading.get() + octets - before);
        self.hold();
    }

    // Its end.

    /// It has to go, as its place has gone.
    pub fn give_way(&self) {
        // Behind a proxy's head the connection is another client's, with a place that nobody wants.
        if !self.place.is_taken() {
            self.end(Ending::Now);
        }
    }

    /// Answer what was asked, take no more, close.
    pub fn end_soon(&self) {
        if self.ending.get().is_none() {
            self.ending_since.set(self.thread.desk.now());
            self.end(Ending::Soon);
        }
    }

    /// How it has to end, if it has to.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get()
    }

    /// Whether it has to end at once; if not, `waker` is woken when it has to end somehow.
    pub fn is_to_end_now(&self, waker: &Waker) -> bool {
        if self.ending.get() == Some(Ending::Now) {
            return true;
        }
        let known = &mut *self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        false
    }

    fn end(&self, ending: Ending) {
        self.ending.set(Some(ending));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// See whether its time is up.  `idle_s`: how long it may be quiet.
    pub fn look_at_time(&self, now: f64, idle_s: f64) {
        if self.handshake.get() != Handshake::Done {
            return self.look_at_handshake(now, idle_s);
        }
        let written = self.watch.answered_octets();
        if written != self.written.get() || self.unwritten.octets() == 0 {
            self.written.set(written);
            self.moved_at.set(now);
        }
        let stalled_s = now - self.moved_at.get();
        self.place.set_slow_since(if stalled_s > 0.0 { self.moved_at.get() } else { self.owing_since(now) });
        if stalled_s >= STALL_S {
            self.count_stalled();
            self.end(Ending::Now);
        } else if now - self.ending_since.get() >= ENDING_S {
            self.end(Ending::Now);
        } else if self.place.open_questions() == 0 && now - self.place.quiet_since() >= idle_s {
            self.end_soon();
        } else if !self.is_resting.get() && self.rest().is_some() {
            self.wake();
        }
        self.hold();
    }

    fn look_at_handshake(&self, now: f64, idle_s: f64) {
        let waited_s = now - self.began_at;
        if self.ending.get() == Some(Ending::Now) {
            return;
        }
        if waited_s > HANDSHAKE_S.min(idle_s) {
            self.fail_handshake(TlsFailure::Timeout);
            self.end(Ending::Now);
        } else if self.ending.get().is_some() {
            // There is no session yet, so nothing is owed to it.
            self.end(Ending::Now);
        } else if waited_s >= SLOW_AFTER_S {
            self.place.set_slow_since(self.began_at);
        }
    }

    /// Since when the client owes the rest of what it has begun to ask; `NEVER`.
    fn owing_since(&self, now: f64) -> f64 {
        let quiet_since = self.place.quiet_since();
        let owes = self.reading.get() > 0 || self.watch.is_within_request();
        if owes && now - quiet_since >= SLOW_AFTER_S {
            quiet_since
        } else {
            NEVER
        }
    }

    fn hold(&self) {
        let is_noted = self.place.set_held(self.unwritten.octets() + self.reading.get());
        if is_noted || self.place.lent() > UNNOTED_OCTETS_MAX {
            self.thread.hold(&self.place);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.thread.limits().free(&self.place);
    }
}

/// A question of a connection that waits elsewhere.
pub struct Lent {
    connection: Rc<Connection>,
    octets: usize,
}

impl Lent {
    /// With a query of so many octets.
    pub fn new(connection: &Rc<Connection>, octets: usize) -> Lent {
        connection.thread.limits().lend(&connection.place, octets);
        // Many, or long ones, are too much for one connection.
        connection.hold();
        Lent { connection: Rc::clone(connection), octets }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Connection { thread, place, .. } = &*self.connection;
        thread.limits().give_back(place, self.octets);
        place.set_quiet_since(thread.desk.now());
    }
}
