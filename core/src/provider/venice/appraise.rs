//! Judges Venice's attestation answer (venice.md 2.4, in its order) and says what it does not show (0.2).

use crate::appraise::collateral::CollateralPool;
use crate::appraise::gpu::NotFetched;
use crate::attest::TrustRoots;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::limits::ATTESTATION_RESPONSE_MAX_BYTES;
use crate::pin::{self, Difference, Pin, Software};
use crate::policy::{Accepted, Appraisal, Policy, Subject};
use crate::provider::node::{BindingRule, NodeFindings, NodeInput, appraise_node, optional_text};
use crate::report::{Check, Hop, Report, Roots, Standing, Verdict};
use crate::secret::constant_time_eq;
use crate::wire::hex;
use crate::wire::json::Json;

/// What is appraised, and by which rules.
pub(crate) struct Input<'a> {
    pub response: &'a [u8],
    pub nonce: &'a [u8; 32],
    /// `None`: the model that was asked for is not known (offline only).
    pub model: Option<&'a str>,
    pub base_url: &'a str,
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    pub collateral: &'a [TdxCollateral],
    /// Why collateral could not be fetched, if it was tried.
    pub collateral_failure: Option<&'a Error>,
    /// What NVIDIA says about the GPUs, as far as it was asked.
    pub endorsements: &'a GpuEndorsements,
    /// What the endpoint was seen to run before.
    pub pin: Option<&'a Pin>,
    /// What of it was asked for and could not be had.
    pub not_fetched: &'a NotFetched,
    pub at: u64,
    /// The command that judges the same answer again; `None` for the one that names each file.
    pub recheck: Option<String>,
}

/// The result: a report, and with `verified` the witness and the key that was proven.
pub(crate) struct Appraised {
    pub report: Report,
    pub accepted: Result<(Accepted, [u8; 65])>,
    /// What it runs, when nothing but a pin can be against it.
    pub software: Option<Software>,
    /// Where that differs from the pin.
    pub differences: Vec<Difference>,
}

/// Appraises one answer.
pub(crate) fn appraise(input: &Input<'_>) -> Appraised {
    let mut appraisal = Appraisal::new(input.policy);
    appraisal.challenge(input.nonce);
    appraisal.recheck(input.recheck.clone().unwrap_or_else(|| recheck(input)));
    let answer = parse(input.response);
    let findings = match answer {
        Ok(answer) => {
            appraisal.pass("", "answer.form");
            statements(&mut appraisal, input, &answer);
            let pool = CollateralPool::new(input.collateral, input.roots, input.at)
                .unreachable(input.collateral_failure);
            let node = NodeInput {
                scope: "",
                answer: &answer,
                nonce: input.nonce,
                policy: input.policy,
                at: input.at,
                roots: input.roots,
                endorsements: input.endorsements,
                not_fetched: input.not_fetched,
                rule: &BindingRule::SigningKey,
                has_gpus: true,
                // The protocol seals to a secp256k1 key; a node that proves another kind cannot be used.
                seals: true,
            };
            appraise_node(&mut appraisal, &pool, &node)
        }
        Err(error) => {
            appraisal.fail("", "answer.form", error);
            NodeFindings::default()
        }
    };
    appraisal.advisory(Check::not_checked(
        "",
        "response.origin",
        "the protocol does not authenticate who encrypts an answer",
    ));
    let measured = findings
        .expires
        .map(|_| Software::new(appraisal.facts(), findings.log.as_ref(), findings.compose.as_deref()));
    let differences = pin::check(&mut appraisal, input.pin, measured.as_ref());
    let otherwise = appraisal.verdict_without(&[pin::CHECK], input.at);
    let (report, accepted) = conclude(appraisal, input, &findings);
    Appraised { report, accepted, software: measured.filter(|_| otherwise == Verdict::Verified), differences }
}

