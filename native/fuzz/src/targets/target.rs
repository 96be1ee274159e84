//! What every target has in common.
//!
//! Knows: how a target is asked for cases and given one.  Does not know: any target.

use crate::chance::Chance;

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

/// The claim in words, unless it holds.
pub fn claim(holds: bool, what: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}
