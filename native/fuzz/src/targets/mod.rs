//! What is fuzzed.
//!
//! Knows: the targets by name.  Does not know: how cases are counted.

mod answers;
mod cache;
mod flow;
mod image;
mod lists;
mod proxies;
mod queries;
mod requests;
mod streams;
mod target;

pub use target::Target;

use crate::names::{ANSWERS, CACHE, FLOW, IMAGE, LISTS, PROXIES, QUERIES, REQUESTS, STREAMS};

/// The target of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Target>> {
    Some(match name {
        QUERIES => Box::new(queries::Queries::new()),
        ANSWERS => Box::new(answers::Answers::new()),
        LISTS => Box::new(lists::Lists::new()),
        IMAGE => Box::new(image::Images::new()),
        CACHE => Box::new(cache::Caches::new()),
        PROXIES => Box::new(proxies::Sayings::new()),
        FLOW => Box::new(flow::Flows::new()),
        REQUESTS => Box::new(requests::Requests::new()),
        STREAMS => Box::new(streams::Streams::new()),
        _ => return None,
    })
}
