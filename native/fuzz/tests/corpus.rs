//! The corpus through every target, cases that once broke something, and a few thousand new ones.

use resolver_fuzz::{corpus, names, run, targets, Until, CASE_S_MAX};

const CASES: u64 = 3000;
/// How many times longer a case may take where nothing is optimised.
const UNOPTIMISED: f64 = 10.0;

#[test]
fn every_case_of_the_corpus_holds() {
    for name in names::ALL {
        let mut target = targets::by_name(name).unwrap();
        let cases = target.corpus();
        assert!(!cases.is_empty(), "{name}");
        for case in cases.iter().chain(&corpus::found(name)) {
            target.run(case).unwrap_or_else(|why| panic!("{name}: {why}\n{}", corpus::to_hex(case)));
        }
        target.check().unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn broken_cases_hold_too() {
    for name in names::ALL {
        let mut target = targets::by_name(name).unwrap();
        let summary = run(&mut *target, 1, Until::Cases(CASES), CASE_S_MAX * UNOPTIMISED)
            .unwrap_or_else(|why| panic!("{why}"));
        println!(
            "{name}: {} cases, slowest {:.2} ms; {}",
            summary.cases,
            summary.slowest_s * 1e3,
            summary.facts
        );
    }
}

#[test]
fn the_corpus_says_something() {
    let mut answers = targets::by_name(names::ANSWERS).unwrap();
    for case in answers.corpus() {
        answers.run(&case).unwrap();
    }
    let accepted: u64 = answers.facts().split(' ').next().unwrap().parse().unwrap();
    assert!(accepted >= 30, "{}", answers.facts());
}

#[test]
fn octets_come_back_from_hex() {
    assert_eq!(corpus::from_hex(&corpus::to_hex(b"\0\xffab")), b"\0\xffab");
}
