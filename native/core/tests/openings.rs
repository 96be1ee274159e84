//! How soon another connection to an upstream may be begun: any engine must agree with these vectors.

use std::path::Path;

use resolver_core::flow::{Openings, FREE, OPENING_MAX, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN};
use serde::Deserialize;
use serde_norway::Value;

#[derive(Deserialize)]
struct Case {
    name: String,
    steps: Vec<Vec<Value>>,
}

#[test]
fn connections_are_begun_as_the_vectors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/openings.yaml");
    let cases: Vec<Case> = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 5);
    for case in cases {
        let mut openings = Openings::default();
        for step in case.steps {
            let seconds = |place: usize| step[place].as_f64().unwrap() / 1000.0;
            let now = seconds(0);
            match step[1].as_str().unwrap() {
                "nothing" => openings.fail(seconds(2), now),
                "something" => openings.come_to_something(),
                "begin" => {
                    let opening = step[2].as_u64().unwrap() as usize;
                    let may = step[3].as_bool().unwrap();
                    assert_eq!(openings.allow(opening, now), may, "{}: {step:?}", case.name);
                }
                unknown => panic!("{unknown}"),
            }
        }
    }
}

#[test]
fn the_vectors_speak_of_these_numbers() {
    assert_eq!((FREE, OPENING_MAX, OPENING_PAUSE_S_MIN, OPENING_PAUSE_S_MAX), (3, 2, 0.05, 0.1));
}
