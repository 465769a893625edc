//! The report as a card: one SVG image without anything outside of it, dark and light.
//!
//! SVG breaks no lines, so texts are cut to what fits in a font of ordinary width. Every text is escaped (threats T55).

use super::document::Document;
use super::escape::{markup, shortened};
use super::html::Sign;
use super::{Outcome, Roots, Verdict};
use crate::wire::time::rfc3339;

const STYLE: &str = "text{font:16px system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,'Liberation Sans',sans-serif;fill:#1d2126}\
.paper{fill:#fff;stroke:#dedcd5}.soft,.soft text{fill:#5a626b}.rule{stroke:#dedcd5}.mono{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:14px}\
.word{font-size:34px;font-weight:650}.brand{font-weight:650}.small{font-size:14px}.warn{fill:#7a5200;font-weight:650}\
.state{color:#7a5200}.state.verified{color:#13654a}.state.refused{color:#a01f2b}.state text,.bar{fill:currentColor}\
.fill,.dot{fill:currentColor}.line{fill:none;stroke:#fff;stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}\
.ring,.mark{fill:none;stroke:currentColor;stroke-width:1.6}\
@media(prefers-color-scheme:dark){text{fill:#e7e9eb}.paper{fill:#181c20;stroke:#30363c}.soft,.soft text{fill:#a3abb3}.rule{stroke:#30363c}\
.warn{fill:#e9be62}.state{color:#e9be62}.state.verified{color:#74d3a8}.state.refused{color:#ff9d98}.state text{fill:currentColor}.line{stroke:#181c20}}";

/// Characters of the ordinary font that fit on a line of the card.
const LINE: usize = 76;

pub(super) fn render(document: &Document) -> String {
    let mut card = Card(String::with_capacity(8 * 1024));
    card.raw("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"330\" viewBox=\"0 0 720 330\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">");
    card.text(&title(document));
    card.raw("</title>\n<desc id=\"d\">");
    card.text(&document.headline);
    card.raw("</desc>\n<style>");
    card.raw(STYLE);
    card.raw("</style>\n<rect class=\"paper\" x=\".5\" y=\".5\" width=\"719\" height=\"329\" rx=\"14\"/>\n");
    state(&mut card, document);
    card.line("72", "", &shortened(&subject(document), LINE), "116");
    let (name, key) = match document.key() {
        Some(key) if document.verdict == Verdict::Verified => ("Proven key", key),
        Some(key) => ("Key (not proven)", key),
        None => ("Key", "none"),
    };
    card.pair("150", name, &shortened(key, 52), true);
    card.pair("178", "Checked", &rfc3339(document.checked_at), false);
    let end = document.valid_until.map_or_else(|| "-".to_owned(), rfc3339);
    card.pair("206", "Valid until", &end, false);
    card.pair("234", "Policy", &shortened(&policy(document), 60), false);
    card.raw("<path class=\"rule\" d=\"M32 254h656\"/>\n");
    card.line("32", "warn", &shortened(&open(document), LINE), "284");
    card.line(
        "32",
        "soft small",
        "A record, not a verification: the full report says how to check it again.",
        "310",
    );
    card.raw("</svg>\n");
    card.0
}

struct Card(String);

impl Card {
    fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    fn text(&mut self, text: &str) {
        markup(text, &mut self.0);
    }

    fn line(&mut self, x: &'static str, class: &'static str, text: &str, y: &'static str) {
        for part in ["<text x=\"", x, "\" y=\"", y, "\" class=\"", class, "\">"] {
            self.raw(part);
        }
        self.text(text);
        self.raw("</text>\n");
    }

    fn pair(&mut self, y: &'static str, name: &'static str, value: &str, mono: bool) {
        self.line("32", "soft", name, y);
        self.line("220", if mono { "mono" } else { "" }, value, y);
    }
}

/// Sign, word and level.
fn state(card: &mut Card, document: &Document) {
    let (open, sign) = match document.verdict {
        Verdict::Verified => ("<g class=\"state verified\">", Sign::Tick),
        Verdict::Refused => ("<g class=\"state refused\">", Sign::Cross),
        Verdict::Indeterminate => ("<g class=\"state\">", Sign::Question),
    };
    card.raw(open);
    card.raw("<path class=\"bar\" d=\"M14.5 1h691A14 14 0 0 1 719 8H1A14 14 0 0 1 14.5 1z\"/><g transform=\"translate(32 54) scale(1.75)\">");
    card.raw(sign.shape());
    card.raw("</g>\n<text class=\"word\" x=\"72\" y=\"80\">");
    card.text(&words(document));
    card.raw("</text></g>\n");
    card.raw("<text class=\"soft small\" x=\"688\" y=\"36\" text-anchor=\"end\">Proveil attestation report</text>\n");
}

fn words(document: &Document) -> String {
    let word = match document.verdict {
        Verdict::Verified => "Verified",
        Verdict::Refused => "Refused",
        Verdict::Indeterminate => "Could not check",
    };
    let roots = if document.roots == Roots::Custom { " against CUSTOM roots" } else { "" };
    let level = document.level.map(|level| format!(", {}", level.name())).unwrap_or_default();
    let code = document.code().map(|code| format!(" ({})", shortened(code, 8))).unwrap_or_default();
    format!("{word}{roots}{level}{code}")
}

fn title(document: &Document) -> String {
    format!("{}: {}", words(document), subject(document))
}

fn subject(document: &Document) -> String {
    format!("{} at {}", shortened(&document.model, 48), shortened(&document.provider, 20))
}

fn policy(document: &Document) -> String {
    let hash: String = document.policy.sha256.chars().take(16).collect();
    let weaker = match document.policy.relaxations.len() {
        0 => String::new(),
        1 => ", 1 RELAXATION".to_owned(),
        count => format!(", {count} RELAXATIONS"),
    };
    format!("{} ({hash}\u{2026}){weaker}", shortened(&document.policy.name, 20))
}

/// How much is open.
fn open(document: &Document) -> String {
    let count = |outcome| document.checks.iter().filter(|check| check.outcome() == outcome).count();
    format!(
        "Not proven: {} things. Checks: {} passed, {} failed, {} not checked.",
        document.not_proven.len(),
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::NotChecked),
    )
}
