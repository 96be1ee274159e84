//! Which names are denied, and what a client is told then.
//!
//! Knows: the policy image and its rules.  Does not know: YAML, list formats, sockets, wall time (a table is
//! told once, when it is made).

mod activity;
pub mod answer;
pub mod image;
mod image_format;
mod probes;
mod responses;
pub mod rules;
pub mod structured;
mod suffixes;
pub mod table;
mod template;

pub use crate::verdict::{
    Exemption, Judgement, LocalData, Mode, PolicyAction, Rule, RuleForm, RuleKind, RuleMatch, Verdict,
};
pub use answer::{policy_answer, AnswerForm, PolicyAnswer};
pub use image::Image;
pub use image_format::ImageUnusable;
pub use probes::{Place, Probes, NAMES_ABREAST};
pub use structured::StructuredErrors;
pub use table::{PolicyTable, EVERYBODY, GROUPS_MAX};
