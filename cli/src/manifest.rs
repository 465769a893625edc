//! What differs between the manifest that was expected of a deployment and the one that it states, for people.

use proveil::core::attest::contrast::{ManifestDifference, differences};
use proveil::core::bundle::{Evidence, EvidenceBundle};
use proveil::core::evidence::ContrastDocument;
use proveil::{Client, Code, Error};

use crate::output::Output;

/// Differences that are listed; the rest is counted.
const LISTED_MAX: usize = 40;
/// Characters of a value.
const SHOWN_MAX: usize = 100;

/// After a refusal for the manifest: asks once more what the deployment states, and shows where that differs.
pub(crate) async fn explain(client: &Client, model: &str, error: &Error, output: &Output) {
    if error.code() != Code::ManifestMismatch || output.is_json() {
        return;
    }
    // Without an answer there is nothing to add to the refusal.
    if let Ok(capture) = client.capture(model).await {
        show(&capture.bundle, capture.result.as_ref().err(), output);
    }
}

/// The same from evidence that is at hand.
pub(crate) fn show(bundle: &EvidenceBundle, error: Option<&Error>, output: &Output) {
    let mismatch = error.is_some_and(|error| error.code() == Code::ManifestMismatch);
    if let Some(text) = changes(bundle).filter(|_| mismatch && !output.is_json()) {
        output.message(&text);
    }
}

/// The differences in lines; `None` for other evidence, and where one of the two is no manifest.
fn changes(bundle: &EvidenceBundle) -> Option<String> {
    let Evidence::Provider(evidence) = bundle.evidence() else { return None };
    let expected = &evidence.privatemode.as_deref()?.manifest;
    let document = ContrastDocument::from_answer(&evidence.response).ok()?;
    let found = differences(expected, document.manifests.last()?).ok()?;
    Some(lines(&found))
}

fn lines(found: &[ManifestDifference]) -> String {
    let mut text = "Expected manifest (-) and what the deployment states (+):".to_owned();
    for ManifestDifference { path, old, new } in found.iter().take(LISTED_MAX) {
        if path.is_empty() {
            text.push_str("\n  only the form of the text differs");
            continue;
        }
        text.push_str(&format!("\n  {}", shortened(path)));
        for (sign, value) in [('-', old), ('+', new)] {
            if let Some(value) = value {
                text.push_str(&format!("\n    {sign} {}", shortened(value)));
            }
        }
    }
    let more = found.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
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
