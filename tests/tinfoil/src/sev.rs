//! Stage `verify-attestation-sev`: a report, its VCEK certificate and optional pins.

use std::io::Read;

use flate2::read::GzDecoder;
use proveil_core::appraise::appraise_snp;
use proveil_core::attest::snp::Report;
use proveil_core::attest::snp::rules::SnpExpectations;
use proveil_core::claims::SnpReport;
use proveil_core::evidence::SnpEndorsements;
use proveil_core::policy::Policy;
use proveil_core::wire::hex;
use serde_json::{Map, Value, json};

use crate::{Malformed, Outcome, base64_member, pin, roots, text, time};

/// Unpacked documents are 1184 bytes.
const DOCUMENT_MAX_BYTES: u64 = 64 * 1024;

/// Our checks and the suite's codes for them. What is not listed is a form that is not understood.
const CODES: &[(&str, &str)] = &[
    ("snp.version", "WRONG_REPORT_VERSION"),
    ("snp.chain.expired", "VCEK_EXPIRED"),
    ("snp.chain", "VCEK_CHAIN_INVALID"),
    ("snp.vek.missing", "VCEK_CHAIN_INVALID"),
    ("snp.collateral.format", "VCEK_CHAIN_INVALID"),
    ("snp.crl", "VCEK_CHAIN_INVALID"),
    ("snp.signer_mismatch", "VCEK_CHAIN_INVALID"),
    ("snp.product", "VCEK_CHAIN_INVALID"),
    ("snp.signature", "REPORT_SIGNATURE_INVALID"),
    ("snp.signature_format", "REPORT_SIGNATURE_INVALID"),
    ("snp.tcb.mismatch", "VCEK_TCB_MISMATCH"),
    ("snp.chip_id.mismatch", "VCEK_HWID_MISMATCH"),
    ("snp.chip_id", "VCEK_HWID_MISMATCH"),
    ("snp.tcb", "TCB_OUT_OF_DATE"),
    ("snp.firmware.minimum", "TCB_OUT_OF_DATE"),
    ("snp.policy.reserved", "GUEST_POLICY_RESERVED_BIT_SET"),
    ("snp.policy.debug", "GUEST_POLICY_DEBUG_SET"),
    ("snp.policy.migrate_ma", "GUEST_POLICY_MIGRATE_MA_SET"),
    ("snp.policy.cxl", "GUEST_POLICY_CXL_SET"),
    ("snp.measurement", "MEASUREMENT_MISMATCH"),
    ("snp.report_data", "REPORT_DATA_MISMATCH"),
    ("snp.host_data", "HOST_DATA_MISMATCH"),
    ("snp.id_key", "ID_KEY_DIGEST_MISMATCH"),
    ("snp.author_key", "AUTHOR_KEY_DIGEST_MISMATCH"),
];

pub fn judge(input: &Value) -> Result<Outcome, Malformed> {
    let report = unpack(&base64_member(input, "attestation_doc_b64")?)?;
    let none = json!({});
    let pins = input.get("policy").unwrap_or(&none);
    let roots = roots("amd_roots_pem", &[text(input, "amd_root_ca_pem")?, text(input, "ask_pem")?])?;
    let mut endorsements = SnpEndorsements::new();
    // Put in its place rather than recognised by its name: a broken certificate is the verifier's to refuse.
    endorsements.vcek = Some(base64_member(input, "vcek_der_b64")?);
    let expected = SnpExpectations {
        report_data: pin(pins, "expected_report_data_hex")?,
        measurement: pin(pins, "expected_measurement_hex")?,
        host_data: pin(pins, "expected_host_data_hex")?,
    };
    let policy = policy(pins)?;
    let (_, verdict) = appraise_snp(&report, &endorsements, &expected, &policy, &roots, time(input)?);
    if let Err(error) = verdict {
        return Ok(Outcome::Rejected(code(error.check().unwrap_or_default()), error.to_string()));
    }
    let report = Report::parse(&report).map_err(|error| Malformed(error.to_string()))?;
    Ok(Outcome::Accepted(outputs(report.fields())))
}

/// The longest entry that the check's id begins with.
fn code(check: &str) -> &'static str {
    let fits =
        |known: &str| check == known || check.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
    let found = CODES.iter().filter(|(known, _)| fits(known)).max_by_key(|(known, _)| known.len());
    found.map_or("REPORT_FORMAT_UNSUPPORTED", |(_, code)| *code)
}

fn unpack(document: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut report = Vec::new();
    let read = GzDecoder::new(document).take(DOCUMENT_MAX_BYTES).read_to_end(&mut report);
    read.map_err(|error| Malformed(error.to_string()))?;
    Ok(report)
}

