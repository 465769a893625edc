//! The parts of the HTML page, in the order of users.md 9.

use super::document::Document;
use super::html::{Page, Sign};
use super::{Check, Enforcement, Group, Level, Outcome, Standing, Verdict};
use crate::error::Code;
use crate::wire::time::rfc3339;

/// The five levels, with the one that was reached and what is missing to the next.
pub(super) fn ladder(page: &mut Page, document: &Document) {
    let Some(reached) = document.level else { return };
    page.raw("<ol class=\"ladder\" aria-label=\"Levels of proof\">\n");
    for level in Level::ALL {
        let class = if level == reached {
            "reached current"
        } else if level < reached {
            "reached"
        } else {
            ""
        };
        page.open("li", class);
        page.text(level.name());
        page.raw(if level == reached {
            "<span>reached</span>"
        } else if level < reached {
            "<span>included</span>"
        } else {
            "<span>not shown</span>"
        });
        page.close("li");
    }
    page.raw("</ol>\n<p class=\"level\"><strong>");
    page.text(reached.name());
    page.raw(":</strong> ");
    page.text(reached.meaning());
    page.raw(". <strong>Missing to the next level:</strong> ");
    page.text(document.missing_to_next_level().unwrap_or("-"));
    page.raw(".</p>\n");
}

/// What was appraised, and when.
pub(super) fn subject(page: &mut Page, document: &Document) {
    page.raw("<dl class=\"subject\">\n");
    row(page, "Provider", &document.provider);
    row(page, "Model", &document.model);
    if !document.base_url.is_empty() {
        row(page, "Address", &document.base_url);
    }
    if let Some(key) = document.key() {
        let name = match document.verdict {
            Verdict::Verified => "Proven key",
            Verdict::Refused | Verdict::Indeterminate => "Key named (not proven)",
        };
        code_row(page, name, key);
    }
    row(page, "Checked", &rfc3339(document.checked_at));
    if let Some(end) = document.valid_until {
        row(page, "Valid until", &rfc3339(end));
    }
    page.raw("</dl>\n");
}

fn row(page: &mut Page, name: &'static str, value: &str) {
    page.raw("<div><dt>");
    page.raw(name);
    page.raw("</dt><dd>");
    page.text(value);
    page.raw("</dd></div>\n");
}

fn code_row(page: &mut Page, name: &'static str, value: &str) {
    page.raw("<div><dt>");
    page.raw(name);
    page.raw("</dt><dd><code>");
    page.text(value);
    page.raw("</code></dd></div>\n");
}

/// Why the verdict is not `verified`: the enforced checks that did not pass.
pub(super) fn open_checks(page: &mut Page, document: &Document) {
    let counts =
        |check: &&Check| check.enforcement() == Enforcement::Enforced && check.outcome() != Outcome::Pass;
    let deciding: Vec<&Check> = document.checks.iter().filter(counts).collect();
    if document.verdict == Verdict::Verified {
        return;
    }
    page.raw("<section>\n<h2>Why</h2>\n");
    if deciding.is_empty() {
        page.raw("<p>Every check that counts passed, but the proof had already ended at the time of the check.</p>\n");
    }
    // In full: what failed, and what could not be made for a reason of its own. The others follow from these.
    let (causes, followers): (Vec<&Check>, Vec<&Check>) =
        deciding.into_iter().partition(|check| check.outcome() == Outcome::Fail || check.code().is_some());
    for check in causes {
        page.raw(if check.outcome() == Outcome::Fail {
            "<div class=\"why fail\">\n<p class=\"what\">"
        } else {
            "<div class=\"why open\">\n<p class=\"what\">"
        });
        page.sign(sign(check.outcome()));
        page.raw("<strong>");
        page.text(check.title());
        page.raw("</strong> ");
        page.element("span", "tag", words(check.outcome()));
        page.raw("</p>\n");
        if let Some(message) = check.code().and_then(message) {
            page.element("p", "", message);
        }
        page.raw("<dl>\n");
        code_row(page, "Check", check.id());
        let reason = check.reason().filter(|reason| *reason != check.id());
        for (name, value) in [
            ("Code", check.code()),
            ("Reason", reason),
            ("Expected", check.expected()),
            ("Found", check.found_value()),
        ] {
            if let Some(value) = value {
                code_row(page, name, value);
            }
        }
        if let Some(reference) = check.reference() {
            row(page, "Compared with", reference);
        }
        page.raw("</dl>\n</div>\n");
    }
    if !followers.is_empty() {
        page.raw("<h3>Not made, and needed</h3>\n<ul class=\"open-list\">\n");
        for check in followers {
            page.raw("<li>");
            page.sign(Sign::Open);
            page.raw("<p>");
            page.text(check.title());
            if let Some(reason) = check.reason() {
                page.raw(": ");
                page.text(reason);
            }
            page.raw("</p></li>\n");
        }
        page.raw("</ul>\n");
    }
    page.raw("</section>\n");
}

