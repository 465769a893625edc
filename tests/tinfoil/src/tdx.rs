//! Stage `verify-attestation-tdx`: a quote with its PCK chain inside, Intel's collateral and optional pins.
//!
//! With `tcb_evaluation_required: false` the suite asks for the quote by itself. The core has no such mode: it is asked for the whole, and a
//! failure at a check of the collateral is passed over, because the quote's own checks come before it and passed
//! (`attest::tdx::CHECKS`).

use proveil_core::appraise::appraise_tdx;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::rules::{self, Expected, Finding, Register, TdxExpectations, TdxPolicy};
use proveil_core::attest::tdx::{self, Quote, TcbStatus, TdxClaims};
use proveil_core::claims::TdBody;
use proveil_core::error::{Code, Error};
use proveil_core::evidence::{PcsResponses, TdxCollateral};
use proveil_core::policy::Policy;
use proveil_core::wire::hex;
use serde_json::{Value, json};

use crate::{Malformed, Outcome, base64_member, pin, roots, text, time};

/// Our checks and the suite's codes for them: a quote by itself.
const QUOTE_CODES: &[(&str, &str)] = &[
    ("tdx.parse", "QUOTE_FORMAT_UNSUPPORTED"),
    ("tdx.version", "QUOTE_FORMAT_UNSUPPORTED"),
    ("tdx.att_key_type", "QUOTE_FORMAT_UNSUPPORTED"),
    ("tdx.cert_type", "QUOTE_FORMAT_UNSUPPORTED"),
    ("tdx.padding", "QUOTE_FORMAT_UNSUPPORTED"),
    ("tdx.tee_type", "WRONG_TEE_TYPE"),
    ("tdx.qe_vendor", "QE_VENDOR_UNKNOWN"),
    ("tdx.pck_chain", "PCK_CHAIN_INVALID"),
    ("tdx.pck_extension", "PCK_CHAIN_INVALID"),
    ("tdx.qe_report_signature", "QE_REPORT_SIGNATURE_INVALID"),
    ("tdx.ak_binding", "AK_MISMATCH"),
    ("tdx.quote_signature", "QUOTE_SIGNATURE_INVALID"),
];