/// The command line that judges the same answer again.
fn recheck(input: &Input<'_>) -> String {
    let model = input.model.map(|model| format!(" --model {}", shell_word(model))).unwrap_or_default();
    // A preset can be named; any other policy is a file.
    let preset = Policy::preset(input.policy.name()).filter(|preset| preset == input.policy);
    let policy = preset.as_ref().map_or("POLICY.json", Policy::name);
    let roots = if input.roots.is_custom() { " --trust-roots ROOTS.json" } else { "" };
    format!(
        "proveil verify venice{model} --response RESPONSE.json --nonce {} --collateral COLLATERAL --at {} --policy {policy}{roots}",
        hex::encode(input.nonce),
        input.at,
    )
}

/// A text as one word for a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Strict JSON object that is not an error object.
pub(crate) fn parse(response: &[u8]) -> Result<Json> {
    let malformed = || Error::new(Code::MalformedField).at("answer.form");
    if response.len() > ATTESTATION_RESPONSE_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("attestation response"));
    }
    let answer = Json::parse(response).map_err(|_| malformed().expected("strict JSON"))?;
    if answer.as_object().is_none() || answer.get("error").is_some() {
        return Err(malformed().expected("an attestation object"));
    }
    Ok(answer)
}

/// Steps 2 and 3: what the provider says about itself can only make things worse (threats I6, T11).
fn statements(appraisal: &mut Appraisal<'_>, input: &Input<'_>, answer: &Json) {
    appraisal.record("", "provider.verified", check_verified(answer));
    appraisal.record("", "nonce.echo", check_nonce_echo(answer, input.nonce));
    match input.model {
        Some(model) => {
            appraisal.record("", "model.echo", check_model_echo(answer, model));
        }
        None => appraisal.advisory(Check::not_checked("", "model.echo", "the model asked for was not given")),
    }
}

pub(crate) fn check_verified(answer: &Json) -> Result<()> {
    let refused = |member: &str| Error::new(Code::ServerSaysUnverified).at("provider.verified").found(member);
    match answer.get("verified") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return Err(refused("verified: false")),
        None | Some(Json::Null) => return Err(refused("verified: absent")),
        Some(_) => return Err(Error::new(Code::MalformedField).at("verified").expected("true or false")),
    }
    for part in ["tdx", "nvidia"] {
        let valid =
            answer.get("server_verification").and_then(|own| own.get(part)).and_then(|own| own.get("valid"));
        match valid {
            None | Some(Json::Null | Json::Bool(true)) => {}
            Some(Json::Bool(false)) => {
                return Err(refused(&format!("server_verification.{part}.valid: false")));
            }
            Some(_) => return Err(Error::new(Code::MalformedField).at("server_verification")),
        }
    }
    Ok(())
}

pub(crate) fn check_nonce_echo(answer: &Json, nonce: &[u8; 32]) -> Result<()> {
    let mismatch = |found: &str| {
        Error::new(Code::NonceEchoMismatch).at("nonce.echo").expected(hex::short(nonce)).found(found)
    };
    let text = optional_text(answer, "nonce")?.ok_or_else(|| mismatch("absent"))?;
    match hex::decode(text) {
        Some(bytes) if constant_time_eq(&bytes, nonce) => Ok(()),
        Some(bytes) => Err(mismatch(&hex::short(&bytes))),
        None => Err(mismatch("not hex")),
    }
}

pub(crate) fn check_model_echo(answer: &Json, model: &str) -> Result<()> {
    match optional_text(answer, "model")? {
        Some(found) if found == model => Ok(()),
        found => Err(Error::new(Code::ModelMismatch)
            .at("model.echo")
            .expected(model)
            .found(found.unwrap_or("absent"))),
    }
}

