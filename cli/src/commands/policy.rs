//! `proveil policy`: shows, checks and compares policies, and makes one from a report.

use proveil::core::bundle::EvidenceBundle;
use proveil::core::limits::REPORT_MAX_BYTES;
use proveil::core::policy::{Difference, Effect};
use proveil::core::report::Document;
use proveil::core::wire::hex;
use proveil::{Policy, Report, Result};
use serde_json::{Value, json};

use crate::args::{self, PolicyAction};
use crate::failure::Stop;
use crate::inputs;
use crate::output::Output;

pub(super) fn run(args: &args::Policy, output: &Output) -> Result<u8, Stop> {
    match &args.action {
        PolicyAction::Show { policy } => show(&inputs::named_policy(policy, "PRESET|FILE")?, output)?,
        PolicyAction::Check { file } => {
            let policy = inputs::policy_file(file, "FILE")?;
            check(&file.display().to_string(), &policy, output)?;
        }
        PolicyAction::Diff { before, after } => {
            let before = inputs::named_policy(before, "PRESET|FILE")?;
            diff(&before, &inputs::named_policy(after, "PRESET|FILE")?, output)?;
        }
        PolicyAction::Init(args) => init(args, output)?,
    }
    Ok(0)
}

/// The document, indented.
fn pretty(policy: &Policy) -> String {
    serde_json::to_string_pretty(&document(policy)).unwrap_or_default()
}

fn document(policy: &Policy) -> Value {
    serde_json::from_str(&policy.to_json()).unwrap_or_default()
}

fn facts(policy: &Policy) -> Value {
    json!({
        "name": policy.name(),
        "sha256": hex::encode(&policy.sha256()),
        "relaxations": policy.relaxations(),
        "not_after": policy.not_after(),
    })
}

/// The text form is a policy file; what is said about it goes to standard error.
fn show(policy: &Policy, output: &Output) -> Result<(), Stop> {
    if output.is_json() {
        let mut shown = facts(policy);
        if let Some(members) = shown.as_object_mut() {
            members.insert("schema".to_owned(), json!("proveil.policy-shown/v1"));
            members.insert("policy".to_owned(), document(policy));
        }
        return Ok(output.document(&shown)?);
    }
    output.result(&pretty(policy))?;
    if !output.is_quiet() {
        output.message(&about(policy));
    }
    Ok(())
}

fn about(policy: &Policy) -> String {
    let mut text = format!("sha256 {}", hex::encode(&policy.sha256()));
    for relaxation in policy.relaxations() {
        text.push_str(&format!("\nrelaxed: {relaxation}"));
    }
    text
}

fn check(file: &str, policy: &Policy, output: &Output) -> Result<(), Stop> {
    if output.is_json() {
        let mut checked = facts(policy);
        if let Some(members) = checked.as_object_mut() {
            members.insert("schema".to_owned(), json!("proveil.policy-checked/v1"));
            members.insert("file".to_owned(), json!(file));
        }
        return Ok(output.document(&checked)?);
    }
    Ok(output.result(&format!("{file}: a valid policy, name {}\n{}", policy.name(), about(policy)))?)
}

fn diff(before: &Policy, after: &Policy, output: &Output) -> Result<(), Stop> {
    let differences = before.differences(after);
    if output.is_json() {
        let rows: Vec<Value> = differences.iter().map(row_json).collect();
        return Ok(output.document(&json!({
            "schema": "proveil.policy-difference/v1",
            "before": facts(before),
            "after": facts(after),
            "differences": rows,
        }))?);
    }
    let text = if differences.is_empty() {
        "The policies are the same.".to_owned()
    } else {
        differences.iter().map(row_text).collect::<Vec<_>>().join("\n")
    };
    Ok(output.result(&text)?)
}

fn row_json(row: &Difference) -> Value {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({ "member": row.member, "effect": row.effect.name(), "before": value(&row.before), "after": value(&row.after) })
}

fn row_text(row: &Difference) -> String {
    let effect = match row.effect {
        Effect::Stricter => "stricter",
        Effect::Weaker => "WEAKER",
        Effect::Other => "OTHER",
        Effect::None => "same",
    };
    format!("{effect:<9} {}\n          {}\n       -> {}", row.member, row.before, row.after)
}

fn init(args: &args::PolicyInit, output: &Output) -> Result<(), Stop> {
    let base = inputs::named_policy(&args.base, "--base")?;
    let policy = if args.from.is_dir() {
        let report = verified(args, output)?;
        base.accepting_only(&report, args.machines)
    } else {
        let limit = u64::try_from(REPORT_MAX_BYTES).unwrap_or(u64::MAX);
        let content = inputs::read_or_stdin(&args.from, "--from", limit)?;
        let report = Document::from_json(&content).map_err(|error| error.at("--from"))?;
        output.warn("the report was not verified now: its measurements are taken for true");
        base.accepting_only(&report, args.machines)
    };
    let policy = policy.map_err(|error| error.at("--from"))?.named(&args.name);
    let text = pretty(&policy);
    match &args.output {
        Some(path) => inputs::write(path, &text)?,
        None => output.result(&text)?,
    }
    Ok(())
}

/// A capture, verified as of its own time by its own policy.
fn verified(args: &args::PolicyInit, output: &Output) -> Result<Report> {
    let mut read = |name: &str, limit: usize| {
        inputs::read(&args.from.join(name), "--from", u64::try_from(limit).unwrap_or(u64::MAX))
    };
    let bundle = EvidenceBundle::from_files(&mut read)?;
    let roots = inputs::trust_roots(args.trust_roots.as_deref(), output)?;
    let (report, result) = bundle.appraise(None, Some(&roots), None);
    result.map(|()| report)
}
