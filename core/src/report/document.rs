//! What a report says, as data, and the forms that it can be shown in.

use std::ops::Deref;

use serde::Serialize;

use super::{Check, Fact, Hop, Level, Platform, PolicyRef, Roots, Source, Verdict};
use super::{ear, html, read, svg, text};
use crate::error::{Result, cleaned};
use crate::limits::REPORT_TEXT_MAX_BYTES;

/// Name of the JSON form.
pub const SCHEMA: &str = "proveil.report/v1";

/// What an appraisal found. Only an appraisal makes one; everything it says is in the [`Document`] behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(Document);

impl Report {
    /// Takes what an appraisal says. Texts that came from others are cut and cleaned here, once for all forms (threats T41, T55).
    pub(crate) fn new(mut document: Document) -> Report {
        document.clean();
        Report(document)
    }
}

impl Deref for Report {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

/// What a report says: of an appraisal just made, or as recorded in a file.
///
/// A document that was read from a file is somebody's word: it can be shown, and nothing accepts it as a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    pub(crate) schema: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) level: Option<Level>,
    pub(crate) roots: Roots,
    pub(crate) headline: String,
    pub(crate) code: Option<String>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) base_url: String,
    pub(crate) key: Option<String>,
    pub(crate) checked_at: u64,
    pub(crate) valid_until: Option<u64>,
    pub(crate) policy: PolicyRef,
    pub(crate) missing_to_next_level: Option<String>,
    pub(crate) who_can_read: Vec<Hop>,
    pub(crate) not_proven: Vec<String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) nonce: Option<String>,
    pub(crate) evidence_sha256: Option<String>,
    pub(crate) recheck: Option<String>,
    pub(crate) library: String,
}

impl Document {
    /// Reads a saved report of at most 4 MiB. Strict: unknown, missing and repeated members, texts with invisible characters, and a
    /// verdict that contradicts its own checks are refused. Fails with `report_invalid` or `limit_exceeded`.
    pub fn from_json(bytes: &[u8]) -> Result<Document> {
        read::document(bytes)
    }

    /// The overall answer.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The level reached; only for a verified endpoint.
    pub const fn level(&self) -> Option<Level> {
        self.level
    }

    /// Whose signatures were accepted.
    pub const fn roots(&self) -> Roots {
        self.roots
    }

    /// The verdict in one line of words.
    pub fn headline(&self) -> &str {
        &self.headline
    }

    /// The error code of the first enforced check that failed or could not be made.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Provider name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Model id.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where the provider was reached; empty where nothing was.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The proven key as shown to people.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// When the evidence was appraised, in seconds since 1970-01-01T00:00:00Z.
    pub const fn checked_at(&self) -> u64 {
        self.checked_at
    }

    /// When the proof ends, same unit; only for a verified endpoint.
    pub const fn valid_until(&self) -> Option<u64> {
        self.valid_until
    }

    /// The policy that was applied.
    pub const fn policy(&self) -> &PolicyRef {
        &self.policy
    }

    /// Every check in the order in which it was made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Facts from authenticated evidence.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The platforms whose evidence verified, with patch state and age of the collateral.
    pub fn platforms(&self) -> &[Platform] {
        &self.platforms
    }

    /// Every place that sees the prompt in clear.
    pub fn who_can_read(&self) -> &[Hop] {
        &self.who_can_read
    }

    /// What nothing in this appraisal shows, in plain words.
    pub fn not_proven(&self) -> &[String] {
        &self.not_proven
    }

    /// What is missing to the next level.
    pub fn missing_to_next_level(&self) -> Option<&str> {
        self.missing_to_next_level.as_deref()
    }

    /// Our challenge, lowercase hex.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// SHA-256 of the evidence as received, lowercase hex.
    pub fn evidence_sha256(&self) -> Option<&str> {
        self.evidence_sha256.as_deref()
    }

    /// The command that checks the same evidence again, offline; names in capitals stand for files.
    pub fn recheck(&self) -> Option<&str> {
        self.recheck.as_deref()
    }

    /// Name and version of the library that made the report.
    pub fn library(&self) -> &str {
        &self.library
    }

    /// `proveil.report/v1` JSON, pretty-printed, deterministic.
    pub fn to_json(&self) -> String {
        // Serialising plain strings and numbers cannot fail; an empty text would be refused by every reader.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For a terminal of 80 columns, without colour: verdict, who can read, what is not proven, every check.
    pub fn to_text(&self) -> String {
        text::render(self, text::Detail::Full)
    }

    /// The same on one screen: checks that passed are counted per group, the others are listed.
    pub fn to_summary(&self) -> String {
        text::render(self, text::Detail::Summary)
    }

    /// One HTML page that needs nothing else: no network, no script, dark and light, for screen and print.
    pub fn to_html(&self) -> String {
        html::render(self, None)
    }

    /// The same, with a footer that names the file that the report was read from.
    pub fn to_html_as_recorded_in(&self, source: &Source<'_>) -> String {
        html::render(self, Some(source))
    }

    /// A card as one SVG image: verdict, level, key, how much is not proven.
    pub fn to_svg(&self) -> String {
        svg::render(self)
    }

    /// An EAT attestation result (draft-ietf-rats-ear-04) with the checks as private claims: compact JSON, deterministic.
    pub fn to_ear_json(&self) -> String {
        ear::json(self)
    }

    /// The same, signed with ES256 as a JWT. Whoever signs it vouches for it: sign reports of your own appraisals only.
    pub fn to_ear_jwt(&self, key: &ear::EarKey) -> Result<String> {
        ear::jwt(self, key)
    }

    /// Every text that was not written by this library.
    fn clean(&mut self) {
        let Document { headline, provider, model, base_url, key, who_can_read, not_proven, .. } = self;
        let mut texts: Vec<&mut String> = vec![headline, provider, model, base_url, &mut self.policy.name];
        texts.extend([key, &mut self.evidence_sha256, &mut self.recheck].into_iter().flatten());
        texts.extend(self.policy.relaxations.iter_mut().chain(not_proven));
        texts.extend(who_can_read.iter_mut().flat_map(|hop| [&mut hop.name, &mut hop.note]));
        texts.extend(self.facts.iter_mut().flat_map(|fact| [&mut fact.name, &mut fact.value]));
        for Platform { name, tcb_status, advisories, .. } in &mut self.platforms {
            texts.push(name);
            texts.extend(tcb_status.iter_mut().chain(advisories));
        }
        for check in &mut self.checks {
            let Check { id, title, code, reason, expected, found, reference, .. } = check;
            texts.extend([id, title]);
            texts.extend([code, reason, expected, found, reference].into_iter().flatten());
        }
        for text in texts {
            let clean = cleaned(text, REPORT_TEXT_MAX_BYTES);
            if clean != *text {
                *text = clean;
            }
        }
    }
}
