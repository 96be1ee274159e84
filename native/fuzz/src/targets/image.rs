//! Policy images through opening and judging: refused, or harmless whatever they say.
//!
//! Knows: what is asked of a policy.  Does not know: which rule should win.

use std::sync::Arc;

use resolver_core::policy::{policy_answer, AnswerForm, Image, Judgement, PolicyTable, GROUPS_MAX};
use resolver_core::wire::{accept_response, parse_query, Accepted, Response};

use super::answers::sent_for;
use super::target::{claim, Target};
use crate::chance::Chance;
use crate::corpus::{self, BLOCKED, CANARY, POLICY};
use crate::{message, mutate, names};

/// Octets of an image's header, in which a change goes furthest.
const HEADER_OCTETS: usize = 256;

/// See the module's text.
pub struct Images {
    names: Vec<Vec<u8>>,
    responses: Vec<Response>,
    opened: u64,
    refused: u64,
    blocked: u64,
}

impl Images {
    pub fn new() -> Images {
        let accepted = corpus::answers().into_iter().filter_map(|answer| {
            match accept_response(&answer.octets, &sent_for(&answer)?) {
                Accepted::Response(response) => Some(response),
                _ => None,
            }
        });
        let long = [&b"\x3f"[..], &[b'a'; 63], b"\x3f", &[b'b'; 63], b"\x3f", &[b'c'; 63], b"\0"].concat();
        let mut names = vec![CANARY.to_vec(), BLOCKED.to_vec(), b"\0".to_vec(), long];
        names.push([b"\x03www", BLOCKED].concat());
        names.push(b"\x03net\0".to_vec());
        Images { names, responses: accepted.collect(), opened: 0, refused: 0, blocked: 0 }
    }
}

impl Target for Images {
    fn name(&self) -> &'static str {
        names::IMAGE
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        if chance.one_in(4) {
            return mutate::mutated(POLICY, POLICY, chance);
        }
        let mut octets = POLICY.to_vec();
        for _ in 0..=chance.below(4) {
            let bound = if chance.one_in(2) { HEADER_OCTETS } else { octets.len() };
            let at = chance.below(bound);
            octets[at] = if chance.one_in(3) { 0xFF } else { chance.octet() };
        }
        octets
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        vec![POLICY.to_vec()]
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let Ok(image) = Image::open(Box::new(case.to_vec())) else {
            self.refused += 1;
            return Ok(());
        };
        self.opened += 1;
        claim(image.verify().is_err() || case == POLICY, "a damaged image was verified")?;
        // Any group: whom a rule is for stands in the file as well.
        let group = case.last().map_or(0, |octet| octet % GROUPS_MAX);
        let table = PolicyTable::new(Arc::new(image), 1, 0.0, 0.0).for_group(group);
        let mut out = Vec::new();
        for name in &self.names {
            let verdict = table.judge_name(name, 0.0);
            table.judge_target(name, 0.0);
            if verdict.is_blocked() {
                self.blocked += 1;
                let octets = message::query(7, name, 1, true, false);
                let query = parse_query(&octets).map_err(|_| "a whole query was refused")?;
                policy_answer(&table, &query, &verdict, AnswerForm::plain(1232), 0.0, &mut out);
                continue;
            }
            for response in &self.responses {
                if let Judgement::Other(judgement) = table.judge_response(&verdict, name, response, 0.0) {
                    self.blocked += u64::from(judgement.is_blocked());
                }
            }
        }
        Ok(())
    }

    fn facts(&self) -> String {
        format!("{} opened, {} refused, {} verdicts that block", self.opened, self.refused, self.blocked)
    }
}
