//! What is fuzzed.
//!
//! Knows: the targets by name.  Does not know: how cases are counted.

mod answers;
mod cache;
mod flow;
mod image;
mod lists;
mod queries;

use crate::chance::Chance;

/// Queries through the walker and the encoder.
pub const QUERIES: &str = "queries";
/// Upstream answers through acceptance.
pub const ANSWERS: &str = "answers";
/// Texts of lists through the line readers.
pub const LISTS: &str = "lists";
/// Policy images through opening and judging.
pub const IMAGE: &str = "image";
/// Sequences of stores and look-ups through the cache.
pub const CACHE: &str = "cache";
/// Queries and upstream answers through the whole flow, canaries among them.
pub const FLOW: &str = "flow";

/// Every target.
pub const ALL: [&str; 6] = [QUERIES, ANSWERS, LISTS, IMAGE, CACHE, FLOW];

/// Something to throw cases at.
pub trait Target {
    /// Its name.
    fn name(&self) -> &'static str;

    /// A case: octets that mean something to `run`.
    fn make(&mut self, chance: &mut Chance) -> Vec<u8>;

    /// The cases that come first: the corpus, unbroken.
    fn corpus(&self) -> Vec<Vec<u8>>;

    /// Run one case, whatever its octets.  Fails with the claim that does not hold.
    fn run(&mut self, case: &[u8]) -> Result<(), String>;

    /// What must hold between cases.
    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// How much the process may grow while it runs.
    fn memory_octets_max(&self) -> u64 {
        16 << 20
    }

    /// What there was, in a few words.
    fn facts(&self) -> String;
}

/// The target of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Target>> {
    Some(match name {
        QUERIES => Box::new(queries::Queries::new()),
        ANSWERS => Box::new(answers::Answers::new()),
        LISTS => Box::new(lists::Lists::new()),
        IMAGE => Box::new(image::Images::new()),
        CACHE => Box::new(cache::Caches::new()),
        FLOW => Box::new(flow::Flows::new()),
        _ => return None,
    })
}

/// The claim in words, unless it holds.
fn claim(holds: bool, what: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}