fn conclude(
    appraisal: Appraisal<'_>,
    input: &Input<'_>,
    findings: &NodeFindings,
) -> (Report, Result<(Accepted, [u8; 65])>) {
    let key = findings.identity.as_ref().and_then(|identity| identity.sealing_key().copied());
    let subject = Subject {
        provider: "venice",
        model: input.model.unwrap_or("(not given)"),
        base_url: input.base_url,
        key: findings.identity.as_ref().map(|identity| format!("0x{}", hex::encode(identity.address()))),
        hardware: "Intel TDX",
        bare: None,
        roots: if input.roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: who_can_read(appraisal.verdict(input.at)),
        not_proven: not_proven(input.policy, findings),
        evidence_sha256: Some(hex::encode(&crypto::sha256(&[input.response]))),
        at: input.at,
        inputs_expire: findings.expires.unwrap_or(0),
    };
    let (report, accepted) = appraisal.conclude(subject);
    let accepted = accepted
        .and_then(|accepted| key.map(|key| (accepted, key)).ok_or_else(|| Error::new(Code::NoSigningKey)));
    (report, accepted)
}

/// Every place that sees the prompt in clear. The enclave counts as proven only when everything that counts passed.
fn who_can_read(verdict: Verdict) -> Vec<Hop> {
    let hop =
        |name: &str, standing, note: &str| Hop { name: name.to_owned(), standing, note: note.to_owned() };
    let enclave = if verdict == Verdict::Verified { Standing::Proven } else { Standing::Unknown };
    vec![
        hop("your process", Standing::Proven, "encrypts the prompt and decrypts the answer"),
        hop(
            if enclave == Standing::Proven { "enclave that holds the key" } else { "whoever holds the key" },
            enclave,
            "decrypts the prompt; for some models it is a gateway that passes plaintext on",
        ),
        hop(
            "inference host behind a gateway enclave",
            Standing::Asserted,
            "if there is one, only the provider says that it is protected",
        ),
    ]
}

/// What is open about the GPUs. A genuine GPU that answered the same challenge is never called bound to the enclave by that.
fn gpus_not_proven(findings: &NodeFindings) -> Option<String> {
    let gpu = &findings.gpu;
    let shown = match (gpu.gpus, gpu.matched, gpu.vouched, findings.gpu_bound) {
        (0, ..) => return Some("GPUs: no evidence.".to_owned()),
        (_, true, _, true) => return None,
        (_, true, _, false) => "not shown that they are attached to this enclave",
        (_, false, true, true) => "that they run in confidential mode is NVIDIA's word",
        (_, false, true, false) => {
            "that they run in confidential mode is NVIDIA's word, and it is not shown that they are attached to this enclave"
        }
        (_, false, false, _) => {
            "not shown that they run in confidential mode or are attached to this enclave"
        }
    };
    Some(format!("GPUs: genuine NVIDIA devices answered the same challenge; {shown}."))
}

/// What the protocol and this appraisal leave open (venice.md 0.2, README decision 9).
fn not_proven(policy: &Policy, findings: &NodeFindings) -> Vec<String> {
    let mut out = vec![
        "Protection against an active relay: whoever passes the request on (Venice) can replay its encrypted fields under a \
         key of its own and read an answer. The encryption protects against those who only listen or look later."
            .to_owned(),
        "Who wrote the answer: anyone who knows this client's public key can encrypt text to it; pieces of one answer can be \
         dropped, repeated or reordered."
            .to_owned(),
        "Forward secrecy of prompts: the enclave's key is long-lived.".to_owned(),
        "Model weights and the serving program, unless a reference value names them.".to_owned(),
    ];
    if policy.references().is_empty() {
        out.push(if findings.compose_measured {
            "Software identity: the application description is measured, but no reference value says which one is right."
                .to_owned()
        } else {
            "Software identity: no measured application description and no reference value.".to_owned()
        });
    }
    out.extend(gpus_not_proven(findings));
    out.push("Attacks on the hardware itself: physical access to the memory bus, leaked attestation keys, side channels.".to_owned());
    out
}
