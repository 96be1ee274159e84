//! What a rule class is at one time, for one group of clients: in force or not, and until when.
//!
//! Knows: modes, dates, what a source is at which time, audiences.  Does not know: names, which rule wins.

use super::rules::{Effect, RuleClass, Tier};
use crate::verdict::{Mode, PolicyAction, Rule, RuleForm};

/// A rule class as of the table's time, for the table's group.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassState {
    /// Monotonic seconds of its next `from` or `until`; inf: none.
    pub changes_at: f64,
    /// Its rule at that time: of its source the record in force, or else the one to come.
    pub rule: u16,
    pub form: Option<RuleForm>,
    pub effect: Effect,
    pub tier: Tier,
    pub action: PolicyAction,
    pub is_enforced: bool,
    /// Enforced, or shadow and within its dates: it takes part in the second winner.
    pub is_counted: bool,
    /// Not enforced yet, and some day it is.
    pub is_coming: bool,
    /// Where it is the only one that speaks of a name, it decides.
    pub is_ready: bool,
}

impl ClassState {
    /// Whether it excepts the names below its owner and not the owner itself.
    pub fn is_exception_below(&self) -> bool {
        self.effect != Effect::Block && self.form == Some(RuleForm::Below)
    }
}

/// The state of a class at a time (wall and monotonic); None: its rule is not there.
pub(super) fn class_state_of(
    class: &RuleClass,
    rules: &[Rule],
    (wall, monotonic): (f64, f64),
    group: u8,
) -> Option<ClassState> {
    let first = usize::from(class.rule);
    let source = rules.get(first..=first + usize::from(rules.get(first)?.following))?;
    let place = source.iter().position(|rule| wall < rule.ends_at).unwrap_or(source.len() - 1);
    let rule = source.get(place)?;
    let offset = wall - monotonic;
    let is_over = rule.mode == Mode::Disabled || rule.ends_at <= wall || rule.ends_at <= rule.starts_at;
    let takes_part = !is_over && class.is_for(group);
    let is_in_date = takes_part && rule.starts_at <= wall;
    let is_enforced = is_in_date && rule.mode == Mode::Enforce;
    Some(ClassState {
        changes_at: match (takes_part, is_in_date) {
            (false, _) => f64::INFINITY,
            (true, false) => rule.starts_at - offset,
            (true, true) => rule.ends_at - offset,
        },
        rule: (first + place) as u16,
        form: class.form,
        effect: class.effect,
        tier: class.tier,
        action: rule.action,
        is_enforced,
        is_counted: is_in_date,
        is_coming: takes_part
            && !is_enforced
            && source.iter().any(|rule| rule.mode == Mode::Enforce && wall < rule.starts_at),
        is_ready: is_enforced && class.effect == Effect::Block && class.form.is_some(),
    })
}
