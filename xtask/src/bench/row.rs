//! Rows of the result and its two forms.

use std::fmt::Write;

use serde_json::{Value, json};

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub name: String,
    /// Absent when what would be measured has not been built.
    pub value: Option<f64>,
    pub unit: String,
    /// Absent for figures that only explain others.
    pub target: Option<Target>,
    /// What was measured, or why it was not.
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(target) => value <= target,
            Target::AtLeast(target) => value >= target,
        }
    }

    const fn parts(self) -> (&'static str, f64) {
        match self {
            Target::AtMost(target) => ("<=", target),
            Target::AtLeast(target) => (">=", target),
        }
    }
}

impl Row {
    pub fn new(name: &str, value: Option<f64>, unit: &str, target: Target, what: impl Into<String>) -> Row {
        Row { name: name.to_owned(), value, unit: unit.to_owned(), target: Some(target), what: what.into() }
    }

    /// A row as the measuring programs print it.
    pub fn read(json: &Value) -> Option<Row> {
        let text = |name: &str| json.get(name)?.as_str().map(str::to_owned);
        let bound = json.get("target")?.as_f64();
        let target = match (json.get("relation")?.as_str(), bound) {
            (Some("<="), Some(bound)) => Some(Target::AtMost(bound)),
            (Some(">="), Some(bound)) => Some(Target::AtLeast(bound)),
            (None, None) => None,
            _ => return None,
        };
        Some(Row {
            name: text("name")?,
            value: match json.get("value")? {
                Value::Null => None,
                value => Some(value.as_f64()?),
            },
            unit: text("unit")?,
            target,
            what: text("what")?,
        })
    }

    /// Whether the target is met; `None` without a target or a value.
    pub fn is_met(&self) -> Option<bool> {
        Some(self.target?.is_met(self.value?))
    }

    fn to_json(&self) -> Value {
        let (relation, target) = self.target.map(Target::parts).unzip();
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "relation": relation,
            "target": target,
            "met": self.is_met(),
            "what": self.what,
        })
    }
}

/// All rows.
pub(super) struct Table(pub Vec<Row>);

impl Table {
    /// No target is missed. What is not built misses none.
    pub fn is_met(&self) -> bool {
        self.0.iter().all(|row| row.is_met() != Some(false))
    }

    /// One line for each row, what was measured below it.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for row in &self.0 {
            let value =
                row.value.map_or_else(|| "not built".to_owned(), |value| format!("{value:.3} {}", row.unit));
            let target = row
                .target
                .map(Target::parts)
                .map_or_else(String::new, |(relation, target)| format!("{relation} {target} {}", row.unit));
            let met = match row.is_met() {
                Some(true) => "ok",
                Some(false) => "MISSED",
                None => "",
            };
            let _ = writeln!(out, "{:<36} {value:>12}  {target:<12} {met}", row.name);
            let _ = writeln!(out, "    {}", row.what);
        }
        let missed = self.0.iter().filter(|row| row.is_met() == Some(false)).count();
        let met = self.0.iter().filter(|row| row.is_met() == Some(true)).count();
        let absent = self.0.iter().filter(|row| row.value.is_none()).count();
        let _ = write!(out, "{met} targets met, {missed} missed, {absent} not measured");
        out
    }

    /// `{"schema": "proveil.bench/v1", "rows": [...]}`.
    pub fn to_json(&self) -> String {
        let rows: Vec<Value> = self.0.iter().map(Row::to_json).collect();
        json!({ "schema": "proveil.bench/v1", "rows": rows }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (target, value, met) in [
            (Target::AtMost(1.06), Some(1.06), Some(true)),
            (Target::AtMost(1.06), Some(1.07), Some(false)),
            (Target::AtLeast(1.4), Some(1.4), Some(true)),
            (Target::AtLeast(1.4), Some(1.39), Some(false)),
            (Target::AtLeast(1.4), None, None),
        ] {
            let row = Row::new("a", value, "x", target, "b");
            assert_eq!(row.is_met(), met);
            assert_eq!(Table(vec![row]).is_met(), met != Some(false));
        }
    }

    #[test]
    fn both_forms() {
        let json = r#"{"name":"n","value":2.5,"unit":"us","relation":"<=","target":2,"what":"w"}"#;
        let missed = Row::read(&serde_json::from_str(json).unwrap()).unwrap();
        let note = json.replace("\"<=\"", "null").replace(":2,", ":null,");
        let note = Row::read(&serde_json::from_str(&note).unwrap()).unwrap();
        let absent = Row::new("m", None, "MB", Target::AtMost(4.0), "cargo xtask package");
        let table = Table(vec![missed, note, absent]);
        let text = table.to_text();
        assert!(text.contains("2.500 us") && text.contains("<= 2 us") && text.contains("MISSED"), "{text}");
        assert!(
            text.contains("not built") && text.ends_with("0 targets met, 1 missed, 1 not measured"),
            "{text}"
        );
        let parsed: Value = serde_json::from_str(&table.to_json()).unwrap();
        assert_eq!(parsed["rows"][0]["met"], Value::Bool(false));
        assert_eq!(parsed["rows"][1]["met"], Value::Null);
        assert_eq!(parsed["rows"][2]["value"], Value::Null);
        assert!(Row::read(&json!({ "name": "n" })).is_none());
        let absent =
            json!({ "name": "n", "value": null, "unit": "x", "relation": "<=", "target": 1.5, "what": "w" });
        assert_eq!(Row::read(&absent).unwrap().is_met(), None);
    }
}
