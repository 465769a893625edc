//! What runs inside: event log, application description, copies of measurements, reference values (venice.md 2.8, attestation.md 4.2).

use super::{NodeFindings, NodeInput, optional_text};
use crate::appraise::tdx::compare;
use crate::attest::dstack::{self, EventLog, Evidence};
use crate::claims::{DstackClaims, TdxClaims, Verified};
use crate::error::{Code, Error, Result};
use crate::policy::Appraisal;
use crate::report::Check;
use crate::wire::hex;
use crate::wire::json::Json;

pub(super) fn check(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    claims: &Verified<TdxClaims>,
    findings: &mut NodeFindings,
) {
    let dstack = check_event_log(appraisal, input, claims).map(|(dstack, log, compose)| {
        findings.compose_measured = dstack.compose_matches;
        findings.log = Some(log);
        findings.compose = compose;
        dstack
    });
    match tcb_info(input.answer) {
        Ok(None) => {}
        Ok(Some(copy)) => {
            appraisal.record(input.scope, "tcb_info", check_copies(&copy, claims));
        }
        Err(error) => appraisal.fail(input.scope, "tcb_info", error),
    }
    check_references(appraisal, input, claims, dstack.as_ref().map(Verified::get));
}

fn check_event_log(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    claims: &Verified<TdxClaims>,
) -> Option<Replayed> {
    let scope = input.scope;
    let Some(log) = event_log(input.answer) else {
        for check in dstack::CHECKS {
            appraisal.advisory(Check::not_checked(scope, check.id, "the answer has no event log"));
        }
        return None;
    };
    let result = verify_log(input.answer, log, claims);
    appraisal.steps(scope, dstack::CHECKS, result.as_ref().err().map(|error| (error, log_step(error))));
    let (verified, log, compose) = result.ok()?;
    let mut fact = |name: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            appraisal.fact(format!("{scope}dstack.{name}"), hex::encode(value));
        }
    };
    fact("compose_hash", Some(&verified.compose_hash));
    fact("app_id", Some(&verified.app_id));
    fact("instance_id", verified.instance_id.as_ref().map(|id| id.as_slice()));
    fact("os_image_hash", verified.os_image_hash.as_ref().map(|hash| hash.as_slice()));
    Some((verified, log, compose))
}

/// A log that leads to the registers, what it says, and the application description that was given with it.
type Replayed = (Verified<DstackClaims>, EventLog, Option<String>);

fn verify_log(answer: &Json, log: &Json, claims: &Verified<TdxClaims>) -> Result<Replayed> {
    let log = EventLog::read(log)?;
    let compose = app_compose(answer)?;
    let evidence = Evidence { log: &log, app_compose: compose.as_deref(), config_document: None };
    let verified = dstack::verify(&evidence, claims)?;
    check_compose_copy(answer, &verified)?;
    Ok((verified, log, compose))
}

/// Place in the list of the check that an error belongs to; anything unexpected counts as the first.
fn log_step(error: &Error) -> usize {
    let reason = error.check().unwrap_or_default();
    dstack::CHECKS.iter().position(|check| check.id == reason).unwrap_or(0)
}

/// The event log, wherever the answer's shape has it: an array, or a text that holds one.
fn event_log(answer: &Json) -> Option<&Json> {
    let evidence = answer.get("attestation").and_then(|attestation| attestation.get("evidence"));
    [Some(answer), evidence]
        .into_iter()
        .flatten()
        .find_map(|holder| holder.get("event_log"))
        .filter(|log| !log.is_null())
}

/// The application description exactly as served; it is hashed, never written anew.
fn app_compose(answer: &Json) -> Result<Option<String>> {
    let evidence = answer.get("attestation").and_then(|attestation| attestation.get("evidence"));
    if let Some(text) = evidence.map(|evidence| optional_text(evidence, "app_compose")).transpose()?.flatten()
    {
        return Ok(Some(text.to_owned()));
    }
    let Some(info) = tcb_info(answer)? else { return Ok(None) };
    Ok(optional_text(&info, "app_compose")?.map(str::to_owned))
}

/// `info.tcb_info`: an object, or a text that holds one.
fn tcb_info(answer: &Json) -> Result<Option<Json>> {
    let malformed = || Error::new(Code::MalformedField).at("tcb_info");
    match answer.get("info").and_then(|info| info.get("tcb_info")) {
        None | Some(Json::Null) => Ok(None),
        Some(object @ Json::Object(_)) => Ok(Some(object.clone())),
        Some(Json::String(text)) => match Json::parse(text.as_bytes()) {
            Ok(object @ Json::Object(_)) => Ok(Some(object)),
            _ => Err(malformed()),
        },
        Some(_) => Err(malformed()),
    }
}

/// `info.compose_hash` and `info.tcb_info.compose_hash` are copies of what the log measured.
fn check_compose_copy(answer: &Json, verified: &DstackClaims) -> Result<()> {
    let measured = &verified.compose_hash;
    let info = answer.get("info");
    let nested = tcb_info(answer)?;
    for holder in [info, nested.as_ref()].into_iter().flatten() {
        if let Some(text) = optional_text(holder, "compose_hash")?
            && hex::decode_prefixed(text).as_deref() != Some(measured.as_slice())
        {
            return Err(Error::new(Code::ComposeHashMismatch)
                .at("compose_hash")
                .expected(hex::short(measured))
                .found(text));
        }
    }
    Ok(())
}

/// Copies of registers in `info.tcb_info` must equal the signed ones.
fn check_copies(copy: &Json, claims: &TdxClaims) -> Result<()> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &claims.body.rtmr;
    for (name, signed) in
        [("mrtd", &claims.body.mr_td), ("rtmr0", rtmr0), ("rtmr1", rtmr1), ("rtmr2", rtmr2), ("rtmr3", rtmr3)]
    {
        if let Some(text) = optional_text(copy, name)?
            && hex::decode_prefixed(text).as_deref() != Some(signed.as_slice())
        {
            return Err(Error::new(Code::TcbInfoCopyMismatch)
                .at("tcb_info")
                .expected(format!("{name} {}", hex::short(signed)))
                .found(text.chars().take(16).collect::<String>()));
        }
    }
    Ok(())
}

/// Compares the measured software with the policy's reference values. Without any, the check is listed as not made: it counts only
/// when the policy requires a reference (threats T08).
fn check_references(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    claims: &TdxClaims,
    dstack: Option<&DstackClaims>,
) {
    const ID: &str = "software.reference";
    let references = input.policy.references();
    if references.is_empty() {
        if input.policy.require_reference() {
            let error =
                Error::new(Code::RequiredEvidenceMissing).at(ID).expected("reference values in the policy");
            appraisal.fail(input.scope, ID, error);
        } else {
            appraisal.advisory(Check::not_checked(input.scope, ID, "the policy has no reference values"));
        }
        return;
    }
    match compare(references, claims, dstack) {
        Ok(compared) => appraisal.pass_with(input.scope, ID, compared.join(", ")),
        Err(error) => appraisal.fail(input.scope, ID, error),
    }
}
