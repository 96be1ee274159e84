//! The lives of a thread: another after each, and a pause between, until it is told to stop.
//!
//! Knows: pauses, who is told.  Does not know: what a thread does, why a life ended.

use std::thread;
use std::time::{Duration, Instant};

use crate::counters::add;
use crate::mailbox::{Mailbox, SIGNAL_STOP};

/// Pause before a thread begins anew, doubled each time.
pub const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A thread that lasted this long begins anew after the shortest pause.
const CALM: Duration = Duration::from_secs(10);

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The thread was told to stop.
    Stopped,
    /// It met a defect, or could not begin.
    Broken,
}

/// Live again and again.  `live`: one life; `tell`: whether the thread is down now.
pub fn live_again(mailbox: &Mailbox, mut live: impl FnMut() -> Ended, tell: impl Fn(bool)) {
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        if live() == Ended::Stopped {
            return;
        }
        add(&mailbox.counters.restarts, 1);
        tell(true);
        if began.elapsed() >= CALM {
            pause = PAUSE_MIN;
        }
        let until = Instant::now() + pause;
        pause = (pause * 2).min(PAUSE_MAX);
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            if mailbox.signals.have(SIGNAL_STOP) {
                return;
            }
            thread::park_timeout(rest);
        }
        tell(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::sync::atomic::Ordering;
    use std::sync::Arc;

    #[test]
    fn a_thread_lives_again_until_it_is_stopped_and_says_when_it_is_down() {
        let mailbox = Mailbox::of(Arc::default()).unwrap();
        let told = RefCell::new(Vec::new());
        let mut lives = 0;
        let live = || {
            lives += 1;
            if lives < 3 {
                Ended::Broken
            } else {
                Ended::Stopped
            }
        };
        live_again(&mailbox, live, |is_down| told.borrow_mut().push(is_down));
        assert_eq!((lives, told.into_inner()), (3, vec![true, false, true, false]));
        assert_eq!(mailbox.counters.restarts.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn who_is_stopped_in_a_pause_lives_no_more() {
        let mailbox = Mailbox::of(Arc::default()).unwrap();
        let tell = |is_down: bool| {
            assert!(is_down);
            mailbox.signals.set(SIGNAL_STOP);
        };
        live_again(&mailbox, || Ended::Broken, tell);
    }
}
