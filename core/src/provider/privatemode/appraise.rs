//! Judges a Privatemode deployment (protocols/privatemode.md 3.6, 4.2): its coordinator's evidence, the manifest, and the answer of its key
//! service. Says what all that does not show.

use super::options::Leniency;
use crate::appraise::CAPTURED_ROOTS;
use crate::attest::contrast::{
    self, Collateral, ContrastClaims, Expectations, KeyService, SecretServiceNames,
};
use crate::attest::{self, TrustRoots, snp};
use crate::claims::{ContrastHardwareClaims, Verified};
use crate::crypto::sha256;
use crate::error::{Code, Error, Result};
use crate::evidence::{ContrastDocument, SecretAnswer, SnpEndorsements, TdxCollateral};
use crate::limits::COMPOSE_MAX_BYTES;
use crate::pin::{self, Difference, Pin, Software};
use crate::policy::{Accepted, Appraisal, Policy, Subject};
use crate::report::{Check, Hop, Platform, Report, Roots, Standing, Verdict};
use crate::seal::hpke::secret_id;
use crate::wire::hex;

/// The service keeps a secret for an hour from its making; a client uses it this long, in seconds (4.4).
pub(crate) const SECRET_LIFE_S: u64 = 45 * 60;

/// Where the expected manifest came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestOrigin {
    /// The caller named it: it is a reference value.
    Given,
    #[default]
    /// The provider served it, without a signature. It says what the deployment is, not that this is right.
    Provider,
}

/// What was asked and answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub model: &'a str,
    pub base_url: &'a str,
    pub manifest: &'a [u8],
    pub origin: ManifestOrigin,
    pub nonce: &'a [u8; 32],
    /// The attestation answer as received.
    pub response: &'a [u8],
    /// What was fetched from AMD, if anything.
    pub endorsements: Option<&'a SnpEndorsements>,
    pub collateral: &'a [TdxCollateral],
    /// Why something could not be fetched, if it was tried.
    pub failure: Option<&'a Error>,
    /// The key exchange: our public key, the answer as received, and when it was asked for. `None` when it was not made.
    pub exchange: Option<KeyExchange<'a>>,
    pub names: &'a SecretServiceNames,
    /// What requests will accept beyond the default.
    pub leniency: Leniency,
    /// What the deployment was seen to run before.
    pub pin: Option<&'a Pin>,
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    pub at: u64,
    pub recheck: Option<&'a str>,
}

/// One key exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyExchange<'a> {
    pub public_key: &'a [u8],
    pub answer: &'a [u8],
    pub asked_at: u64,
}

/// What the appraisal came to: the witness, with the encapsulated key to open, when all that counts passed.
pub(crate) struct Appraised {
    pub report: Report,
    pub accepted: Result<(Accepted, Vec<u8>)>,
    /// What it runs, when nothing but a pin can be against it.
    pub software: Option<Software>,
    /// Where that differs from the pin.
    pub differences: Vec<Difference>,
}

/// Verifies the coordinator's evidence alone, to know whether asking further makes sense.
pub(crate) fn verify(input: &Input<'_>) -> Result<Verified<ContrastClaims>> {
    let document = ContrastDocument::from_answer(input.response)?;
    verify_document(&document, input)
}

fn verify_document(document: &ContrastDocument, input: &Input<'_>) -> Result<Verified<ContrastClaims>> {
    let expected = Expectations { manifest: input.manifest, nonce: input.nonce, capabilities: None };
    let platform_set = input.collateral.last();
    let collateral = Collateral { snp: input.endorsements, vek: None, tdx: platform_set, tdx_verified: None };
    let result = contrast::verify(document, &expected, &collateral, input.roots, input.at);
    match (result, input.failure) {
        // What is missing is the symptom, and the check that lacks it; why it could not be had is the cause.
        (Err(error), Some(cause)) if matches!(error.code(), Code::CollateralMissing | Code::CrlExpired) => {
            Err(cause.clone().at(error.check().unwrap_or("contrast.document")))
        }
        (result, _) => result,
    }
}