/// What a code means, in a sentence.
fn message(code: &str) -> Option<&'static str> {
    let number = code.strip_prefix("PV-")?.parse().ok()?;
    Some(Code::from_number(number)?.row().message)
}

/// Every place that sees the prompt in clear.
pub(super) fn hops(page: &mut Page, document: &Document) {
    if document.who_can_read.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Who can read your prompt</h2>\n<ol class=\"hops\">\n");
    for hop in &document.who_can_read {
        let (open, sign) = match hop.standing {
            Standing::Proven => ("<li class=\"proven\">", Sign::Tick),
            Standing::Asserted => ("<li class=\"asserted\">", Sign::Quote),
            Standing::Unknown => ("<li class=\"unknown\">", Sign::Question),
        };
        page.raw(open);
        page.sign(sign);
        page.raw("<div><p class=\"hop\"><strong>");
        page.text(&hop.name);
        page.raw("</strong> ");
        page.element("span", "tag", hop.standing.words());
        page.raw("</p>\n");
        page.element("p", "", &hop.note);
        page.raw("</div></li>\n");
    }
    page.raw("</ol>\n</section>\n");
}

/// What nothing shows, as large as what is shown.
pub(super) fn not_proven(page: &mut Page, document: &Document) {
    if document.not_proven.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Not proven <span class=\"count\">");
    page.text(&document.not_proven.len().to_string());
    page.raw("</span></h2>\n<ul class=\"open-list\">\n");
    for line in &document.not_proven {
        page.raw("<li>");
        page.sign(Sign::Open);
        page.raw("<p>");
        match line.split_once(": ") {
            Some((what, rest)) if what.chars().count() <= 60 => {
                page.raw("<strong>");
                page.text(what);
                page.raw(":</strong> ");
                page.text(rest);
            }
            _ => page.text(line),
        }
        page.raw("</p></li>\n");
    }
    page.raw("</ul>\n</section>\n");
}

/// The table, group by group.
pub(super) fn checks(page: &mut Page, document: &Document) {
    let count = |outcome| document.checks.iter().filter(|check| check.outcome() == outcome).count();
    page.raw("<section class=\"checks\">\n<h2>Checks</h2>\n<ul class=\"legend\">\n");
    for outcome in Outcome::ALL {
        page.open("li", if count(outcome) == 0 { "" } else { class(outcome) });
        page.sign(sign(outcome));
        page.text(&format!("{} {}", count(outcome), words(outcome)));
        page.close("li");
    }
    page.raw("</ul>\n<p class=\"note\">A check that was not made is not a check that passed. An advisory check is shown and does not count for the verdict.</p>\n");
    for group in Group::ALL {
        let members: Vec<&Check> = document.checks.iter().filter(|check| check.group() == group).collect();
        if !members.is_empty() {
            table(page, group, &members);
        }
    }
    page.raw("</section>\n");
}

fn table(page: &mut Page, group: Group, members: &[&Check]) {
    let passed = members.iter().filter(|check| check.outcome() == Outcome::Pass).count();
    page.raw("<h3>");
    page.text(group.heading());
    page.raw(" <span>");
    page.text(&format!("{passed} of {} passed", members.len()));
    page.raw(
        "</span></h3>\n<table>\n<thead><tr><th scope=\"col\">Result</th><th scope=\"col\">Check</th>\
              <th scope=\"col\">Compared with</th><th scope=\"col\">Counts</th></tr></thead>\n<tbody>\n",
    );
    for check in members {
        page.open("tr", class(check.outcome()));
        page.raw("<td class=\"result\">");
        page.sign(sign(check.outcome()));
        page.text(words(check.outcome()));
        page.raw("</td><td>");
        page.text(check.title());
        page.raw("<div class=\"detail\"><code class=\"id\">");
        page.text(check.id());
        page.raw("</code>");
        details(page, check);
        page.raw("</div></td><td data-label=\"Compared with\">");
        page.text(check.reference().unwrap_or("\u{2013}"));
        page.raw("</td><td data-label=\"Counts\">");
        page.text(check.enforcement().name());
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}

fn details(page: &mut Page, check: &Check) {
    if check.outcome() == Outcome::Pass {
        if let Some(found) = check.found_value() {
            page.raw("<span>found ");
            page.element("code", "", found);
            page.raw("</span>");
        }
        return;
    }
    if let Some(code) = check.code() {
        page.element("span", "", code);
    }
    if let Some(reason) = check.reason().filter(|reason| *reason != check.id()) {
        page.element("span", "", reason);
    }
    for (name, value) in [("expected ", check.expected()), ("found ", check.found_value())] {
        if let Some(value) = value {
            page.raw("<span>");
            page.raw(name);
            page.element("code", "", value);
            page.raw("</span>");
        }
    }
}

const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::NotChecked => "open",
    }
}