/// The suite's pins as one of our policies. Only what the case names is demanded beyond what always holds.
fn policy(pins: &Value) -> Result<Policy, Malformed> {
    let mut minimum = Map::new();
    let mut any = false;
    for (part, name) in [
        ("bootloader", "min_tcb_bl_spl"),
        ("tee", "min_tcb_tee_spl"),
        ("snp", "min_tcb_snp_spl"),
        ("microcode", "min_tcb_ucode_spl"),
    ] {
        let level = pins.get(name).map(|level| level.as_u64().ok_or_else(|| Malformed(name.to_owned())));
        let level = level.transpose()?;
        any |= level.is_some();
        minimum.insert(part.to_owned(), level.unwrap_or(0).into());
    }
    minimum.insert("build".to_owned(), 0.into());
    minimum.insert("abi".to_owned(), "0.0".into());
    let mut snp = Map::new();
    let minimum = if any { Value::Object(minimum) } else { Value::Null };
    snp.insert("minimum".to_owned(), json!({ "genoa": minimum }));
    if pins.get("enforce_spec_defaults").and_then(Value::as_bool) == Some(true) {
        snp.insert("allow_cxl".to_owned(), false.into());
    }
    for (ours, name) in [
        ("id_key_digests", "expected_id_key_digest_hex"),
        ("author_key_digests", "expected_author_key_digest_hex"),
    ] {
        if let Some(digest) = pin::<48>(pins, name)? {
            snp.insert(ours.to_owned(), json!([hex::encode(&digest)]));
        }
    }
    let document = json!({ "schema": "proveil.policy/v1", "snp": snp });
    Policy::from_json(document.to_string().as_bytes()).map_err(|error| Malformed(error.to_string()))
}

fn outputs(report: &SnpReport) -> Value {
    let bit = |bits: u64, number: u32| bits >> number & 1 == 1;
    let policy = report.policy.to_be_bytes();
    let [.., abi_major, abi_minor] = policy;
    let [bootloader, tee, .., snp, microcode] = report.current_tcb;
    let reversed = |bytes: [u8; 8]| hex::encode(&u64::from_le_bytes(bytes).to_be_bytes());
    json!({
        "measurement": {
            "type": "https://tinfoil.sh/predicate/sev-snp-guest/v2",
            "registers": [hex::encode(&report.measurement)],
        },
        "body_fields": {
            "version": report.version,
            "guest_svn": report.guest_svn,
            "policy_hex": hex::encode(&policy),
            "policy_decoded": {
                "abi_minor": abi_minor,
                "abi_major": abi_major,
                "smt": bit(report.policy, 16),
                "reserved_mbo": bit(report.policy, 17),
                "migrate_ma": bit(report.policy, 18),
                "debug": bit(report.policy, 19),
                "single_socket": bit(report.policy, 20),
                "cxl_allow": bit(report.policy, 21),
                "mem_aes_256_xts": bit(report.policy, 22),
                "raplmsr_dis": bit(report.policy, 23),
                "ciphertext_hiding_dram": bit(report.policy, 24),
            },
            "family_id_hex": hex::encode(&report.family_id),
            "image_id_hex": hex::encode(&report.image_id),
            "vmpl": report.vmpl,
            "signature_algo": 1,
            "current_tcb_hex": reversed(report.current_tcb),
            "current_tcb_decoded": { "bl_spl": bootloader, "tee_spl": tee, "snp_spl": snp, "ucode_spl": microcode },
            "platform_info_hex": hex::encode(&report.platform_info.to_be_bytes()),
            "platform_info_decoded": {
                "smt_en": bit(report.platform_info, 0),
                "tsme_en": bit(report.platform_info, 1),
                "ecc_en": bit(report.platform_info, 2),
                "rapl_dis": bit(report.platform_info, 3),
                "ciphertext_hiding": bit(report.platform_info, 4),
            },
            "signer_info_hex": format!("{:08x}", signer_info(report)),
            "report_data_hex": hex::encode(&report.report_data),
            "measurement_hex": hex::encode(&report.measurement),
            "host_data_hex": hex::encode(&report.host_data),
            "id_key_digest_hex": hex::encode(&report.id_key_digest),
            "author_key_digest_hex": hex::encode(&report.author_key_digest),
            "report_id_hex": hex::encode(&report.report_id),
            "report_id_ma_hex": hex::encode(&report.report_id_ma),
            "reported_tcb_hex": hex::encode(&report.reported_tcb),
            "chip_id_hex": hex::encode(&report.chip_id),
            "committed_tcb_hex": hex::encode(&report.committed_tcb),
            "current_build": report.current_version.build,
            "current_minor": report.current_version.minor,
            "current_major": report.current_version.major,
            "committed_build": report.committed_version.build,
            "committed_minor": report.committed_version.minor,
            "committed_major": report.committed_version.major,
            "launch_tcb_hex": hex::encode(&report.launch_tcb),
        },
    })
}

/// The field as it was in the report.
fn signer_info(report: &SnpReport) -> u32 {
    use proveil_core::claims::SigningKey;
    let key = match report.signing_key {
        SigningKey::Vcek => 0,
        SigningKey::Vlek => 1,
        SigningKey::None => 7,
    };
    u32::from(report.author_key_enabled) | u32::from(report.chip_key_masked) << 1 | key << 2
}
