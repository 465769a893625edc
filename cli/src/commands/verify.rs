//! `proveil verify`: online with a fresh challenge, over a capture or saved answer, or over bare hardware evidence.

use std::path::Path;

use proveil::core::bundle::{Evidence, EvidenceBundle, ROOTS_FILE};
use proveil::core::limits::ATTESTATION_RESPONSE_MAX_BYTES;
use proveil::core::provider::{EvidenceInput, appraise};
use proveil::{Code, Error, Provider, Report, Result, Verdict};

use super::{hardware, on_network};
use crate::args;
use crate::bundle;
use crate::config::{self, Loaded};
use crate::failure::{Stop, describe, describe_bare};
use crate::inputs::{self, PRIVATEMODE_ONLY};
use crate::manifest;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Verify, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    if let Some(place) = &args.offline.evidence {
        hardware::refuse_flags(&args.hardware)?;
        return captured(place, args, output);
    }
    let subject = args.subject.as_deref().unwrap_or_default();
    if let Some(kind) = hardware::Kind::of(subject) {
        inputs::refuse_privatemode(&args.rules.privatemode, PRIVATEMODE_ONLY)?;
        return hardware::run(kind, args, output);
    }
    let provider = Provider::parse(subject)?;
    hardware::refuse_flags(&args.hardware)?;
    let settings = config::load(file)?;
    if let Some(first) = args.files.first() {
        let error = Error::new(Code::Usage).at("FILES").found(first.display().to_string());
        return Err(error.context("Files go with `snp`, `tdx` or `nvidia`.").into());
    }
    let (report, result) = match &args.offline {
        args::Offline {
            response: Some(response),
            nonce: Some(nonce),
            collateral: Some(collateral),
            at: Some(at),
            evidence: _,
        } => {
            if provider == Provider::Privatemode {
                let error = Error::new(Code::Usage).at("--response");
                return Err(error
                    .context("This provider's evidence has several parts: use `--evidence` with a capture.")
                    .into());
            }
            inputs::refuse_privatemode(&args.rules.privatemode, PRIVATEMODE_ONLY)?;
            let limit = u64::try_from(ATTESTATION_RESPONSE_MAX_BYTES).unwrap_or(u64::MAX);
            let nonce = inputs::nonce(nonce)?;
            let policy = inputs::policy_for(provider, &args.rules, &settings, output)?;
            let roots = inputs::trust_roots(args.rules.trust_roots.as_deref(), output)?;
            let input = EvidenceInput {
                provider,
                model: args.model.as_deref(),
                response: &inputs::read(response, "--response", limit)?,
                nonce,
                collateral: &inputs::collateral(collateral, output)?,
            };
            appraise(&input, &policy, &roots, *at)
        }
        offline => {
            // A live verification has a challenge and a time of its own.
            for (flag, given) in [("--nonce", offline.nonce.is_some()), ("--at", offline.at.is_some())] {
                if given {
                    let error = Error::new(Code::Usage).at(flag);
                    return Err(error.context("It goes with `--response` or `--evidence`.").into());
                }
            }
            online(provider, args, &settings, output)?
        }
    };
    show(&report, result, args.full, true, output)
}

fn online(
    provider: Provider,
    args: &args::Verify,
    settings: &Loaded,
    output: &Output,
) -> Result<(Report, Result<()>), Stop> {
    let model = args.model.as_deref().ok_or_else(|| {
        Error::new(Code::Usage).at("--model").context("Which model? `proveil models` lists them.")
    })?;
    let progress = Progress::new(*output);
    let observer = progress.observer();
    let client = inputs::client(provider, &args.connection, Some(&args.rules), settings, observer, output)?;
    let capture = on_network(&progress, async { Ok(client.capture(model).await?) })?;
    manifest::show(&capture.bundle, capture.result.as_ref().err(), output);
    Ok((capture.report, capture.result))
}

/// Judges a capture by its own policy and at its own time, unless others are named. Roots are never taken from it: a capture that
/// brought its own would vouch for itself (README decision 4).
fn captured(place: &Path, args: &args::Verify, output: &Output) -> Result<u8, Stop> {
    if args.offline.nonce.is_some() || args.model.is_some() {
        let flag = if args.model.is_some() { "--model" } else { "--nonce" };
        return Err(Error::new(Code::Usage).at(flag).context("A capture has its own.").into());
    }
    inputs::refuse_privatemode(&args.rules.privatemode, "A capture has its own.")?;
    let bundle = bundle::read(place)?;
    let policy = match args.rules.policy.as_deref() {
        Some(name) => Some(inputs::policy(Some(name), output)?),
        None => {
            warn_of_policy(&bundle, output);
            None
        }
    };
    let roots = match args.rules.trust_roots.as_deref() {
        Some(path) => Some(inputs::trust_roots(Some(path), output)?),
        None => {
            if bundle.custom_roots().is_some() {
                let roots = place.join(ROOTS_FILE);
                output.warn(&format!(
                    "the capture was made against CUSTOM roots; it is judged by the hardware vendors' unless you give `--trust-roots {}`",
                    roots.display()
                ));
            }
            None
        }
    };
    let (report, result) = bundle.appraise(policy.as_ref(), roots.as_ref(), args.offline.at);
    let endpoint = matches!(bundle.evidence(), Evidence::Provider(_));
    manifest::show(&bundle, result.as_ref().err(), output);
    show(&report, result, args.full, endpoint, output)
}

fn warn_of_policy(bundle: &EvidenceBundle, output: &Output) {
    let policy = bundle.policy();
    let relaxations = policy.relaxations();
    if !relaxations.is_empty() {
        output.warn(&format!(
            "policy {}, recorded in the capture, is weaker than standard: {}",
            policy.name(),
            relaxations.join("; ")
        ));
    }
}

/// The report is the result; the error behind a verdict that is not `verified` is explained beside it. `endpoint` says whether it
/// is about something that a prompt could be sent to.
pub(super) fn show(
    report: &Report,
    result: Result<()>,
    full: bool,
    endpoint: bool,
    output: &Output,
) -> Result<u8, Stop> {
    let exit = match report.verdict() {
        Verdict::Verified => 0,
        Verdict::Refused => 3,
        Verdict::Indeterminate => 4,
    };
    let printed = if output.is_json() {
        output.result(&report.to_json())
    } else {
        let text = if full { report.to_text() } else { report.to_summary() };
        output.verdict(report.verdict(), &text)
    };
    match printed.map_err(Stop::from) {
        // The verdict is in the exit code, whether or not somebody reads the rest.
        Ok(()) | Err(Stop::Closed) => {}
        Err(stop) => return Err(stop),
    }
    if let Some(error) = result.err().filter(|_| !output.is_json()) {
        output.message(&if endpoint { describe(&error) } else { describe_bare(&error) });
    }
    Ok(exit)
}
