//! The report as one HTML page that needs nothing else: no network, no script, dark and light, for screen and print.
//!
//! Every text of the document goes through [`Page::text`], which escapes; markup is literal. The policy in the page's head allows
//! exactly the one style sheet in it, by its hash, and nothing else (threats T55). Meaning is never in colour alone: every state has a
//! sign and a word. The page says that it is a record: somebody could have edited it.

use super::document::Document;
use super::html_sections as sections;
use super::{Roots, Verdict, escape};
use crate::crypto;
use crate::wire::{base64, hex};

const STYLE: &str = include_str!("html.css");

/// The file that a document was read from, for the page's footer.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    name: &'a str,
    sha256: [u8; 32],
}

impl<'a> Source<'a> {
    /// Name and content of the file.
    pub fn new(name: &'a str, content: &[u8]) -> Source<'a> {
        Source { name, sha256: crypto::sha256(&[content]) }
    }
}

pub(super) fn render(document: &Document, source: Option<&Source<'_>>) -> String {
    let mut page = Page(String::with_capacity(64 * 1024));
    head(&mut page, document);
    page.raw("<body>\n<main>\n");
    verdict(&mut page, document);
    sections::subject(&mut page, document);
    sections::open_checks(&mut page, document);
    sections::hops(&mut page, document);
    sections::not_proven(&mut page, document);
    sections::checks(&mut page, document);
    sections::platforms(&mut page, document);
    sections::policy(&mut page, document);
    sections::evidence(&mut page, document);
    sections::facts(&mut page, document);
    page.raw("</main>\n");
    footer(&mut page, document, source);
    page.raw("</body>\n</html>\n");
    page.0
}

/// A page in the making. Literal markup and escaped text have different methods, and markup cannot be made at run time.
pub(super) struct Page(String);

impl Page {
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    pub(super) fn text(&mut self, text: &str) {
        escape::markup(text, &mut self.0);
    }

    /// `<tag class="class">text</tag>`
    pub(super) fn element(&mut self, tag: &'static str, class: &'static str, text: &str) {
        self.open(tag, class);
        self.text(text);
        self.close(tag);
    }

    pub(super) fn open(&mut self, tag: &'static str, class: &'static str) {
        self.raw("<");
        self.raw(tag);
        if !class.is_empty() {
            self.raw(" class=\"");
            self.raw(class);
            self.raw("\"");
        }
        self.raw(">");
    }

    pub(super) fn close(&mut self, tag: &'static str) {
        self.raw("</");
        self.raw(tag);
        self.raw(">\n");
    }

    /// A sign that is read aloud as nothing: the word beside it says the same.
    pub(super) fn sign(&mut self, sign: Sign) {
        self.raw("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\" focusable=\"false\">");
        self.raw(sign.shape());
        self.raw("</svg>");
    }
}

/// Shapes that differ without colour.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Tick,
    Cross,
    Open,
    Question,
    Quote,
}

impl Sign {
    pub(super) const fn shape(self) -> &'static str {
        match self {
            Sign::Tick => {
                "<circle class=\"fill\" cx=\"8\" cy=\"8\" r=\"8\"/><path class=\"line\" d=\"M4.3 8.4l2.5 2.5 5-5.4\"/>"
            }
            Sign::Cross => {
                "<path class=\"fill\" d=\"M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7z\"/>\
                 <path class=\"line\" d=\"M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6\"/>"
            }
            Sign::Open => "<circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"6.6\"/>",
            Sign::Question => {
                "<circle class=\"ring dash\" cx=\"8\" cy=\"8\" r=\"7\"/>\
                 <path class=\"mark\" d=\"M6 6.3a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4\"/><circle class=\"dot\" cx=\"8\" cy=\"11.8\" r=\".9\"/>"
            }
            Sign::Quote => {
                "<path class=\"ring\" d=\"M2 2.2h12v8.6H7.6L4.4 13.8v-3H2z\"/><path class=\"mark\" d=\"M5 5.2h6M5 7.8h4\"/>"
            }
        }
    }
}

fn head(page: &mut Page, document: &Document) {
    page.raw("<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    page.text(&base64::encode(&crypto::sha256(&[STYLE.as_bytes()])));
    page.raw("'; base-uri 'none'; form-action 'none'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    page.text(document.verdict.words());
    if document.roots == Roots::Custom {
        page.raw(" (CUSTOM roots)");
    }
    page.raw(" - ");
    page.text(&document.provider);
    page.raw(" ");
    page.text(&document.model);
    page.raw(" - Proveil attestation report</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n");
}

fn verdict(page: &mut Page, document: &Document) {
    let (open, sign) = match document.verdict {
        Verdict::Verified => ("<header class=\"verdict verified\">\n", Sign::Tick),
        Verdict::Refused => ("<header class=\"verdict refused\">\n", Sign::Cross),
        Verdict::Indeterminate => ("<header class=\"verdict indeterminate\">\n", Sign::Question),
    };
    page.raw("<p class=\"brand\">Proveil <span>attestation report</span></p>\n");
    page.raw(open);
    page.raw("<h1>");
    page.sign(sign);
    page.raw("<span>");
    page.text(match document.verdict {
        Verdict::Verified => "Verified",
        Verdict::Refused => "Refused",
        Verdict::Indeterminate => "Could not check",
    });
    if let Some(level) = document.level {
        page.raw(", ");
        page.text(level.name());
    }
    page.raw("</span></h1>\n");
    page.raw("<p class=\"headline\">");
    for (i, word) in document.headline.split(' ').enumerate() {
        if i > 0 {
            page.raw(" ");
        }
        // Names and times are not broken at their hyphens.
        if word.matches('-').count() > 1 && word.len() <= 32 {
            page.raw("<span>");
            page.text(word);
            page.raw("</span>");
        } else {
            page.text(word);
        }
    }
    page.raw("</p>\n");
    if document.roots == Roots::Custom {
        page.raw(
            "<p class=\"notice\"><strong>CUSTOM roots.</strong> Signatures were checked against roots that the caller \
             gave, not the hardware vendors'. This shows nothing about real hardware.</p>\n",
        );
    }
    if !document.policy.relaxations.is_empty() {
        page.raw("<p class=\"notice\"><strong>Weakened policy.</strong> ");
        page.text(&document.policy.relaxations.join("; "));
        page.raw(".</p>\n");
    }
    sections::ladder(page, document);
    page.raw("</header>\n");
}

fn footer(page: &mut Page, document: &Document, source: Option<&Source<'_>>) {
    page.raw("<footer>\n<p>");
    match source {
        Some(source) => {
            page.raw("As recorded in <code>");
            page.text(source.name);
            page.raw("</code> (SHA-256 <code>");
            page.text(&hex::encode(&source.sha256));
            page.raw("</code>).");
        }
        None => page.raw("Written by the library that made the appraisal."),
    }
    page.raw(
        " This page is a record of one appraisal. It is not itself a verification and proves nothing: \
         anyone can write such a page. ",
    );
    page.raw(if document.recheck.is_some() {
        "To know, check the evidence again with the command above."
    } else {
        "To know, check the evidence again."
    });
    page.raw("</p>\n<p>Made by ");
    page.text(&document.library);
    page.raw(". The page loads nothing and runs no script.</p>\n</footer>\n");
}