/// Appraises everything.
pub(crate) fn appraise(input: &Input<'_>) -> Appraised {
    let mut appraisal = Appraisal::new(input.policy);
    appraisal.challenge(input.nonce);
    input.leniency.relaxations().for_each(|words| appraisal.relaxation(words));
    if let Some(command) = input.recheck {
        appraisal.recheck(command.to_owned());
    }
    let document = appraisal.record("", "contrast.document", ContrastDocument::from_answer(input.response));
    let claims = document.as_ref().and_then(|document| check_document(&mut appraisal, document, input));
    if document.is_none() {
        appraisal.not_checked("", FRESH, "the answer cannot be read");
    }
    let service = check_service(&mut appraisal, claims.as_deref(), input);
    check_reference(&mut appraisal, claims.is_some(), input);
    let missing = "evidence about GPUs does not reach the client; the workers' software checks its own";
    appraisal.advisory(Check::not_checked("", "gpu.missing", missing));
    // The manifest goes with it, so that a pin can say what changed in it. It counts by its digest, which is among the facts.
    let manifest = std::str::from_utf8(input.manifest).ok().filter(|text| text.len() <= COMPOSE_MAX_BYTES);
    let measured = claims.is_some().then(|| Software::new(appraisal.facts(), None, manifest));
    let differences = pin::check(&mut appraisal, input.pin, measured.as_ref());
    let otherwise = appraisal.verdict_without(&[pin::CHECK], input.at);
    let (report, accepted) = conclude(appraisal, claims.as_deref(), service, input);
    Appraised { report, accepted, software: measured.filter(|_| otherwise == Verdict::Verified), differences }
}

/// That the evidence answers our challenge, by the name that it has for every provider.
const FRESH: &str = "nonce.cpu";
/// The checks of the hardware's report data, whose hash holds the challenge.
const REPORT_DATA: [&str; 2] = ["snp.report_data", "tdx.policy.report_data"];

/// Verifies the document and lists each step, those of the hardware by its own ids.
fn check_document(
    appraisal: &mut Appraisal<'_>,
    document: &ContrastDocument,
    input: &Input<'_>,
) -> Option<Verified<ContrastClaims>> {
    let before = ["contrast.history", "contrast.manifest", "contrast.manifest.form", "contrast.reference"];
    match verify_document(document, input) {
        Ok(claims) => {
            before.iter().for_each(|id| appraisal.pass("", id));
            list_hardware(appraisal, &claims);
            for finding in contrast::rules::findings(&claims) {
                let is_answer = REPORT_DATA.contains(&finding.check);
                appraisal.pass_with("", finding.check, finding.found);
                if is_answer {
                    appraisal.pass("", FRESH);
                }
            }
            check_policy(appraisal, &claims, input);
            appraisal.pass("", "contrast.mesh_ca");
            facts(appraisal, &claims);
            Some(claims)
        }
        Err(error) => {
            let failed = error.check().unwrap_or("contrast.document").to_owned();
            let place = before.iter().position(|id| *id == failed);
            for id in before.iter().take(place.unwrap_or(before.len())) {
                appraisal.pass("", id);
            }
            let why = if REPORT_DATA.contains(&failed.as_str()) {
                "one hash holds challenge, manifest and authorities, and it differs"
            } else {
                "an earlier check did not pass"
            };
            match hardware_step(&failed, error.code()).filter(|_| place.is_none()) {
                Some((steps, step)) => appraisal.steps("", steps, Some((&error, step))),
                None => appraisal.fail("", &failed, error),
            }
            appraisal.not_checked("", FRESH, why);
            None
        }
    }
}

/// The steps of the hardware among which a failed check is, and its place.
fn hardware_step(failed: &str, code: Code) -> Option<(&'static [attest::Check], usize)> {
    let (steps, place) = if failed.starts_with("tdx.") {
        (crate::appraise::tdx::quote_steps(), attest::tdx::position(failed, code))
    } else {
        (snp::steps(), snp::position(failed))
    };
    place.filter(|place| *place < steps.len()).map(|place| (steps, place))
}

fn list_hardware(appraisal: &mut Appraisal<'_>, claims: &ContrastClaims) {
    match &claims.hardware {
        ContrastHardwareClaims::Snp(_) => appraisal.steps("", snp::steps(), None),
        ContrastHardwareClaims::Tdx(tdx) => {
            appraisal.steps("", crate::appraise::tdx::quote_steps(), None);
            appraisal.platform(Platform {
                name: "Intel TDX".to_owned(),
                tcb_status: Some(tdx.tcb.status.word().to_owned()),
                tcb_date: Some(tdx.tcb.tcb_date),
                advisories: tdx.tcb.advisories.clone(),
                collateral_issued_at: Some(tdx.collateral_issued_at),
                collateral_expires_at: Some(tdx.collateral_expires_at),
            });
        }
    }
}