const fn sign(outcome: Outcome) -> Sign {
    match outcome {
        Outcome::Pass => Sign::Tick,
        Outcome::Fail => Sign::Cross,
        Outcome::NotChecked => Sign::Open,
    }
}

const fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "passed",
        Outcome::Fail => "failed",
        Outcome::NotChecked => "not checked",
    }
}

/// Patch state and age of the collateral.
pub(super) fn platforms(page: &mut Page, document: &Document) {
    page.raw("<section>\n<h2>Platform and collateral</h2>\n");
    if document.platforms.is_empty() {
        page.raw("<p>No platform's evidence verified, so there is no patch state to report.</p>\n");
    }
    for platform in &document.platforms {
        page.raw("<dl>\n");
        row(page, "Platform", &platform.name);
        if let Some(status) = &platform.tcb_status {
            let date = platform.tcb_date.map(|date| format!(", level of {}", super::text::date_only(date)));
            row(page, "Patch state", &format!("{status}{}", date.unwrap_or_default()));
        }
        let advisories = platform.advisories.join(" ");
        row(page, "Advisories", if advisories.is_empty() { "none for this level" } else { &advisories });
        if let Some(issued) = platform.collateral_issued_at {
            row(page, "Collateral issued", &rfc3339(issued));
        }
        if let Some(expires) = platform.collateral_expires_at {
            row(page, "Collateral expires", &rfc3339(expires));
        }
        page.raw("</dl>\n");
    }
    page.raw("</section>\n");
}

/// Name, hash and every relaxation.
pub(super) fn policy(page: &mut Page, document: &Document) {
    page.raw("<section>\n<h2>Policy</h2>\n<dl>\n");
    row(page, "Name", &document.policy.name);
    code_row(page, "SHA-256", &document.policy.sha256);
    page.raw("<div><dt>Relaxations</dt><dd>");
    if document.policy.relaxations.is_empty() {
        page.raw("none: nothing is weaker than the preset <code>standard</code>");
    } else {
        page.raw("<ul>\n");
        for relaxation in &document.policy.relaxations {
            page.element("li", "", relaxation);
        }
        page.raw("</ul>");
    }
    page.raw("</dd></div>\n</dl>\n</section>\n");
}

/// What was judged, by what, and how to judge it again.
pub(super) fn evidence(page: &mut Page, document: &Document) {
    page.raw("<section>\n<h2>Evidence</h2>\n<dl>\n");
    if let Some(digest) = document.evidence_sha256() {
        code_row(page, "SHA-256 of the evidence", digest);
    }
    if let Some(nonce) = document.nonce() {
        code_row(page, "Our challenge", nonce);
    }
    row(page, "Library", &document.library);
    page.raw("</dl>\n");
    if let Some(command) = document.recheck() {
        page.raw("<h3>Check it again, offline</h3>\n");
        page.element("pre", "", command);
        page.raw("<p class=\"note\">Names in capitals stand for saved files. The evidence is the right one when its SHA-256 is the one above.</p>\n");
    }
    page.raw("</section>\n");
}

/// What authenticated evidence said.
pub(super) fn facts(page: &mut Page, document: &Document) {
    if document.facts.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Facts from signed evidence</h2>\n<dl class=\"facts\">\n");
    for fact in &document.facts {
        page.raw("<div><dt>");
        page.text(&fact.name);
        page.raw("</dt><dd><code>");
        page.text(if fact.value.is_empty() { "\u{2013}" } else { &fact.value });
        page.raw("</code></dd></div>\n");
    }
    page.raw("</dl>\n</section>\n");
}
