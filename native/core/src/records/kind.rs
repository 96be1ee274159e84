//! What the records of one kind have in common: all that is counted together.
//!
//! Knows: labels.  Does not know: records, how outcomes are counted.

use crate::verdict::CONFIDENTIAL;

/// The labels of a rule that spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitLabels {
    /// `exchange` or `list`.
    pub kind: &'static str,
    /// The exchange's id or the list's name.
    pub label: String,
    /// What was done, or would have been.
    pub action: &'static str,
}

/// One kind of outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its metric label.
    pub transport: &'static str,
    /// None for a drop.
    pub rcode: Option<&'static str>,
    /// None for a drop.
    pub source: Option<&'static str>,
    /// Why it was dropped; None for an answer.
    pub reason: Option<&'static str>,
    /// The rule that blocked.
    pub enforced: Option<HitLabels>,
    /// The rule that would have.
    pub shadow: Option<HitLabels>,
}

impl Kind {
    /// Whether a rule spoke of which nobody outside is told: it is counted, and there is no record of it.
    pub fn is_confidential(&self) -> bool {
        [&self.enforced, &self.shadow].into_iter().flatten().any(|hit| hit.label == CONFIDENTIAL)
    }

    /// Whether a rule blocked, or would have.
    pub fn has_hit(&self) -> bool {
        self.enforced.is_some() || self.shadow.is_some()
    }

    /// What stands in every line of the log behind the question, in order.
    pub fn fields(&self) -> Vec<(String, &str)> {
        let mut fields = Vec::new();
        for (name, label) in [("rcode", self.rcode), ("source", self.source), ("dropped", self.reason)] {
            fields.extend(label.map(|label| (name.to_owned(), label)));
        }
        for (prefix, hit) in [("", &self.enforced), ("shadow_", &self.shadow)] {
            if let Some(hit) = hit {
                fields.push((format!("{prefix}{}", hit.kind), &*hit.label));
                fields.push((format!("{prefix}action"), hit.action));
            }
        }
        fields
    }
}