/// What the caller's policy demands of the hardware beside the manifest.
fn check_policy(appraisal: &mut Appraisal<'_>, claims: &ContrastClaims, input: &Input<'_>) {
    let listed: Vec<&str> = contrast::rules::findings(claims).iter().map(|finding| finding.check).collect();
    match &claims.hardware {
        ContrastHardwareClaims::Snp(snp) => {
            let findings =
                snp::rules::evaluate(snp, input.policy.snp(), &snp::rules::SnpExpectations::default());
            for finding in findings {
                if finding.passed {
                    if !listed.contains(&finding.check) {
                        appraisal.pass_with("", finding.check, finding.found);
                    }
                    continue;
                }
                let error = Error::new(finding.code)
                    .at(finding.check)
                    .expected(finding.expected)
                    .found(finding.found);
                if finding.advisory {
                    appraisal.advisory(Check::from_error("", finding.check, &error));
                } else {
                    appraisal.fail("", finding.check, error);
                }
            }
        }
        ContrastHardwareClaims::Tdx(tdx) => {
            for finding in attest::tdx::rules::evaluate(tdx, input.policy.tdx()) {
                if finding.passed {
                    if !listed.contains(&finding.check) {
                        appraisal.pass_with("", finding.check, finding.found);
                    }
                    continue;
                }
                let error = Error::new(finding.code)
                    .at(finding.check)
                    .expected(finding.expected)
                    .found(finding.found);
                appraisal.fail("", finding.check, error);
            }
        }
    }
}

const SERVICE: [&str; 4] =
    ["contrast.secret", "contrast.secret.certificate", "contrast.secret.names", "contrast.secret.signature"];

/// The key exchange: answered by the attested key service, for our key.
fn check_service(
    appraisal: &mut Appraisal<'_>,
    claims: Option<&ContrastClaims>,
    input: &Input<'_>,
) -> Option<(KeyService, Vec<u8>)> {
    let (Some(claims), Some(exchange)) = (claims, input.exchange) else {
        let why =
            if claims.is_some() { "the key service was not asked" } else { "needs a verified coordinator" };
        SERVICE.iter().for_each(|id| appraisal.not_checked("", id, why));
        return None;
    };
    let result = SecretAnswer::from_json(exchange.answer).and_then(|answer| {
        let service =
            contrast::verify_secret_answer(exchange.public_key, &answer, claims, input.names, input.at)?;
        Ok((service, answer.encapsulated_key))
    });
    match result {
        Ok(found) => {
            SERVICE.iter().for_each(|id| appraisal.pass("", id));
            Some(found)
        }
        Err(error) => {
            let place = SERVICE.iter().position(|id| Some(*id) == error.check()).unwrap_or(0);
            for (i, id) in SERVICE.iter().enumerate() {
                match i.cmp(&place) {
                    std::cmp::Ordering::Less => appraisal.pass("", id),
                    std::cmp::Ordering::Equal => appraisal.fail("", id, error.clone()),
                    std::cmp::Ordering::Greater => {
                        appraisal.not_checked("", id, "an earlier check did not pass");
                    }
                }
            }
            None
        }
    }
}

/// Software is named by the manifest, which is a reference only when somebody else than the provider named it.
fn check_reference(appraisal: &mut Appraisal<'_>, verified: bool, input: &Input<'_>) {
    const ID: &str = "software.reference";
    let digest = hex::encode(&sha256(&[input.manifest]));
    match (verified, input.origin) {
        (true, ManifestOrigin::Given) => appraisal.pass_with("", ID, format!("manifest {digest}")),
        (_, origin) => {
            let why = if origin == ManifestOrigin::Given {
                "needs a verified coordinator"
            } else {
                "the manifest came from the provider and no other is given"
            };
            let check = Check::not_checked("", ID, why);
            if input.policy.require_reference() {
                appraisal.enforced(check, None);
            } else {
                appraisal.advisory(check);
            }
        }
    }
}

fn facts(appraisal: &mut Appraisal<'_>, claims: &ContrastClaims) {
    let digest = |bytes: &[u8]| hex::encode(bytes);
    appraisal.fact("contrast.manifest", digest(&claims.manifest.sha256));
    appraisal.fact("contrast.coordinator_policy", digest(&claims.coordinator_policy));
    appraisal.fact("contrast.root_ca", digest(&claims.root_ca_sha256));
    appraisal.fact("contrast.mesh_ca", digest(&sha256(&[claims.mesh_ca.der()])));
    if let ContrastHardwareClaims::Snp(snp) = &claims.hardware {
        appraisal.fact("snp.product", snp.product.name());
        appraisal.fact("snp.measurement", digest(&snp.report.measurement));
        appraisal.fact("snp.host_data", digest(&snp.report.host_data));
    }
    for policy in &claims.manifest.policies {
        let name = policy.names.first().map_or("", String::as_str);
        let workload =
            if policy.workload_secret_id.is_empty() { name } else { policy.workload_secret_id.as_str() };
        appraisal.fact(format!("contrast.policy {}", hex::short(&policy.hash)), workload);
    }
    let missing = claims.policies.iter().filter(|policy| policy.document.is_none()).count();
    if missing > 0 {
        appraisal.fact("contrast.policies_without_document", missing.to_string());
    }
}

