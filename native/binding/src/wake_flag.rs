//! Whether a thread was woken and has not looked yet.
//!
//! Knows: one flag.  Does not know: how a thread is woken, or what waits for it.
//! Theory: a sender sets the flag after it put something down; the reader clears it before it looks.  A wake-up
//! is needed only if the flag was clear, so many things put down cost one wake-up.  `native/models` tries every
//! order in which threads can do this.

use crate::atomic::{AtomicBool, Ordering};

/// The flag.
pub struct WakeFlag {
    is_set: AtomicBool,
}

impl WakeFlag {
    /// A clear one.
    pub fn new() -> WakeFlag {
        WakeFlag { is_set: AtomicBool::new(false) }
    }

    /// Call it after something was put down; true: wake the reader.
    pub fn set(&self) -> bool {
        !self.is_set.swap(true, Ordering::AcqRel)
    }

    /// Call it after the wake-up was cleared, and before looking: what is put down from here on wakes again.
    ///
    /// A swap, not a store: it must see all that was put down by those who found the flag set.
    pub fn clear(&self) {
        self.is_set.swap(false, Ordering::AcqRel);
    }
}
