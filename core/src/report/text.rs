//! The report as plain text for a terminal of 80 columns.

use super::{Group, Outcome, Report, Roots};
use crate::report::Enforcement;

const WIDTH: usize = 78;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    wrap(&mut out, "", report.headline());
    if report.roots == Roots::Custom {
        wrap(&mut out, "", "Signatures were checked against CUSTOM roots, not the hardware vendors'.");
    }
    if let (Some(level), Some(missing)) = (report.level, report.missing_to_next_level()) {
        wrap(
            &mut out,
            "",
            &format!("Level {}: {}. Missing to the next level: {missing}.", level.name(), level.meaning()),
        );
    }
    section(&mut out, "Who can read your prompt");
    for hop in &report.who_can_read {
        let standing = match hop.standing {
            super::Standing::Proven => "proven",
            super::Standing::Asserted => "asserted by the provider",
            super::Standing::Unknown => "unknown",
        };
        wrap(&mut out, "  - ", &format!("{} [{standing}]: {}", hop.name, hop.note));
    }
    section(&mut out, "Not proven");
    for line in &report.not_proven {
        wrap(&mut out, "  - ", line);
    }
    for group in
        [Group::Hardware, Group::Freshness, Group::KeyBinding, Group::Software, Group::Gpu, Group::Transport]
    {
        let checks: Vec<_> = report.checks.iter().filter(|check| check.group() == group).collect();
        if checks.is_empty() {
            continue;
        }
        section(&mut out, group.heading());
        for check in checks {
            let mark = match check.outcome() {
                Outcome::Pass => "pass       ",
                Outcome::Fail => "FAIL       ",
                Outcome::NotChecked => "not checked",
            };
            let mut line = check.title().to_owned();
            if check.enforcement() == Enforcement::Advisory {
                line.push_str(" (advisory)");
            }
            wrap(&mut out, &format!("  {mark}  "), &line);
            if check.outcome() != Outcome::Pass {
                let mut detail = String::new();
                for part in [check.code(), check.reason()].into_iter().flatten() {
                    detail.push_str(part);
                    detail.push(' ');
                }
                if let Some(expected) = check.expected() {
                    detail.push_str(&format!("expected {expected} "));
                }
                if let Some(found) = check.found_value() {
                    detail.push_str(&format!("found {found}"));
                }
                wrap(&mut out, "               ", detail.trim());
            } else if let Some(found) = check.found_value() {
                wrap(&mut out, "               ", found);
            }
        }
    }
    section(&mut out, "Policy");
    wrap(
        &mut out,
        "  ",
        &format!("{} (sha256 {})", report.policy.name, report.policy.sha256.get(..16).unwrap_or_default()),
    );
    for relaxation in &report.policy.relaxations {
        wrap(&mut out, "  relaxed: ", relaxation);
    }
    out
}

fn section(out: &mut String, heading: &str) {
    out.push('\n');
    out.push_str(heading);
    out.push('\n');
}

/// Appends `text` wrapped at spaces; the first line starts with `lead`, the others with as many spaces.
fn wrap(out: &mut String, lead: &str, text: &str) {
    let indent = lead.chars().count();
    let mut column = indent;
    out.push_str(lead);
    let mut first = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !first && column.saturating_add(length).saturating_add(1) > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
            first = true;
        }
        if !first {
            out.push(' ');
            column = column.saturating_add(1);
        }
        out.push_str(word);
        column = column.saturating_add(length);
        first = false;
    }
    out.push('\n');
}
