//! What changed between two manifests, for pins and logs.

use crate::claims::Manifest;
use crate::error::{Code, Error, Result};
use crate::wire::json::Json;

/// One difference. `None` stands for a member that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestDifference {
    /// The member, `ReferenceValues.snp[0].TrustedMeasurement`; empty, without values, when only the form of the text differs.
    pub path: String,
    /// Its value before, as JSON.
    pub old: Option<String>,
    /// Its value now, as JSON.
    pub new: Option<String>,
}

/// Differences that [`describe`] lists; the rest is counted.
const LISTED_MAX: usize = 40;
/// Characters of a name or value that it shows.
const SHOWN_MAX: usize = 100;

/// Differences for people, in lines without an end of line at the end: the member, its value before (`-`) and now (`+`). Long values are cut.
pub fn describe(found: &[ManifestDifference]) -> String {
    let mut lines = Vec::new();
    for ManifestDifference { path, old, new } in found.iter().take(LISTED_MAX) {
        if path.is_empty() {
            lines.push("  only the form of the text differs".to_owned());
            continue;
        }
        lines.push(format!("  {}", shortened(path)));
        for (sign, value) in [('-', old), ('+', new)] {
            lines.extend(value.as_ref().map(|value| format!("    {sign} {}", shortened(value))));
        }
    }
    let more = found.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

/// One line, cut.
fn shortened(value: &str) -> String {
    let mut text: String =
        value.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() < value.len() {
        text.push('\u{2026}');
    }
    text
}

/// Every difference between two manifests, in the order of the old text and then of the new one. A policy whose document changed and
/// nothing else is one difference, named by its workload. Empty for equal bytes only. Fails with `manifest_invalid`.
pub fn differences(old: &[u8], new: &[u8]) -> Result<Vec<ManifestDifference>> {
    if old == new {
        return Ok(Vec::new());
    }
    let read = |bytes: &[u8]| {
        Manifest::parse(bytes)?;
        Json::parse(bytes).map_err(|_| Error::new(Code::ManifestInvalid))
    };
    let (old, new) = (read(old)?, read(new)?);
    let mut found = Vec::new();
    compare("", &old, &new, &mut found);
    if found.is_empty() {
        found.push(ManifestDifference { path: String::new(), old: None, new: None });
    }
    Ok(found)
}

fn compare(path: &str, old: &Json, new: &Json, found: &mut Vec<ManifestDifference>) {
    match (old, new) {
        (Json::Object(before), Json::Object(after)) if path == "Policies" => policies(before, after, found),
        (Json::Object(before), Json::Object(after)) => {
            for (name, value) in before {
                member(&join(path, name), Some(value), new.get(name), found);
            }
            for (name, value) in after.iter().filter(|(name, _)| old.get(name).is_none()) {
                member(&join(path, name), None, Some(value), found);
            }
        }
        (Json::Array(before), Json::Array(after)) => {
            for i in 0..before.len().max(after.len()) {
                member(&format!("{path}[{i}]"), before.get(i), after.get(i), found);
            }
        }
        _ if old == new => {}
        _ => push(path, Some(old), Some(new), found),
    }
}

fn member(path: &str, old: Option<&Json>, new: Option<&Json>, found: &mut Vec<ManifestDifference>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, found),
        _ => push(path, old, new, found),
    }
}

fn push(path: &str, old: Option<&Json>, new: Option<&Json>, found: &mut Vec<ManifestDifference>) {
    let text = |value: Option<&Json>| value.map(Json::to_compact);
    found.push(ManifestDifference { path: path.to_owned(), old: text(old), new: text(new) });
}

/// Policies are named by their hash, so a changed document changes the name: removed and added policies of one workload belong together.
fn policies(before: &[(String, Json)], after: &[(String, Json)], found: &mut Vec<ManifestDifference>) {
    let has =
        |list: &[(String, Json)], name: &str| list.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut added: Vec<&(String, Json)> = after.iter().filter(|(name, _)| !has(before, name)).collect();
    for (name, old) in before {
        let same = after.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some((_, new)) = same {
            compare(&join("Policies", name), old, new, found);
            continue;
        }
        let workload = workload(old);
        match added.iter().position(|(_, new)| workload.is_some() && self::workload(new) == workload) {
            Some(place) => {
                let (other, new) = added.remove(place);
                let path = join("Policies", workload.unwrap_or_default());
                let hash = |name: &str| Some(Json::String(name.to_owned()));
                push(&path, hash(name).as_ref(), hash(other).as_ref(), found);
                compare(&path, old, new, found);
            }
            None => push(&join("Policies", name), Some(old), None, found),
        }
    }
    for (name, new) in added {
        push(&join("Policies", name), None, Some(new), found);
    }
}

/// The name of a policy's workload: its secret's, or the coordinator's role.
fn workload(policy: &Json) -> Option<&str> {
    let text = |name| policy.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    text("WorkloadSecretID").or_else(|| text("Role"))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
