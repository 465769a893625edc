//! The report as plain text for a terminal of 80 columns.

use super::{Check, Document, Enforcement, Group, Outcome, Platform, Roots};
use crate::wire::time::rfc3339;

const WIDTH: usize = 78;

/// How much of the check table is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Every check.
    Full,
    /// Passed checks as a count.
    Summary,
}

pub(super) fn render(report: &Document, detail: Detail) -> String {
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
    if !report.who_can_read.is_empty() {
        section(&mut out, "Who can read your prompt");
    }
    for hop in &report.who_can_read {
        wrap(&mut out, "  - ", &format!("{} [{}]: {}", hop.name, hop.standing.words(), hop.note));
    }
    section(&mut out, "Not proven");
    for line in &report.not_proven {
        wrap(&mut out, "  - ", line);
    }
    if detail == Detail::Summary {
        section(&mut out, "Checks");
    }
    for group in Group::ALL {
        let checks: Vec<_> = report.checks.iter().filter(|check| check.group() == group).collect();
        if checks.is_empty() {
            continue;
        }
        let passed = checks.iter().filter(|check| check.outcome() == Outcome::Pass).count();
        match detail {
            Detail::Full => section(&mut out, group.heading()),
            Detail::Summary => {
                let heading = group.heading();
                wrap(&mut out, "  ", &format!("{heading}: {passed} of {} passed", checks.len()));
            }
        }
        for check in checks {
            if detail == Detail::Full || check.outcome() != Outcome::Pass {
                write_check(&mut out, check);
            }
        }
    }
    section(&mut out, "Policy");
    let sha256 = &report.policy.sha256;
    match detail {
        Detail::Full => {
            wrap(&mut out, "  ", &report.policy.name);
            wrap(&mut out, "  ", &format!("sha256 {sha256}"));
        }
        Detail::Summary => {
            let short = sha256.get(..16).unwrap_or_default();
            wrap(&mut out, "  ", &format!("{} (sha256 {short})", report.policy.name));
        }
    }
    for relaxation in &report.policy.relaxations {
        wrap(&mut out, "  relaxed: ", relaxation);
    }
    if detail == Detail::Full {
        if report.policy.relaxations.is_empty() {
            wrap(&mut out, "  ", "Nothing is weaker than the preset standard.");
        }
        record(&mut out, report);
    }
    out
}

/// Age of the collateral, identity of the evidence, and how to check it again.
fn record(out: &mut String, report: &Document) {
    if !report.platforms.is_empty() {
        section(out, "Platform and collateral");
    }
    for platform in &report.platforms {
        wrap(out, "  - ", &platform_line(platform));
    }
    section(out, "Evidence");
    wrap(out, "  ", &format!("checked {}", rfc3339(report.checked_at)));
    if let Some(end) = report.valid_until {
        wrap(out, "  ", &format!("valid until {}", rfc3339(end)));
    }
    for (name, value) in [("challenge", &report.nonce), ("evidence sha256", &report.evidence_sha256)] {
        if let Some(value) = value {
            wrap(out, "  ", &format!("{name} {value}"));
        }
    }
    wrap(out, "  ", &report.library);
    if let Some(command) = &report.recheck {
        section(out, "Check it again, offline");
        wrap(out, "  ", command);
    }
}

fn platform_line(platform: &Platform) -> String {
    let mut parts = vec![platform.name.clone()];
    if let Some(status) = &platform.tcb_status {
        let date = platform.tcb_date.map(|date| format!(" (level of {})", date_only(date)));
        parts.push(format!("patch state {status}{}", date.unwrap_or_default()));
    }
    parts.push(if platform.advisories.is_empty() {
        "no advisories".to_owned()
    } else {
        format!("advisories {}", platform.advisories.join(" "))
    });
    for (what, time) in
        [("issued", platform.collateral_issued_at), ("expires", platform.collateral_expires_at)]
    {
        parts.extend(time.map(|time| format!("collateral {what} {}", rfc3339(time))));
    }
    parts.join("; ")
}

/// The day of a time.
pub(super) fn date_only(unix_s: u64) -> String {
    rfc3339(unix_s).chars().take_while(|c| *c != 'T').collect()
}

fn write_check(out: &mut String, check: &Check) {
    let mark = match check.outcome() {
        Outcome::Pass => "pass       ",
        Outcome::Fail => "FAIL       ",
        Outcome::NotChecked => "not checked",
    };
    let mut line = check.title().to_owned();
    if check.enforcement() == Enforcement::Advisory {
        line.push_str(" (advisory)");
    }
    wrap(out, &format!("  {mark}  "), &line);
    let mut detail: Vec<String> = Vec::new();
    if check.outcome() != Outcome::Pass {
        detail.extend([check.code(), check.reason()].into_iter().flatten().map(str::to_owned));
        detail.extend(check.expected().map(|expected| format!("expected {expected}")));
        detail.extend(check.found_value().map(|found| format!("found {found}")));
    } else {
        detail.extend(check.found_value().map(str::to_owned));
    }
    if !detail.is_empty() {
        wrap(out, "               ", &detail.join(" "));
    }
    if let Some(reference) = check.reference().filter(|_| check.outcome() == Outcome::Fail) {
        wrap(out, "               ", &format!("compared with {reference}"));
    }
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
