//! `proveil capture`: verifies now and stores what it used, whatever the verdict.

use std::path::Path;

use proveil::Provider;
use proveil::core::bundle::EvidenceBundle;

use super::{on_network, verify};
use crate::args;
use crate::bundle;
use crate::config;
use crate::failure::Stop;
use crate::inputs;
use crate::manifest;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Capture, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let provider = Provider::parse(&args.provider)?;
    let settings = config::load(file)?;
    // Before anything is asked: evidence that cannot be stored afterwards is lost.
    bundle::check_place(&args.output, "--output")?;
    let progress = Progress::new(*output);
    let observer = progress.observer();
    let client = inputs::client(provider, &args.connection, Some(&args.rules), &settings, observer, output)?;
    let capture = on_network(&progress, async { Ok(client.capture(&args.model).await?) })?;
    bundle::write(&args.output, "--output", &capture.bundle, &capture.report)?;
    stored(&args.output, &capture.bundle, capture.report.recheck(), output);
    manifest::show(&capture.bundle, capture.result.as_ref().err(), output);
    verify::show(&capture.report, capture.result, args.full, true, output)
}

/// Says where it is, and the command that judges it again.
pub(super) fn stored(place: &Path, bundle: &EvidenceBundle, recheck: Option<&str>, output: &Output) {
    if output.is_quiet() || output.is_json() {
        return;
    }
    let place = place.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let word =
        if place.chars().all(plain) { place.clone() } else { format!("'{}'", place.replace('\'', "'\\''")) };
    let command = recheck.unwrap_or_default().replace("DIR", &word);
    output.message(&format!(
        "Stored in {place}: evidence of kind {} with everything that judged it. Again, without network:\n  {command}",
        bundle.kind()
    ));
}
