//! What requests over HTTPS got, and what they and their connections were refused for: totals of all threads.
//!
//! Knows: the closed sets of both.  Does not know: who shows them.  `listeners/http.py` has the same.

use std::sync::atomic::{AtomicU64, Ordering};

use resolver_core::http::{Refusal, STATUSES};

/// Memory is given back no sooner than after so long, as all of the heap is looked through for it.
const TRIM_EVERY_S: u64 = 5;

/// Why a request or its connection came to an end here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// What came breaks HTTP's rules, or could be read in two ways.
    Broken,
    /// The headers of a request are over their bound.
    Headers,
    /// Too many frames that are no part of a request.
    ControlFrames,
    /// Too many requests were taken back before their answers.
    Resets,
    /// As many requests are open on its connection as may be.
    StreamsMax,
    /// The rest of a request does not come, or its answer is not taken.
    Stalled,
    /// What a trusted proxy says of its client cannot be read, or says two things.
    Forwarded,
}

impl Cut {
    /// All of them, in the order of their numbers.
    pub const ALL: [Cut; 7] = [
        Cut::Broken,
        Cut::Headers,
        Cut::ControlFrames,
        Cut::Resets,
        Cut::StreamsMax,
        Cut::Stalled,
        Cut::Forwarded,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        [
            "https_broken",
            "https_headers",
            "https_control_frames",
            "https_resets",
            "https_streams_max",
            "https_stalled",
            "https_forwarded",
        ][self as usize]
    }
}

/// Read by anybody at any time.
#[derive(Default)]
pub struct HttpsCounts {
    statuses: [AtomicU64; STATUSES.len()],
    cut: [AtomicU64; Cut::ALL.len()],
    /// How often a connection came to rest.
    pub rests: AtomicU64,
    /// When memory was given back last: seconds of the monotonic clock.
    trimmed_at_s: AtomicU64,
}

impl HttpsCounts {
    /// Whether some thread may look through the heap again: one does, and no sooner than `TRIM_EVERY_S` after the last.
    pub fn may_trim(&self, now: f64) -> bool {
        let (now_s, before_s) = (now as u64, self.trimmed_at_s.load(Ordering::Relaxed));
        now_s >= before_s.saturating_add(TRIM_EVERY_S)
            && self
                .trimmed_at_s
                .compare_exchange(before_s, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A request got an answer.
    pub fn answered(&self) {
        self.statuses[0].fetch_add(1, Ordering::Relaxed);
    }

    /// A request got a status instead of an answer.
    pub fn refuse(&self, reason: Refusal) {
        self.statuses[1 + reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A request, or a connection, was ended.
    pub fn cut(&self, reason: Cut) {
        self.cut_many(reason, 1);
    }

    /// So many were.
    pub fn cut_many(&self, reason: Cut, many: u64) {
        self.cut[reason as usize].fetch_add(many, Ordering::Relaxed);
    }

    /// Every status, and how often it was given.
    pub fn status_rows(&self) -> Vec<(u16, u64)> {
        let total = |(status, total): (&u16, &AtomicU64)| (*status, total.load(Ordering::Relaxed));
        STATUSES.iter().zip(&self.statuses).map(total).collect()
    }

    /// Every reason why something was ended, and how often.
    pub fn cut_rows(&self) -> Vec<(&'static str, u64)> {
        let total = |reason: &Cut| (reason.label(), self.cut[*reason as usize].load(Ordering::Relaxed));
        Cut::ALL.iter().map(total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_stand_under_their_own_names() {
        let counts = HttpsCounts::default();
        counts.answered();
        counts.refuse(Refusal::UnsupportedMediaType);
        counts.cut(Cut::Stalled);
        let given: Vec<_> = counts.status_rows().into_iter().filter(|row| row.1 > 0).collect();
        assert_eq!(given, [(200, 1), (415, 1)]);
        let cut: Vec<_> = counts.cut_rows().into_iter().filter(|row| row.1 > 0).collect();
        assert_eq!(cut, [("https_stalled", 1)]);
    }

    #[test]
    fn one_thread_of_all_looks_through_the_heap_and_then_none_for_a_while() {
        let counts = HttpsCounts::default();
        for (now, trims) in [(0.5, 0), (100.0, 1), (104.9, 0), (105.0, 1), (1000.0, 1)] {
            let may = || counts.may_trim(now);
            let threads = std::thread::scope(|scope| {
                let begun = [(); 4].map(|()| scope.spawn(may));
                begun.map(|thread| thread.join().unwrap())
            });
            assert_eq!(threads.iter().filter(|&&may| may).count(), trims, "{now}");
        }
    }
}
