//! What all connections of one thread share.
//!
//! Knows: the desk where queries are answered, limits and counts of all threads.  Does not know: which connections
//! there are (`thread`), HTTP.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use resolver_core::flow::{ConnectionLimits, Flow, Place, Yielding};
use rustls::ServerConfig;

use super::bounds::RESTS_BEFORE_TRIM;
use super::desk::Desk;
use super::tls_io::Rooms;
use super::turnstile::Turnstile;
use crate::counters::add;
use crate::https_counts::HttpsCounts;
use crate::shared::Shared;
use crate::stream_state::{StreamBounds, StreamDrop, StreamThread};
use crate::sys::trim_memory;
use crate::tls::ALPN_HTTPS;
use crate::tls_counts::{TlsCounts, TlsFailure};

/// One life of a thread, as its connections see it.
pub struct Thread {
    /// What all threads of the plane share.
    pub shared: Arc<Shared>,
    /// Its number among those with streams.
    pub number: u16,
    config: Arc<ServerConfig>,
    rooms: Rc<RefCell<Rooms>>,
    /// Answers.
    pub desk: Desk,
    /// Before handshakes.
    pub turnstile: Turnstile,
    /// Connections that came to rest since memory was given back.
    rests: Cell<u32>,
}

impl Thread {
    /// It begins.
    pub fn new(shared: Arc<Shared>, number: u16) -> Thread {
        Thread {
            config: shared.tls.config(ALPN_HTTPS),
            desk: Desk::new(Arc::clone(&shared), number),
            rooms: Rc::default(),
            turnstile: Turnstile::default(),
            rests: Cell::new(0),
            shared,
            number,
        }
    }

    /// Its side that others see.
    pub fn own(&self) -> &StreamThread {
        &self.shared.streams.threads[usize::from(self.number)]
    }

    /// What handshakes are made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What sessions are read and sealed in.
    pub fn rooms(&self) -> Rc<RefCell<Rooms>> {
        Rc::clone(&self.rooms)
    }

    /// How much of everything there is.
    pub fn bounds(&self) -> StreamBounds {
        self.shared.streams.bounds
    }

    /// Of the connections of all threads.
    pub fn limits(&self) -> &ConnectionLimits {
        &self.shared.streams.limits
    }

    /// Who may ask, who speaks for others.
    pub fn flow(&self) -> &Flow {
        &self.shared.shared_flow.flow
    }

    /// Whether this client may not ask; of whom a trusted proxy speaks is asked request by request.
    pub fn is_stranger(&self, address: IpAddr) -> bool {
        self.flow().is_stranger(address) && !self.flow().trusted_proxies().contains(address)
    }

    /// Whether a client may begin a session now; if not, that is counted.
    pub fn lets_begin(&self, address: IpAddr, is_stranger: bool) -> bool {
        // Before it takes anybody's place.
        if is_stranger {
            self.count(StreamDrop::Stranger);
            return false;
        }
        match self.shared.streams.handshakes.begin(address, self.desk.now()) {
            Ok(()) => true,
            Err(too_many) => {
                self.tls_counts().failed(TlsFailure::Limit);
                self.count(too_many.into());
                false
            }
        }
    }

    /// What requests and connections were refused for.
    pub fn counts(&self) -> &HttpsCounts {
        &self.shared.https_counts
    }

    /// What handshakes came to.
    pub fn tls_counts(&self) -> &TlsCounts {
        &self.shared.tls_counts
    }

    /// A connection came to rest.
    pub fn count_rest(&self) {
        self.rests.set(self.rests.get() + 1);
        self.shared.https_counts.rests.fetch_add(1, Ordering::Relaxed);
    }

    /// Give memory back that connections had before they came to rest, if that is worth its time.
    ///
    /// It lies in pieces between what is in use, and so would stay with the process for ever.
    pub fn give_back_memory(&self, now: f64) {
        if self.rests.get() >= RESTS_BEFORE_TRIM && self.shared.https_counts.may_trim(now) {
            self.rests.set(0);
            trim_memory();
        }
    }

    /// A connection was lost.
    pub fn count(&self, reason: StreamDrop) {
        self.shared.streams.count(reason);
    }

    /// A panic was caught; it cost a request or a connection.
    #[cold]
    pub fn count_defect(&self) {
        add(&self.own().letters.mailbox.counters.panics, 1);
        self.shared.streams.count(StreamDrop::Defect);
    }

    /// The buffers of a connection hold more than little: see whether somebody has to go for it.
    pub fn hold(&self, place: &Arc<Place>) {
        self.let_go(self.limits().hold(place));
    }

    /// A connection lost its place; it may be another thread's.
    pub fn let_go(&self, yielding: Option<Yielding>) {
        if let Some(Yielding { place, limit }) = yielding {
            self.shared.streams.count_limit(limit);
            self.shared.streams.give_way(place.holder);
        }
    }
}
