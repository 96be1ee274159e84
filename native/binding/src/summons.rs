//! Whether somebody has been called and has not looked yet.
//!
//! Knows: one flag.  Does not know: how a call is made, or what waits to be looked at.
//! Theory: who puts something down calls, who comes to look says so before looking.  A call is needed only if
//! nobody has called since the last look, so many things put down cost one ring of the bell.  `native/models`
//! tries every order in which threads can do this.

use crate::atomic::{AtomicBool, Ordering};

/// The flag.
pub struct Summons {
    is_called: AtomicBool,
}

impl Summons {
    /// Nobody has been called.
    pub fn new() -> Summons {
        Summons { is_called: AtomicBool::new(false) }
    }

    /// To be called after something was put down; true: ring the bell.
    pub fn call(&self) -> bool {
        !self.is_called.swap(true, Ordering::AcqRel)
    }

    /// To be called after the bell was hushed, and before looking: what is put down from here on rings again.
    ///
    /// A swap, not a store: it must see all that was put down by those who found somebody called.
    pub fn answer(&self) {
        self.is_called.swap(false, Ordering::AcqRel);
    }
}