/// The same for collateral, and for the platform judged by it.
const COLLATERAL_CODES: &[(&str, &str)] = &[
    ("tdx.tcb_signing_chain", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.collateral.format", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.tcb_info_signature", "TCB_INFO_SIGNATURE_INVALID"),
    ("tdx.qe_identity_signature", "QE_IDENTITY_SIGNATURE_INVALID"),
    ("tdx.tcb.format", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.tcb.unknown_status", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.collateral.not_yet_valid", "TCB_INFO_EXPIRED"),
    ("tdx.collateral.expired", "TCB_INFO_EXPIRED"),
    ("tdx.crl", "PCK_CRL_EXPIRED"),
    ("tdx.fmspc", "PCK_FMSPC_MISMATCH"),
    ("tdx.pceid", "PCK_PCEID_MISMATCH"),
    ("tdx.pck_revoked", "PCK_REVOKED"),
    ("tdx.tcb.no_matching_level", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.module", "QV_RESULT_TERMINAL_UNSPECIFIED"),
    ("tdx.qe_identity", "QE_IDENTITY_FIELD_MISMATCH"),
    ("tdx.tcb.evaluation_number", "TCB_EVAL_DATA_NUMBER_TOO_LOW"),
    ("tdx.tcb", "QV_RESULT_NOT_ACCEPTED_BY_POLICY"),
];

/// The same for what the suite's defaults demand of a TD.
const TD_CODES: &[(&str, &str)] = &[
    ("tdx.attributes.debug", "TD_ATTRIBUTES_DEBUG_SET"),
    ("tdx.attributes", "TD_ATTRIBUTES_RESERVED_BIT_SET"),
    ("tdx.xfam", "XFAM_REQUIRED_BIT_CLEAR"),
    ("tdx.service_td", "TD_ATTRIBUTES_RESERVED_BIT_SET"),
];

/// Pins of registers that our own rules compare, with the suite's code for a difference.
const REGISTERS: &[(Register, &str, &str)] = &[
    (Register::MrTd, "expected_mrtd_hex", "MRTD_MISMATCH"),
    (Register::Rtmr3, "expected_rtmr3_hex", "RTMR3_MISMATCH"),
    (Register::MrConfigId, "expected_mr_config_id_hex", "MR_CONFIG_ID_MISMATCH"),
    (Register::MrOwner, "expected_mr_owner_hex", "MR_OWNER_MISMATCH"),
    (Register::MrOwnerConfig, "expected_mr_owner_config_hex", "MR_OWNER_CONFIG_MISMATCH"),
    (Register::ReportData, "expected_report_data_hex", "REPORT_DATA_MISMATCH"),
];

/// Statuses that the suite accepts when a case does not name any, with the words that cases use.
const STATUSES: &[(TcbStatus, &str, bool)] = &[
    (TcbStatus::UpToDate, "OK", true),
    (TcbStatus::SWHardeningNeeded, "SW_HARDENING_NEEDED", true),
    (TcbStatus::ConfigurationNeeded, "CONFIG_NEEDED", true),
    (TcbStatus::ConfigurationAndSWHardeningNeeded, "CONFIG_AND_SW_HARDENING_NEEDED", true),
    (TcbStatus::OutOfDate, "OUT_OF_DATE", false),
    (TcbStatus::OutOfDateConfigurationNeeded, "OUT_OF_DATE_CONFIG_NEEDED", false),
];

pub fn judge(input: &Value) -> Result<Outcome, Malformed> {
    let quote = base64_member(input, "quote_b64")?;
    let none = json!({});
    let pins = input.get("policy").unwrap_or(&none);
    let given = input.get("collateral").ok_or_else(|| Malformed("collateral".to_owned()))?;
    let roots = roots("intel_sgx_root_pem", &[text(given, "intel_root_ca_pem")?])?;
    let evaluate = pins.get("tcb_evaluation_required").and_then(Value::as_bool) == Some(true);
    let verified = tdx::verify_with_raw_collateral(&quote, &collateral(given)?, &roots, time(input)?);
    let claims = match verified {
        Ok(claims) => Some(claims),
        Err(error) => match quote_code(&error) {
            Some(code) => return Ok(Outcome::Rejected(code, error.to_string())),
            None if evaluate => return Ok(Outcome::Rejected(collateral_code(&error), error.to_string())),
            None => None,
        },
    };
    let quote = Quote::parse(&quote).map_err(|error| Malformed(error.to_string()))?;
    if let Some((code, detail)) = pinned(quote.body(), pins)? {
        return Ok(Outcome::Rejected(code, detail));
    }
    if let Some(claims) = claims
        && let Some((code, detail)) = ruled(&claims, pins, evaluate)?
    {
        return Ok(Outcome::Rejected(code, detail));
    }
    if input.get("execution_mode").and_then(Value::as_str) == Some("public_api") {
        let verdict = appraised(input, given, pins, &roots)?;
        if let Err(error) = verdict {
            return Ok(Outcome::Rejected(collateral_code(&error), error.to_string()));
        }
    }
    Ok(Outcome::Accepted(outputs(&quote)))
}

/// The verdict of the entry that applications use, under the standard policy with the case's minimum.
fn appraised(
    input: &Value,
    given: &Value,
    pins: &Value,
    roots: &TrustRoots,
) -> Result<Result<(), Error>, Malformed> {
    let least = pins.get("min_tcb_evaluation_data_number").cloned().unwrap_or_else(|| json!(0));
    let document =
        json!({ "schema": "proveil.policy/v1", "tdx": { "min_tcb_evaluation_data_number": least } });
    let policy = Policy::from_json(document.to_string().as_bytes());
    let policy = policy.map_err(|error| Malformed(error.to_string()))?;
    let (quote, collateral) = (base64_member(input, "quote_b64")?, [collateral(given)?]);
    let expected = TdxExpectations::default();
    Ok(appraise_tdx(&quote, &collateral, &expected, &policy, roots, time(input)?).1)
}

/// The suite's code when the quote itself failed.
fn quote_code(error: &Error) -> Option<&'static str> {
    let check = error.check().unwrap_or_default();
    // A certificate that ended is told apart by its words only; the suite accepts either code.
    find(QUOTE_CODES, check).filter(|_| error.code() != Code::CollateralMismatch)
}

