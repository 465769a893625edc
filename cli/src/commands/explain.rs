//! `proveil explain`: checks, codes and the policy, from the library's own catalogue and registry.

use proveil::core::error::{REGISTRY, Row};
use proveil::core::report::Enforcement;
use proveil::core::report::catalogue::{self, Entry};
use proveil::core::wire::nearest;
use proveil::{Code, Error, Policy};
use serde_json::{Value, json};

use crate::failure::Stop;
use crate::output::Output;

pub(super) fn run(topic: Option<&str>, output: &Output) -> Result<u8, Stop> {
    let (text, document) = match topic {
        None => everything(),
        Some("policy") => policy(),
        Some(topic) => match (find_row(topic), find_check(topic)) {
            (Some(row), _) => (row_text(row), row_json(row)),
            (None, Some(entry)) => (entry_text(&entry), entry_json(&entry)),
            (None, None) => family(topic).ok_or_else(|| unknown(topic))?,
        },
    };
    if output.is_json() {
        let mut document = document;
        if let Some(members) = document.as_object_mut() {
            members.insert("schema".to_owned(), Value::from("proveil.explain/v1"));
        }
        output.document(&document)?;
    } else {
        output.result(&text)?;
    }
    Ok(0)
}

/// `PV-229`, `pv229`, `229` or the slug.
fn find_row(topic: &str) -> Option<&'static Row> {
    let lower = topic.to_ascii_lowercase();
    let digits = lower.strip_prefix("pv").unwrap_or(&lower).trim_start_matches('-');
    let code = match digits.parse::<u16>() {
        Ok(number) => Code::from_number(number),
        Err(_) => Code::from_slug(&lower),
    };
    code.map(Code::row)
}

/// A check, with or without the scope in front that a report gives it (`cm.tdx.parse`, `model.0.binding.key`).
fn find_check(topic: &str) -> Option<Entry> {
    let mut name = topic;
    loop {
        if let Some(entry) = catalogue::find(name) {
            return Some(entry);
        }
        name = name.split_once('.')?.1;
    }
}

/// All checks whose ids begin with `topic` and a dot.
fn family(topic: &str) -> Option<(String, Value)> {
    let below = |id: &&str| id.strip_prefix(topic).is_some_and(|rest| rest.starts_with('.'));
    let entries: Vec<Entry> = catalogue::ids().filter(below).filter_map(catalogue::find).collect();
    if entries.is_empty() {
        return None;
    }
    let text: Vec<String> = entries.iter().map(|entry| format!("{}\n  {}.", entry.id, entry.title)).collect();
    let checks: Vec<Value> = entries.iter().map(entry_json).collect();
    Some((text.join("\n"), json!({ "checks": checks })))
}

fn unknown(topic: &str) -> Error {
    let error = Error::new(Code::InvalidArgument)
        .at("topic")
        .found(topic)
        .expected("a check, an error code, or `policy`");
    let codes: Vec<String> = REGISTRY.iter().map(|row| row.code.text()).collect();
    let mut names: Vec<&str> = catalogue::ids().collect();
    names.extend(REGISTRY.iter().map(|row| row.slug));
    names.extend(codes.iter().map(String::as_str));
    names.push("policy");
    match nearest(topic, names) {
        Some(near) => error.context(format!("Did you mean `{near}`?")),
        None => error,
    }
}

fn row_text(row: &Row) -> String {
    format!(
        "{} {} ({})\n\n{}\n{}\n\nRetry may help: {}. Exit code: {}. HTTP status of the proxy: {}.",
        row.code.text(),
        row.slug,
        row.code.class().name(),
        row.message,
        row.hint,
        if row.retryable { "yes" } else { "no" },
        row.exit,
        row.http,
    )
}

fn row_json(row: &Row) -> Value {
    json!({ "code": row.code.text(), "slug": row.slug, "class": row.code.class().name(), "message": row.message,
        "hint": row.hint, "retryable": row.retryable, "exit": row.exit, "http": row.http })
}

fn entry_text(entry: &Entry) -> String {
    format!(
        "{} ({}, {})\n\n{}.\n{}\n\nSource: {}",
        entry.id,
        entry.group.heading(),
        enforcement(entry),
        entry.title,
        entry.meaning,
        entry.source,
    )
}

fn entry_json(entry: &Entry) -> Value {
    json!({ "check": entry.id, "group": entry.group.heading(), "enforcement": enforcement(entry), "title": entry.title,
        "meaning": entry.meaning, "source": entry.source })
}

const fn enforcement(entry: &Entry) -> &'static str {
    match entry.enforcement {
        Enforcement::Enforced => "enforced",
        Enforcement::Advisory => "advisory",
    }
}

fn policy() -> (String, Value) {
    let json = Policy::standard().to_json();
    let document: Value = serde_json::from_str(&json).unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
    let text = format!(
        "A policy is a `proveil.policy/v1` JSON file for `--policy`. This is the preset `standard` with every member.\n\
         A file may leave members out: they keep the value of the preset that `extends` names. Unknown members are errors.\n\
         Signatures, certificate chains, freshness and the key binding cannot be relaxed.\n\n{pretty}"
    );
    (text, json!({ "policy": document }))
}

fn everything() -> (String, Value) {
    let mut text = String::from("Checks\n");
    let entries: Vec<Entry> = catalogue::ids().filter_map(catalogue::find).collect();
    for entry in &entries {
        text.push_str(&format!("  {:<30} {}\n", entry.id, entry.title));
    }
    text.push_str("\nCodes\n");
    for row in REGISTRY {
        text.push_str(&format!("  {:<7} {:<26} {}\n", row.code.text(), row.slug, row.message));
    }
    let checks: Vec<Value> = entries.iter().map(entry_json).collect();
    let codes: Vec<Value> = REGISTRY.iter().map(row_json).collect();
    (text, json!({ "checks": checks, "codes": codes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_every_spelling() {
        for topic in ["PV-229", "pv-229", "PV229", "229", "tcb_status_refused", "TCB_STATUS_REFUSED"] {
            assert_eq!(find_row(topic).map(|row| row.number), Some(229), "{topic}");
        }
        for topic in ["PV-999", "tdx.tcb", "", "-229x"] {
            assert!(find_row(topic).is_none(), "{topic}");
        }
    }

    #[test]
    fn checks_with_and_without_scope() {
        for topic in ["nonce.cpu", "cm.nonce.cpu", "model.12.nonce.cpu"] {
            assert_eq!(find_check(topic).map(|entry| entry.id), Some("nonce.cpu"), "{topic}");
        }
        assert!(find_check("nonce.gpux").is_none() && find_check("").is_none());
        assert!(family("tdx").is_some() && family("td").is_none() && family("").is_none());
    }
}
