//! What HTTPS connections and requests were refused for: totals of all threads.
//!
//! Knows: the closed set of reasons.  Does not know: who shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use resolver_core::http::{Refusal, STATUSES};

/// Why a connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// Too many frames that ask nothing.
    ControlFrames,
    /// Too many streams that the client took back.
    Resets,
    /// What came broke the rules of HTTP.
    Protocol,
}

impl Cut {
    /// All of them, in the order of their numbers.
    pub const ALL: [Cut; 3] = [Cut::ControlFrames, Cut::Resets, Cut::Protocol];

    /// The metric label.
    pub fn label(self) -> &'static str {
        ["https_control_frames", "https_resets", "https_protocol"][self as usize]
    }
}

/// Read by anybody at any time.
#[derive(Default)]
pub struct HttpsCounts {
    refused: [AtomicU64; STATUSES.len()],
    cut: [AtomicU64; Cut::ALL.len()],
}

impl HttpsCounts {
    /// A request got a status instead of an answer.
    pub fn refuse(&self, reason: Refusal) {
        self.refused[1 + reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was cut.
    pub fn cut(&self, reason: Cut) {
        self.cut[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every status but 200, and how often it was given.
    pub fn refused_rows(&self) -> Vec<(u16, u64)> {
        let total = |(status, total): (&u16, &AtomicU64)| (*status, total.load(Ordering::Relaxed));
        STATUSES.iter().zip(&self.refused).skip(1).map(total).collect()
    }

    /// Every reason why connections were cut, and how often.
    pub fn cut_rows(&self) -> Vec<(&'static str, u64)> {
        Cut::ALL
            .iter()
            .map(|&reason| (reason.label(), self.cut[reason as usize].load(Ordering::Relaxed)))
            .collect()
    }
}
