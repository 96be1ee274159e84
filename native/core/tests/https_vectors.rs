//! The golden cases of DNS over HTTPS; any engine must agree with them.

use std::path::Path;

use resolver_core::http::{judge, judge_body, max_age_s, Refusal, Wanted};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    requests: Vec<RequestCase>,
    bodies: Vec<(usize, u16)>,
    answers: Vec<(String, String, u32)>,
}

#[derive(Deserialize)]
struct RequestCase {
    name: String,
    #[serde(default = "get")]
    method: String,
    target: String,
    filled_to: Option<usize>,
    content_type: Option<String>,
    content_length: Option<u64>,
    message: Option<String>,
    wants: Option<String>,
    status: Option<u16>,
}

fn get() -> String {
    "GET".into()
}

fn vectors() -> Vectors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/https.yaml");
    serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn octets(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn requests_ask_what_the_vectors_say() {
    let cases = vectors().requests;
    assert!(cases.len() > 50);
    for case in &cases {
        let expected = match (&case.message, case.wants.as_deref(), case.status) {
            (Some(message), None, None) => Ok(Wanted::Answer(octets(message))),
            (None, Some("body"), None) => Ok(Wanted::AnswerToBody),
            (None, None, Some(status)) => Err(status),
            _ => panic!("{}: one of message, wants and status", case.name),
        };
        let filling = case.filled_to.map_or(0, |octets| octets - case.target.len());
        let target = case.target.clone() + &"A".repeat(filling);
        let content_type = case.content_type.as_ref().map(|value| value.as_bytes());
        let judged = judge(&case.method, &target, content_type, case.content_length);
        assert_eq!(judged.map_err(Refusal::status), expected, "{}", case.name);
    }
}

#[test]
fn bodies_are_queries_where_the_vectors_say() {
    for (octets, status) in vectors().bodies {
        let judged = judge_body(octets).err().map_or(0, Refusal::status);
        assert_eq!(judged, status, "{octets}");
    }
}

#[test]
fn an_answer_is_kept_as_long_as_the_vectors_say() {
    let cases = vectors().answers;
    assert!(cases.len() > 10);
    for (name, answer, max_age) in &cases {
        assert_eq!(max_age_s(&octets(answer)), *max_age, "{name}");
    }
}

#[test]
fn octets_that_end_early_have_an_age_too() {
    for (_, answer, _) in vectors().answers {
        let answer = octets(&answer);
        for end in 0..answer.len() {
            max_age_s(&answer[..end]);
        }
    }
}
