//! The report as plain text for a terminal of 80 columns.

use super::{Check, Enforcement, Group, Outcome, Report, Roots};

const WIDTH: usize = 78;

/// How much of the check table is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Every check.
    Full,
    /// Passed checks as a count.
    Summary,
}

pub(super) fn render(report: &Report, detail: Detail) -> String {
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
    if detail == Detail::Summary {
        section(&mut out, "Checks");
    }
    for group in GROUPS {
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

const GROUPS: [Group; 6] =
    [Group::Hardware, Group::Freshness, Group::KeyBinding, Group::Software, Group::Gpu, Group::Transport];

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
