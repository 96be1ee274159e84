//! The server name that a client asked for, on its way from the library to a session.
//!
//! Knows: the last one that was seen on this thread.  Does not know: what a name is good for, who keeps it.
//! Theory: the library shows the name to nobody but whoever chooses the certificate.  It asks that one for each hello,
//! resumed sessions included, within the call that reads the hello, on the same thread.

use std::cell::RefCell;

thread_local! {
    static SEEN: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// A hello with this name is being read.
pub fn see(name: Option<&str>) {
    SEEN.with_borrow_mut(|seen| *seen = name.map(Box::from));
}

/// The name of the hello that was read since the last call.
pub fn take() -> Option<Box<str>> {
    SEEN.take()
}
