//! What a run has shown, rung by rung. A rung did what its scenario declares, or the verdict says what differs.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::invariants::Invariant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The declared invariants broke, and no others.
    Reproduced,
    /// Nothing broke; the damage has moved elsewhere.
    Displaced,
    /// Nothing broke, and nothing else was damaged.
    Prevented,
    NotAsDeclared,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reproduced => "REPRODUCED",
            Self::Displaced => "DISPLACED",
            Self::Prevented => "PREVENTED",
            Self::NotAsDeclared => "NOT_AS_DECLARED",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a verdict on one rung rests on.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The invariants that the rung must break; none for a remedied one.
    pub declared: &'a [Invariant],
    pub broken: BTreeSet<Invariant>,
    /// What could not be checked.
    pub unchecked: Vec<String>,
    /// What must be seen in a run, or it shows nothing.
    pub precondition: &'a str,
    pub precondition_met: bool,
    /// Where the figures are not those of the model, and what else went wrong.
    pub differences: Vec<String>,
    /// The scenario's primary damage (oversold units).
    pub primary: i64,
    /// The damage elsewhere (payments voided after they were made, units left).
    pub displaced: i64,
    /// What broke in the twins.
    pub twins: Vec<String>,
}

/// The verdict, with a sentence for each thing that differs from what was declared.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> (Verdict, Vec<String>) {
    let mut reasons = Vec::new();
    if !evidence.precondition_met {
        reasons.push(format!("its precondition was not met, which is that {}", evidence.precondition));
    }
    let declared: BTreeSet<Invariant> = evidence.declared.iter().copied().collect();
    reasons.extend(declared.difference(&evidence.broken).map(|held| format!("{held} ({}) was to break and holds", held.name())));
    reasons.extend(evidence.broken.difference(&declared).map(|broken| format!("{broken} ({}) was to hold and is broken", broken.name())));
    reasons.extend(evidence.unchecked.iter().map(|what| format!("not checked: {what}")));
    reasons.extend(evidence.differences.iter().cloned());
    reasons.extend(evidence.twins.iter().map(|what| format!("a twin is not clean: {what}")));
    if !declared.is_empty() && evidence.primary == 0 {
        reasons.push("nothing was damaged on a rung that was to reproduce the incident".to_owned());
    }
    if declared.is_empty() && evidence.primary != 0 {
        reasons.push("the incident happened on a rung that was to prevent it".to_owned());
    }
    let verdict = match (reasons.is_empty(), declared.is_empty(), evidence.displaced) {
        (false, ..) => Verdict::NotAsDeclared,
        (true, false, _) => Verdict::Reproduced,
        (true, true, 0) => Verdict::Prevented,
        (true, true, _) => Verdict::Displaced,
    };
    (verdict, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    const R0: &[Invariant] = &[Invariant::I2, Invariant::I3, Invariant::I18];

    fn evidence(declared: &'static [Invariant], broken: &[Invariant], primary: i64, displaced: i64) -> Evidence<'static> {
        Evidence {
            declared,
            broken: broken.iter().copied().collect(),
            unchecked: vec![],
            precondition: "somebody comes",
            precondition_met: true,
            differences: vec![],
            primary,
            displaced,
            twins: vec![],
        }
    }

    #[test]
    fn a_rung_reproduces_displaces_or_prevents() {
        assert_eq!(judge(&evidence(R0, R0, 14, 0)), (Verdict::Reproduced, vec![]));
        assert_eq!(judge(&evidence(&[], &[], 0, 3)), (Verdict::Displaced, vec![]));
        assert_eq!(judge(&evidence(&[], &[], 0, 0)), (Verdict::Prevented, vec![]));
    }

    #[test]
    fn whatever_differs_from_what_was_declared_is_said() {
        let told = |evidence: Evidence<'_>| {
            let (verdict, reasons) = judge(&evidence);
            assert_eq!(verdict, Verdict::NotAsDeclared);
            reasons.join("; ")
        };
        assert!(told(Evidence { precondition_met: false, ..evidence(R0, R0, 14, 0) }).contains("precondition"));
        assert!(told(evidence(R0, &[Invariant::I2, Invariant::I3], 14, 0)).contains("I18 (within supply) was to break and holds"));
        assert!(told(evidence(&[], &[Invariant::I9], 0, 0)).contains("I9 (the saga is atomic) was to hold and is broken"));
        assert!(told(evidence(R0, R0, 0, 0)).contains("nothing was damaged"));
        assert!(told(evidence(&[], &[], 1, 0)).contains("the incident happened"));
        assert!(told(Evidence { differences: vec!["sold is 99".into()], ..evidence(&[], &[], 0, 0) }).contains("sold is 99"));
        assert!(told(Evidence { twins: vec!["I1".into()], ..evidence(&[], &[], 0, 0) }).contains("a twin is not clean: I1"));
        assert!(told(Evidence { unchecked: vec!["I9".into()], ..evidence(&[], &[], 0, 0) }).contains("not checked: I9"));
    }
}
