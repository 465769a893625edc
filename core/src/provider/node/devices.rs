//! Tinfoil's third document format as captured (attestation.md 4.1): one hash in REPORTDATA covers TLS key, encryption key, challenge and the
//! exact bytes of the device evidence, so the measured guest itself vouches for its devices.
//!
//! `{format, report_data: {tls_key_fp, hpke_key, nonce, gpu_evidence_hash?, nvswitch_evidence_hash?}, cpu: {platform, report}, gpu?, nvswitch?,
//! certificate?}`. The format described in ehbp.md part 3 has other members; it is refused here like any unknown format.

use super::NodeInput;
use super::binding::{check_tls_certificate, quote_text};
use crate::attest::nvidia::GpuEvidence;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::policy::Appraisal;
use crate::provider::node::identity::optional_text;
use crate::report::Check;
use crate::secret::constant_time_eq;
use crate::wire::hex;
use crate::wire::json::{Json, raw_members};

/// `format` of the document.
const FORMAT: &str = "https://tinfoil.sh/predicate/attestation/v3";

/// Members that hold device evidence, each with the member of `report_data` that holds its hash; in the order of the hash.
const EVIDENCE: [(&str, &str); 2] = [("gpu", "gpu_evidence_hash"), ("nvswitch", "nvswitch_evidence_hash")];

/// What the document says that REPORTDATA is the hash of.
#[derive(Debug)]
pub(super) struct Stated {
    tls_key: [u8; 32],
    hpke_key: [u8; 32],
    nonce: [u8; 32],
    /// Hashes of the device evidence, as in [`EVIDENCE`].
    devices: [Option<[u8; 32]>; 2],
}

/// Reads the statements and compares the stated hashes with the evidence beside them.
pub(super) fn read(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>, document: &str) -> Option<Stated> {
    let stated = appraisal.record(input.scope, "binding.signing_key", Stated::read(input.answer))?;
    check_evidence(appraisal, input, &stated, document);
    Some(stated)
}

impl Stated {
    fn read(answer: &Json) -> Result<Stated> {
        let malformed = |name: &str| Error::new(Code::MalformedField).at("binding.signing_key").found(name);
        if optional_text(answer, "format")? != Some(FORMAT) {
            return Err(malformed("format").expected(FORMAT));
        }
        let data = answer.get("report_data").ok_or_else(|| malformed("report_data"))?;
        let optional = |name| -> Result<Option<[u8; 32]>> {
            let text = optional_text(data, name)?;
            text.map(|text| hex::decode_array(text).ok_or_else(|| malformed(name))).transpose()
        };
        let required = |name| optional(name)?.ok_or_else(|| malformed(name));
        let [(_, gpu), (_, switch)] = EVIDENCE;
        Ok(Stated {
            tls_key: required("tls_key_fp")?,
            hpke_key: required("hpke_key")?,
            nonce: required("nonce")?,
            devices: [optional(gpu)?, optional(switch)?],
        })
    }

    fn hash(&self) -> [u8; 32] {
        let mut parts: Vec<&[u8]> = vec![&self.tls_key, &self.hpke_key, &self.nonce];
        parts.extend(self.devices.iter().flatten().map(<[u8; 32]>::as_slice));
        crypto::sha256(&parts)
    }
}

/// Evidence without a hash is not vouched for, and a hash without evidence, or of other evidence, is a contradiction. Requiring both also
/// keeps one stated hash from standing in the other's place.
fn check_evidence(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>, stated: &Stated, document: &str) {
    let members = raw_members(document).unwrap_or_default();
    let raw = |name: &str| {
        let member = members.iter().find(|(member, _)| member == name);
        member.map(|(_, value)| value.get()).filter(|text| *text != "null")
    };
    let conflict = || Error::new(Code::ConflictingFields).at("binding.gpu");
    let compare = |(name, _): (&str, &str), stated: Option<[u8; 32]>| match (raw(name), stated) {
        (None, None) => Ok(false),
        (Some(text), Some(stated)) => {
            let found = crypto::sha256(&[text.as_bytes()]);
            if found == stated {
                Ok(true)
            } else {
                Err(conflict().expected(hex::short(&stated)).found(hex::short(&found)))
            }
        }
        (Some(_), None) => Err(conflict().found(format!("{name} without its hash"))),
        (None, Some(_)) => Err(conflict().found(format!("a hash without {name}"))),
    };
    let [gpu, switch] = EVIDENCE;
    let [gpu_hash, switch_hash] = stated.devices;
    match compare(gpu, gpu_hash).and_then(|gpus| Ok(compare(switch, switch_hash)? || gpus)) {
        Ok(true) => appraisal.pass(input.scope, "binding.gpu"),
        Ok(false) => appraisal.advisory(Check::not_checked(
            input.scope,
            "binding.gpu",
            "the document has no device evidence",
        )),
        Err(error) => appraisal.fail(input.scope, "binding.gpu", error),
    }
}

