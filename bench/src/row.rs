//! One line of the result.

use serde_json::{Value, json};

/// A measured value and what it has to be.
pub struct Row {
    name: &'static str,
    value: Option<f64>,
    unit: &'static str,
    target: Option<Target>,
    what: String,
}

/// The bound of a value.
#[derive(Clone, Copy)]
pub enum Target {
    /// The value must not be above.
    AtMost(f64),
    /// The value must not be below.
    AtLeast(f64),
}

impl Row {
    /// A value with a bound. `what` says what was timed, both sides if there are two.
    pub fn new(
        name: &'static str,
        value: f64,
        unit: &'static str,
        target: Target,
        what: impl Into<String>,
    ) -> Row {
        Row { name, value: Some(value), unit, target: Some(target), what: what.into() }
    }

    /// A value that only explains another one.
    pub fn note(name: &'static str, value: f64, unit: &'static str, what: impl Into<String>) -> Row {
        Row { name, value: Some(value), unit, target: None, what: what.into() }
    }

    /// A value that cannot be had here, and why.
    pub fn absent(name: &'static str, unit: &'static str, target: Target, why: &str) -> Row {
        Row { name, value: None, unit, target: Some(target), what: why.to_owned() }
    }

    /// As JSON: `name`, `value` (`null` when it cannot be had), `unit`, `relation` (`<=` or `>=`) and `target` (both `null` for a note), `what`.
    pub fn to_json(&self) -> Value {
        let (relation, target) = match self.target {
            Some(Target::AtMost(target)) => (Some("<="), Some(target)),
            Some(Target::AtLeast(target)) => (Some(">="), Some(target)),
            None => (None, None),
        };
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "relation": relation,
            "target": target,
            "what": self.what,
        })
    }
}