fn conclude(
    appraisal: Appraisal<'_>,
    claims: Option<&ContrastClaims>,
    service: Option<(KeyService, Vec<u8>)>,
    input: &Input<'_>,
) -> (Report, Result<(Accepted, Vec<u8>)>) {
    let ends = [
        claims.map_or(0, |claims| claims.not_after.saturating_add(1)),
        service.as_ref().map_or(0, |(service, _)| service.not_after.saturating_add(1)),
        input.exchange.map_or(0, |exchange| exchange.asked_at.saturating_add(SECRET_LIFE_S)),
    ];
    let verdict = appraisal.verdict(input.at);
    let hardware = match claims.map(|claims| &claims.hardware) {
        Some(ContrastHardwareClaims::Tdx(_)) => "Intel TDX",
        _ => "AMD SEV-SNP",
    };
    let (report, accepted) = appraisal.conclude(Subject {
        provider: "privatemode",
        model: input.model,
        base_url: input.base_url,
        key: input.exchange.map(|exchange| secret_id(exchange.public_key)),
        hardware,
        bare: None,
        roots: if input.roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: who_can_read(verdict),
        not_proven: not_proven(input),
        evidence_sha256: Some(hex::encode(&sha256(&[input.response]))),
        at: input.at,
        inputs_expire: ends.into_iter().min().unwrap_or(0),
    });
    let accepted = accepted.and_then(|accepted| {
        service.map(|(_, key)| (accepted, key)).ok_or_else(|| Error::new(Code::RequiredCheckNotMade))
    });
    (report, accepted)
}

/// Every place that sees the prompt in clear.
fn who_can_read(verdict: Verdict) -> Vec<Hop> {
    let hop =
        |name: &str, standing, note: &str| Hop { name: name.to_owned(), standing, note: note.to_owned() };
    let proven = if verdict == Verdict::Verified { Standing::Proven } else { Standing::Unknown };
    vec![
        hop("your process", Standing::Proven, "encrypts the prompt and decrypts the answer"),
        hop("key service of the deployment", proven, "made the secret; passes it to the workers"),
        hop(
            "worker enclaves of the deployment, with inference proxy and model server",
            proven,
            "the coordinator, whose evidence was checked here, admits only what its manifest names; any of them can open any request",
        ),
    ]
}

/// What protocol and appraisal leave open (privatemode.md 1, 5.3, 9).
fn not_proven(input: &Input<'_>) -> Vec<String> {
    let mut out = vec![
        "GPUs: no evidence about them reaches the client; that a worker's GPUs are genuine and in confidential mode is \
         checked by the workers' own software, which the manifest names."
            .to_owned(),
        "Which worker and model answers: all share one secret and the gateway routes; a model that an answer names is compared."
            .to_owned(),
        "Names of members, and the members that travel in clear (model, limits, usage, ids): they are checked, not authenticated.".to_owned(),
        "That a request is taken once: the gateway can replay it for up to an hour, without reading it.".to_owned(),
        "The extent of an answer that is a list (documents taken apart): each element is authenticated, their order and number are not."
            .to_owned(),
        "The length of each piece of an answer: it shows the length of tokens.".to_owned(),
        "Model weights and the serving program, beyond the policies that the manifest names.".to_owned(),
    ];
    if input.origin == ManifestOrigin::Provider {
        out.push(
            "Software identity: the manifest came from the provider, unsigned; nobody else said that it is the right one."
                .to_owned(),
        );
    }
    out.push("Attacks on the hardware itself: physical access to the memory bus, leaked attestation keys, side channels.".to_owned());
    out
}

/// The command that judges a stored capture again.
pub(crate) fn recheck(roots: &TrustRoots, at: u64) -> String {
    crate::appraise::recheck_command(roots.is_custom().then_some(CAPTURED_ROOTS), None, at)
}

/// The checks of this module are in the catalogue.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Group, catalogue};

    #[test]
    fn every_check_is_explained() {
        for check in contrast::CHECKS {
            let entry = catalogue::find(check.id);
            assert!(entry.is_some(), "{}", check.id);
        }
        let bound = catalogue::find("contrast.secret.signature").map(|entry| entry.group);
        assert_eq!(bound, Some(Group::KeyBinding));
    }
}
