//! `proveil verify`: online with a fresh challenge, or offline over saved evidence.

use proveil::core::limits::ATTESTATION_RESPONSE_MAX_BYTES;
use proveil::core::provider::{EvidenceInput, appraise};
use proveil::{Code, Error, Provider, Report, Result, Verdict};

use super::on_network;
use crate::args;
use crate::failure::{Stop, describe};
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Verify, output: &Output) -> Result<u8, Stop> {
    let provider = Provider::parse(&args.provider)?;
    let (report, result) = match &args.offline {
        args::Offline {
            response: Some(response),
            nonce: Some(nonce),
            collateral: Some(collateral),
            at: Some(at),
        } => {
            let limit = u64::try_from(ATTESTATION_RESPONSE_MAX_BYTES).unwrap_or(u64::MAX);
            let nonce = inputs::nonce(nonce)?;
            let policy = inputs::policy(&args.rules.policy, output)?;
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
        _ => online(provider, args, output)?,
    };
    show(&report, result, args.full, output)
}

fn online(provider: Provider, args: &args::Verify, output: &Output) -> Result<(Report, Result<()>), Stop> {
    let model = args.model.as_deref().ok_or_else(|| {
        Error::new(Code::Usage).at("--model").context("Which model? `proveil models` lists them.")
    })?;
    let progress = Progress::new(*output);
    let client = inputs::client(provider, &args.connection, Some(&args.rules), progress.observer(), output)?;
    on_network(&progress, async { Ok(client.appraise(model).await?) })
}

/// The report is the result; the error behind a verdict that is not `verified` is explained beside it.
fn show(report: &Report, result: Result<()>, full: bool, output: &Output) -> Result<u8, Stop> {
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
        output.message(&describe(&error));
    }
    Ok(exit)
}
