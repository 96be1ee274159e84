//! Which TLS handshakes may begin: any engine must agree with these vectors.

use std::path::Path;

use resolver_core::flow::{HandshakeLimits, TooManyHandshakes};
use serde::Deserialize;
use serde_norway::Value;

#[derive(Deserialize)]
struct Case {
    name: String,
    rates: (u32, u32),
    steps: Vec<Vec<Value>>,
}

fn outcome(begun: Result<(), TooManyHandshakes>) -> &'static str {
    match begun {
        Ok(()) => "ok",
        Err(TooManyHandshakes::OfClient) => "of_client",
        Err(TooManyHandshakes::OfAll) => "of_all",
        Err(TooManyHandshakes::Breaches) => "breaches",
    }
}

#[test]
fn handshakes_begin_as_the_vectors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/handshakes.yaml");
    let cases: Vec<Case> = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 7);
    for case in cases {
        let limits = HandshakeLimits::new(case.rates.0, case.rates.1);
        for step in case.steps {
            let now = step[0].as_f64().unwrap() / 1000.0;
            let client = step[2].as_str().unwrap().parse().unwrap();
            let times = step[3].as_u64().unwrap();
            if step[1] == "breach" {
                (0..times).for_each(|_| limits.charge(client, now));
                continue;
            }
            let begun: Vec<_> = (0..times).map(|_| outcome(limits.begin(client, now))).collect();
            let wanted: Vec<_> = step[4..]
                .iter()
                .flat_map(|run| vec![run[0].as_str().unwrap(); run[1].as_u64().unwrap() as usize])
                .collect();
            assert_eq!(begun, wanted, "{}: {step:?}", case.name);
        }
    }
}
