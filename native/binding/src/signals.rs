//! What a thread is told: bits that others set, and that it looks at once per turn.
//!
//! Knows: bits.  Does not know: what each means, how a thread is woken (`mailbox`).
//! Theory: a sender sets a bit after it put something down; who finds it clear wakes the thread.  The thread clears
//! the bit before it looks.  A wake-up that it clears later than the bit may stand for something put down meanwhile,
//! and nobody wakes it again for that: so behind clearing a wake-up it looks at the bit once more (`look_again`).  `native/models`
//! tries every order in which threads can do this.

use crate::atomic::{AtomicU32, Ordering};

/// All of one thread's.
pub struct Signals {
    bits: AtomicU32,
}

impl Signals {
    /// None is set.
    pub fn new() -> Signals {
        Signals { bits: AtomicU32::new(0) }
    }

    /// Set these; true: one of them was clear, so wake the thread.
    pub fn set(&self, bits: u32) -> bool {
        self.bits.fetch_or(bits, Ordering::AcqRel) & bits != bits
    }

    /// Those that are set.
    pub fn all(&self) -> u32 {
        self.bits.load(Ordering::Acquire)
    }

    /// Whether one of these is set.
    pub fn have(&self, bits: u32) -> bool {
        self.all() & bits != 0
    }

    /// Look again, behind clearing a wake-up: what any sender set before he woke is seen from here on.
    ///
    /// An exchange, not a load: clearing a wake-up is a system call, which orders nothing for the threads, and a load
    /// could still find what was there before.
    pub fn look_again(&self) -> u32 {
        self.bits.fetch_or(0, Ordering::AcqRel)
    }

    /// Clear these, before looking at what was put down; whether one was set.
    ///
    /// An exchange, not a store: it must see all that was put down by those who found them set.
    pub fn take(&self, bits: u32) -> bool {
        self.bits.fetch_and(!bits, Ordering::AcqRel) & bits != 0
    }
}