/// Compares REPORTDATA with the hash; what was hashed is then as good as signed.
pub(super) fn check(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    stated: Option<&Stated>,
    report_data: &[u8; 64],
) {
    let scope = input.scope;
    let Some(stated) = stated else {
        for id in input.rule.checks() {
            appraisal.not_checked(scope, id, "the document names no usable keys");
        }
        return;
    };
    let covered = appraisal.record(scope, "binding.report_data", check_hash(stated, report_data)).is_some();
    if covered {
        appraisal.pass_with(scope, "binding.key", "sha256_keys_nonce_devices");
    } else {
        appraisal.not_checked(scope, "binding.key", "the hash that holds the key differs");
    }
    if !constant_time_eq(&stated.nonce, input.nonce) {
        let error = Error::new(Code::ReportDataNonceMismatch).at("nonce.cpu");
        let error = error.expected(hex::short(input.nonce)).found(hex::short(&stated.nonce));
        appraisal.fail(scope, "nonce.cpu", error);
    } else if covered {
        appraisal.pass(scope, "nonce.cpu");
    } else {
        appraisal.not_checked(scope, "nonce.cpu", "the hash that holds the challenge differs");
    }
    match input.answer.get("certificate").filter(|value| !value.is_null()) {
        Some(pem) => {
            appraisal.record(scope, "binding.tls", check_tls_certificate(pem, &stated.tls_key));
        }
        None => appraisal.advisory(Check::not_checked(
            scope,
            "binding.tls",
            "the document has no certificate, and no connection is judged here",
        )),
    }
}

fn check_hash(stated: &Stated, report_data: &[u8; 64]) -> Result<()> {
    let (head, tail) = report_data.split_at(32);
    let expected = stated.hash();
    if !constant_time_eq(&expected, head) {
        return Err(Error::new(Code::ReportDataIdentityMismatch)
            .at("binding.report_data")
            .expected(hex::short(&expected))
            .found(hex::short(head)));
    }
    if tail.iter().any(|byte| *byte != 0) {
        return Err(Error::new(Code::ReportDataPaddingNonzero)
            .at("binding.report_data")
            .found(hex::short(tail)));
    }
    Ok(())
}

/// The TDX quote in `cpu`. The format also carries SEV-SNP reports, of which no capture exists; they are refused.
pub(super) fn quote(answer: &Json) -> Result<Vec<u8>> {
    let cpu = answer.get("cpu").unwrap_or(&Json::Null);
    match optional_text(cpu, "platform")? {
        Some("tdx") => quote_text(optional_text(cpu, "report")?),
        platform => Err(Error::new(Code::NotTdx)
            .at("quote.present")
            .expected("tdx")
            .found(platform.unwrap_or("absent"))),
    }
}

/// Evidence of GPUs and switches together. Each entry can state the challenge, which then must be ours.
pub(super) fn evidence(input: &NodeInput<'_>) -> Result<GpuEvidence> {
    let mut list = Vec::new();
    for (name, _) in EVIDENCE {
        match input.answer.get(name).and_then(|holder| holder.get("evidences")) {
            None | Some(Json::Null) => {}
            Some(Json::Array(entries)) => list.extend(entries.iter().cloned()),
            Some(_) => {
                return Err(Error::new(Code::GpuEvidenceMalformed).at("gpu.parse").expected("an array"));
            }
        }
    }
    for entry in &list {
        let stated = optional_text(entry, "nonce")?;
        if stated.is_some_and(|text| hex::decode_array(text).as_ref() != Some(input.nonce)) {
            return Err(Error::new(Code::GpuNonceMismatch).at("gpu.nonce").expected(hex::short(input.nonce)));
        }
    }
    GpuEvidence::read_list(Some(&Json::Array(list)))
}
