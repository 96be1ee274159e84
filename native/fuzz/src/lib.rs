//! Throws broken octets at the core, by chance that can be repeated.
//!
//! Knows: how cases are made, run, timed and counted.  Does not know: sockets, threads, Python.
//! Theory: every target makes its cases from a well-formed corpus and checks claims that must hold whatever
//! comes.  A panic is one broken claim among others.  The same seed gives the same cases again.
#![forbid(unsafe_code)]

pub mod chance;
pub mod corpus;
pub mod message;
pub mod mutate;
pub mod names;
pub mod targets;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

use chance::Chance;
use corpus::to_hex;
use rustix::time::{clock_gettime, ClockId};
use targets::Target;

/// Longest any one case may take of its thread's processor time, seconds; ten times what the slowest one is known
/// to take where the code is compiled for speed.
pub const CASE_S_MAX: f64 = 0.010;
/// A case over the limit is taken again, and its fastest run counts: the machine is not the code.
const RETRIES: usize = 5;
/// Cases between two looks at the clock, at the memory and at what the target itself wants to be checked.
const BATCH: u64 = 1000;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many cases have run.
    Cases(u64),
    /// So much time has passed.
    Elapsed(Duration),
}

/// What came of a run without a broken claim.
#[derive(Debug)]
pub struct Summary {
    /// Cases run.
    pub cases: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// The slowest case, seconds of processor time.
    pub slowest_s: f64,
    /// Octets of memory that the process grew by after the first batches.
    pub growth_octets: u64,
    /// What the target says of it.
    pub facts: String,
}

/// Run cases of `target`, none longer than `case_s_max`, until it is time.  Fails with a text that names the case.
pub fn run(target: &mut dyn Target, seed: u64, until: Until, case_s_max: f64) -> Result<Summary, String> {
    let (mut chance, name) = (Chance::new(seed), target.name());
    let began = Instant::now();
    let (mut cases, mut slowest_s) = (0, 0f64);
    let (mut least, mut most) = (u64::MAX, 0);
    loop {
        for _ in 0..BATCH {
            let case = target.make(&mut chance);
            let case_began = thread_s();
            let outcome = catch_unwind(AssertUnwindSafe(|| target.run(&case)));
            let mut case_s = thread_s() - case_began;
            let told = |why: String| format!("case {cases} of seed {seed}, {name}: {why}\n{}", to_hex(&case));
            outcome
                .map_err(|panic| told(format!("panic: {}", text_of(&*panic))))
                .and_then(|ran| ran.map_err(told))?;
            for _ in 0..RETRIES {
                if case_s > case_s_max {
                    let again = thread_s();
                    target.run(&case)?;
                    case_s = thread_s() - again;
                }
            }
            if case_s > case_s_max {
                return Err(told(format!("{:.1} ms", case_s * 1e3)));
            }
            slowest_s = slowest_s.max(case_s);
            cases += 1;
        }
        target.check().map_err(|why| format!("after case {cases} of seed {seed}, {name}: {why}"))?;
        let resident = resident_octets();
        (least, most) = (least.min(resident), most.max(resident));
        let growth_octets = most.saturating_sub(least);
        if growth_octets > target.memory_octets_max() {
            return Err(format!("{name} grew by {growth_octets} octets"));
        }
        let is_over = match until {
            Until::Cases(wanted) => cases >= wanted,
            Until::Elapsed(wanted) => began.elapsed() >= wanted,
        };
        if is_over {
            let seconds = began.elapsed().as_secs_f64();
            return Ok(Summary { cases, seconds, slowest_s, growth_octets, facts: target.facts() });
        }
    }
}

/// Processor time that this thread has had, seconds.
fn thread_s() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Memory of this process that is in RAM; 0 where the system does not say.
fn resident_octets() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes: u64 =
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default();
    kilobytes * 1024
}
