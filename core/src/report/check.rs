//! One check of an appraisal.

use serde::Serialize;

use super::{catalogue, reference};
use crate::error::{Class, Error};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It was not or could not be made.
    NotChecked,
}

/// Whether a check can keep the verdict from being `verified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It must pass.
    Enforced,
    /// It is reported only.
    Advisory,
}

/// Where a check belongs in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Genuine hardware, patch level, configuration.
    Hardware,
    /// The answer is to our challenge.
    Freshness,
    /// The key that we encrypt to is the proven one.
    KeyBinding,
    /// What runs inside.
    Software,
    /// GPU evidence.
    Gpu,
    /// The connection and what the provider says about itself.
    Transport,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 3] = [Outcome::Pass, Outcome::Fail, Outcome::NotChecked];

    /// `pass`, `fail` or `not_checked`.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::NotChecked => "not_checked",
        }
    }
}

impl Enforcement {
    /// Both.
    pub const ALL: [Enforcement; 2] = [Enforcement::Enforced, Enforcement::Advisory];

    /// `enforced` or `advisory`.
    pub const fn name(self) -> &'static str {
        match self {
            Enforcement::Enforced => "enforced",
            Enforcement::Advisory => "advisory",
        }
    }
}

impl Group {
    /// Every group, in the order of the table.
    pub const ALL: [Group; 6] =
        [Group::Hardware, Group::Freshness, Group::KeyBinding, Group::Software, Group::Gpu, Group::Transport];

    /// Name in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Hardware => "hardware",
            Group::Freshness => "freshness",
            Group::KeyBinding => "key_binding",
            Group::Software => "software",
            Group::Gpu => "gpu",
            Group::Transport => "transport",
        }
    }

    /// Heading in the table.
    pub const fn heading(self) -> &'static str {
        match self {
            Group::Hardware => "Hardware",
            Group::Freshness => "Freshness",
            Group::KeyBinding => "Key binding",
            Group::Software => "Software identity",
            Group::Gpu => "GPU",
            Group::Transport => "Provider and transport",
        }
    }
}

/// One line of the check table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub(crate) id: String,
    pub(crate) group: Group,
    pub(crate) title: String,
    pub(crate) outcome: Outcome,
    pub(crate) enforcement: Enforcement,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
}

impl Check {
    fn new(scope: &str, id: &str, outcome: Outcome) -> Check {
        let entry = catalogue::entry(id);
        Check {
            id: format!("{scope}{id}"),
            group: entry.group,
            title: if scope.is_empty() {
                entry.title.to_owned()
            } else {
                format!("{} ({})", entry.title, scope.trim_end_matches('.'))
            },
            outcome,
            enforcement: entry.enforcement,
            code: None,
            reason: None,
            expected: None,
            found: None,
            reference: reference::of(id).map(str::to_owned),
        }
    }

    pub(crate) fn pass(scope: &str, id: &str) -> Check {
        Check::new(scope, id, Outcome::Pass)
    }

    pub(crate) fn not_checked(scope: &str, id: &str, why: &str) -> Check {
        let mut check = Check::new(scope, id, Outcome::NotChecked);
        check.reason = Some(why.to_owned());
        check
    }

    /// A check that ended in an error: indeterminate causes (3xx) mean that it could not be made, all others that it failed.
    pub(crate) fn from_error(scope: &str, id: &str, error: &Error) -> Check {
        let outcome =
            if error.code().class() == Class::Indeterminate { Outcome::NotChecked } else { Outcome::Fail };
        let mut check = Check::new(scope, id, outcome);
        check.code = Some(error.code().text());
        check.reason = Some(error.check().unwrap_or(id).to_owned());
        check.expected = error.expected_value().map(str::to_owned);
        check.found = error.found_value().map(str::to_owned);
        check
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Check {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn advisory(mut self) -> Check {
        self.enforcement = Enforcement::Advisory;
        self
    }

    pub(crate) fn enforced(mut self) -> Check {
        self.enforcement = Enforcement::Enforced;
        self
    }

    /// Stable id, with a scope in front for a document that holds several enclaves: `tdx.quote_signature`, `cm.binding`, ...
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it belongs.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// What is checked, in words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What was found.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether it counts for the verdict.
    pub const fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Error code when it did not pass.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Machine reason (`tdx.tcb.OutOfDate`) or, for a check that was not made, why.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What was expected.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What was there.
    pub fn found_value(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Where the value that was compared with came from; `None` where nothing was.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
}