fn collateral_code(error: &Error) -> &'static str {
    let check = error.check().unwrap_or_default();
    match error.code() {
        // Signed collateral of another kind: which of the two it is stands in the details.
        Code::CollateralMismatch if error.to_string().contains("QE") => "QE_IDENTITY_ID_INVALID",
        _ => find(COLLATERAL_CODES, check).unwrap_or("QV_RESULT_TERMINAL_UNSPECIFIED"),
    }
}

/// The longest entry that the check's id begins with.
fn find(codes: &[(&str, &'static str)], check: &str) -> Option<&'static str> {
    let fits =
        |known: &str| check == known || check.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
    let found = codes.iter().filter(|(known, _)| fits(known)).max_by_key(|(known, _)| known.len());
    found.map(|(_, code)| *code)
}

/// Absent issuer chains stay absent: nothing stands in for them.
fn collateral(given: &Value) -> Result<TdxCollateral, Malformed> {
    let chain = |name| Ok::<_, Malformed>(text(given, name)?.unwrap_or_default());
    let json = |name: &str| text(given, name)?.ok_or_else(|| Malformed(name.to_owned()));
    let responses = PcsResponses {
        tcb_info: json("tcb_info_json")?.as_bytes(),
        tcb_info_issuer_chain: chain("tcb_info_issuer_chain_pem")?,
        qe_identity: json("qe_identity_json")?.as_bytes(),
        qe_identity_issuer_chain: chain("qe_identity_issuer_chain_pem")?,
        pck_crl: &base64_member(given, "pck_crl_der_b64")?,
        pck_crl_issuer_chain: chain("pck_crl_issuer_chain_pem")?,
        root_crl: &base64_member(given, "root_crl_der_b64")?,
    };
    TdxCollateral::from_pcs_responses(&responses).map_err(|error| Malformed(error.to_string()))
}

/// The first pin that differs.
fn pinned(body: &TdBody, pins: &Value) -> Result<Option<(&'static str, String)>, Malformed> {
    let mut pairs: Vec<(&'static str, bool)> = Vec::new();
    for (register, name, code) in REGISTERS {
        let given =
            text(pins, name)?.map(|pin| hex::decode(pin).ok_or_else(|| Malformed((*name).to_owned())));
        if let Some(value) = given.transpose()? {
            pairs.push((code, register.value(body) == value));
        }
    }
    if let Some(value) = pin::<8>(pins, "expected_td_attributes_hex")? {
        pairs.push(("TD_ATTRIBUTES_MISMATCH", body.td_attributes == value));
    }
    if let Some(value) = pin::<8>(pins, "expected_xfam_hex")? {
        pairs.push(("XFAM_MISMATCH", body.xfam == value));
    }
    if let Some(value) = pin::<48>(pins, "expected_mr_signer_seam_hex")? {
        pairs.push(("MR_SIGNER_SEAM_MISMATCH", body.mr_signer_seam == value));
    }
    if let Some(value) = pin::<8>(pins, "expected_seam_attributes_hex")? {
        pairs.push(("SEAM_ATTRIBUTES_MISMATCH", body.seam_attributes == value));
    }
    if let Some(list) = pins.get("expected_mrseam_allowlist") {
        let list = list.as_array().ok_or_else(|| Malformed("expected_mrseam_allowlist".to_owned()))?;
        let is_ours = |entry: &Value| entry.as_str().and_then(hex::decode_array::<48>) == Some(body.mr_seam);
        pairs.push(("MR_SEAM_NOT_ALLOWED", list.iter().any(is_ours)));
    }
    if let Some(least) = pin::<16>(pins, "min_tee_tcb_svn_hex")? {
        let reached = body.tee_tcb_svn.iter().zip(least).all(|(found, least)| *found >= least);
        pairs.push(("TEE_TCB_SVN_BELOW_MINIMUM", reached));
    }
    if let Some(vendor) = pin::<16>(pins, "expected_qe_vendor_id_hex")? {
        // The only vendor that a parsed quote can have.
        pairs.push(("QE_VENDOR_ID_MISMATCH", hex::encode(&vendor) == "939a7233f79c4ca9940a0db3957f0607"));
    }
    let differs = pairs.into_iter().find(|(_, equal)| !equal);
    Ok(differs.map(|(code, _)| (code, "a pin of the case".to_owned())))
}

/// The first of our rules that refuses, by the suite's defaults.
fn ruled(
    claims: &TdxClaims,
    pins: &Value,
    evaluate: bool,
) -> Result<Option<(&'static str, String)>, Malformed> {
    let defaults = pins.get("enforce_spec_defaults").and_then(Value::as_bool) == Some(true);
    let accepted_statuses = match pins.get("accepted_qv_results") {
        None => STATUSES.iter().filter(|(.., default)| *default).map(|(status, ..)| *status).collect(),
        Some(words) => statuses(words).ok_or_else(|| Malformed("accepted_qv_results".to_owned()))?,
    };
    let least = pins.get("min_tcb_evaluation_data_number").and_then(Value::as_u64).unwrap_or(0);
    let policy = TdxPolicy {
        accepted_statuses,
        // The suite names statuses alone.
        accepted_advisories: claims.tcb.advisories.clone(),
        min_evaluation_number: u32::try_from(least)
            .map_err(|_| Malformed("min_tcb_evaluation_data_number".to_owned()))?,
        require_sept_ve_disable: false,
        allow_perfmon: true,
        expected: Vec::<Expected>::new(),
        ..TdxPolicy::default()
    };
    let code = |finding: &Finding| match find(TD_CODES, finding.check) {
        Some(code) => defaults.then_some(code),
        None => find(COLLATERAL_CODES, finding.check).filter(|_| evaluate),
    };
    let findings = rules::evaluate(claims, &policy);
    let mut refused = findings.iter().filter(|finding| !finding.passed);
    Ok(refused.find_map(|finding| Some((code(finding)?, finding.reason.to_owned()))))
}

fn statuses(words: &Value) -> Option<Vec<TcbStatus>> {
    let status = |word: &Value| {
        let word = word.as_str()?;
        STATUSES.iter().find(|(_, known, _)| *known == word).map(|(status, ..)| *status)
    };
    words.as_array()?.iter().map(status).collect()
}

fn outputs(quote: &Quote<'_>) -> Value {
    let body = quote.body();
    let attributes = body.td_attribute_bits();
    let any = |mask: u64| attributes & mask != 0;
    let mut registers = vec![hex::encode(&body.mr_td)];
    registers.extend(body.rtmr.iter().map(|register| hex::encode(register)));
    let rtmrs: Vec<String> = body.rtmr.iter().map(|register| hex::encode(register)).collect();
    json!({
        "quote_version": quote.version(),
        "tee_type": "TDX",
        "measurement": { "type": "https://tinfoil.sh/predicate/tdx-guest/v2", "registers": registers },
        "body_fields": {
            "tee_tcb_svn_hex": hex::encode(&body.tee_tcb_svn),
            "mrseam_hex": hex::encode(&body.mr_seam),
            "mrsignerseam_hex": hex::encode(&body.mr_signer_seam),
            "seam_attributes_hex": hex::encode(&body.seam_attributes),
            "td_attributes_hex": hex::encode(&body.td_attributes),
            "td_attributes_decoded": {
                "tud_debug": any(1),
                "tud_reserved_nonzero": any(0xfe),
                "sec_reserved_lower_nonzero": any(0x0fff_ff00),
                "sec_sept_ve_disable": any(1 << 28),
                "sec_reserved_bit29": any(1 << 29),
                "sec_pks": any(1 << 30),
                "sec_kl": any(1 << 31),
                "other_reserved_nonzero": any(0x7fff_ffff_0000_0000),
                "other_perfmon": any(1 << 63),
            },
            "xfam_hex": hex::encode(&body.xfam),
            "mrtd_hex": hex::encode(&body.mr_td),
            "mrconfigid_hex": hex::encode(&body.mr_config_id),
            "mrowner_hex": hex::encode(&body.mr_owner),
            "mrownerconfig_hex": hex::encode(&body.mr_owner_config),
            "rtmrs_hex": rtmrs,
            "report_data_hex": hex::encode(&body.report_data),
        },
    })
}
