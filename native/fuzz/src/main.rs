//! `resolver-fuzz TARGET|all [--seconds N | --cases N] [--seed N]`: one line of counts a target.
//!
//! Knows: its arguments.  Does not know: what a target does.

use std::process::ExitCode;
use std::time::Duration;

use resolver_fuzz::{names, run, targets, Until, CASE_S_MAX};

const USAGE: &str = "usage: resolver-fuzz TARGET|all [--seconds N | --cases N] [--seed N]";

struct Wanted {
    targets: Vec<&'static str>,
    until: Until,
    seed: u64,
}

fn read_arguments(mut words: impl Iterator<Item = String>) -> Option<Wanted> {
    let target = words.next()?;
    let targets: Vec<&'static str> =
        names::ALL.into_iter().filter(|name| target == "all" || target == *name).collect();
    let mut wanted = Wanted { targets, until: Until::Elapsed(Duration::from_secs(20)), seed: 1 };
    while let Some(word) = words.next() {
        let number: u64 = words.next()?.parse().ok()?;
        match &*word {
            "--seconds" => wanted.until = Until::Elapsed(Duration::from_secs(number)),
            "--cases" => wanted.until = Until::Cases(number),
            "--seed" => wanted.seed = number,
            _ => return None,
        }
    }
    (!wanted.targets.is_empty()).then_some(wanted)
}

fn main() -> ExitCode {
    let Some(wanted) = read_arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}\ntargets: {}", names::ALL.join(" "));
        return ExitCode::from(2);
    };
    for name in wanted.targets {
        let Some(mut target) = targets::by_name(name) else { continue };
        match run(&mut *target, wanted.seed, wanted.until, CASE_S_MAX) {
            Ok(summary) => println!(
                "{name}: {} cases in {:.1} s (seed {}), slowest {:.0} us, grew by {:.1} MB; {}",
                summary.cases,
                summary.seconds,
                wanted.seed,
                summary.slowest_s * 1e6,
                summary.growth_octets as f64 / 1e6,
                summary.facts
            ),
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
