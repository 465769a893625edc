//! What differs between the manifest that was expected of a deployment and the one that it states, for people.

use proveil::core::attest::contrast::{describe, differences};
use proveil::core::bundle::{Evidence, EvidenceBundle};
use proveil::core::evidence::ContrastDocument;
use proveil::{Client, Code, Error};

use crate::output::Output;

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
    Some(format!("Expected manifest (-) and what the deployment states (+):\n{}", describe(&found)))
}
