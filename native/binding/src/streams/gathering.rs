//! When a thread with streams lets what comes together gather for a moment.
//!
//! Knows: how many sessions of TLS brought several queries at once, in a turn.  Does not know: connections, what is
//! asked.
//! Theory: more is on its way from whoever sends many at once, and all that comes in a pause shares a record, a read and
//! a write.  The pause comes behind a turn's answers, so nobody who asks alone waits for it; what comes in it waits at
//! most so long.  Who asks one after another, and TCP alone, gain nothing
//! (`docs/decisions/0022-streams-on-the-native-plane.md`).

use std::ops::Range;
use std::time::Duration;

use super::turn::Batch;

/// Behind a turn in which so many sessions brought several queries each: from one alone nothing else would come, and
/// turns of as many as the end of the range are cheap enough for each query as they are.
const SESSIONS: Range<usize> = if cfg!(feature = "without-gathering") { 0..0 } else { 2..32 };

/// How long.
const GATHERING_TIME: Duration = Duration::from_micros(50);

/// What a turn brought.
#[derive(Default)]
pub(super) struct Gathering {
    pipelining: usize,
}

impl Gathering {
    /// A turn begins.
    pub fn begin(&mut self) {
        self.pipelining = 0;
    }

    /// A batch of this turn was judged.
    pub fn count(&mut self, batch: &Batch) {
        self.pipelining += batch.groups().iter().filter(|group| group.is_pipelining()).count();
    }

    /// How long to wait now that the turn is over; None: not at all.  `is_done`: nobody is left who waits for a turn.
    pub fn pause(&self, is_done: bool) -> Option<Duration> {
        (is_done && SESSIONS.contains(&self.pipelining)).then_some(GATHERING_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::{IpAddr, Ipv4Addr};

    use resolver_core::flow::Transport;

    use crate::slab::Handle;

    /// A turn in which so many connections brought so many queries each.
    fn turn(transport: Transport, connections: usize, queries: usize) -> Gathering {
        let message = [&[0, 12][..], &[7; 12]].concat().repeat(queries);
        let mut gathering = Gathering::default();
        let mut batch = Batch::new();
        for number in 0..connections {
            let handle = Handle::from_bits(number as u64);
            batch.begin(handle, (IpAddr::V4(Ipv4Addr::LOCALHOST), None), transport, &message);
            assert!(!batch.cut(100, 65_536));
        }
        gathering.count(&batch);
        gathering
    }

    #[test]
    fn whoever_asks_alone_waits_for_nobody() {
        for connections in [1, 2, 31, 100] {
            assert_eq!(turn(Transport::Tls, connections, 1).pause(true), None, "{connections}");
        }
        assert_eq!(turn(Transport::Tls, 1, 2).pause(true), None, "nor does one who asks much");
        assert_eq!(Gathering::default().pause(true), None, "nor a turn without a query");
    }

    #[cfg(not(feature = "without-gathering"))]
    #[test]
    fn sessions_that_send_much_at_once_gather_and_many_of_them_need_not() {
        for (sessions, pause) in [(2, Some(GATHERING_TIME)), (31, Some(GATHERING_TIME)), (32, None)] {
            assert_eq!(turn(Transport::Tls, sessions, 2).pause(true), pause, "{sessions}");
        }
        assert_eq!(turn(Transport::Tcp, 16, 4).pause(true), None, "TCP gains nothing");
        assert_eq!(turn(Transport::Tls, 2, 2).pause(false), None, "somebody waits for his turn");
        let mut gathering = turn(Transport::Tls, 2, 2);
        gathering.begin();
        assert_eq!(gathering.pause(true), None, "what was before the turn is over");
    }
}
