//! How soon another connection may be begun to an upstream where they come to nothing.
//!
//! Knows: how many came to nothing in a row, when the last one did (`now` is an argument).  Does not know: sockets,
//! which query waits, whether the upstream counts as down.  The mirror of `forwarding/openings.py`.
//! Theory: a handshake costs both sides a thousand times what a query does, and an upstream that refuses, fails in TLS
//! or breaks each connection gets one for every miss.  So after a few in a row there is a pause, twice as long each
//! time, and then two are begun, which all who ask meanwhile join.  One alone would hold everybody where it loses a
//! packet or breaks.  The pause stays short: twenty connections in a second cost nobody anything, and an upstream that
//! is back answers before questions give up.
//! The first answer on a connection ends it.  Later ones do not: a connection that lives on says nothing of those that
//! cannot be opened beside it.  `tests/vectors/openings.yaml` has the rule for both engines.

/// Connections that may come to nothing in a row before there is a pause.
pub const FREE: u32 = 3;
/// Connections under way at once behind a pause.
pub const OPENING_MAX: usize = 2;
/// The first pause.
pub const OPENING_PAUSE_S_MIN: f64 = 0.05;
/// The longest.
pub const OPENING_PAUSE_S_MAX: f64 = 0.1;

/// Of one upstream, for all threads.
#[derive(Debug)]
pub struct Openings {
    failures: u32,
    paused_until: f64,
}

impl Default for Openings {
    fn default() -> Openings {
        Openings { failures: 0, paused_until: f64::NEG_INFINITY }
    }
}

impl Openings {
    /// A connection brought its first answer.
    pub fn come_to_something(&mut self) {
        *self = Openings::default();
    }

    /// One that began then came to nothing.
    pub fn fail(&mut self, began_at: f64, now: f64) {
        if began_at < self.paused_until && now < self.paused_until {
            return; // Several that were begun together are one failure.
        }
        self.failures += 1;
        if self.failures >= FREE {
            let pause_s = OPENING_PAUSE_S_MIN * f64::from(1 << (self.failures - FREE).min(16));
            self.paused_until = now + pause_s.min(OPENING_PAUSE_S_MAX);
        }
    }

    /// Whether another may be begun, while so many are under way.
    pub fn allow(&self, opening: usize, now: f64) -> bool {
        self.failures < FREE || (now >= self.paused_until && opening < OPENING_MAX)
    }
}
