//! Section `tdx` of a policy.

use super::members::{Members, hex_texts, texts, unknown};
use crate::attest::tdx::TcbStatus;
use crate::attest::tdx::rules::{Expected, Register, TdxPolicy};
use crate::error::Result;
use crate::wire::json::Json;

const MEMBERS: &[&str] = &[
    "accepted_advisories",
    "accepted_tcb_statuses",
    "allow_perfmon",
    "allow_service_td",
    "min_tcb_evaluation_data_number",
    "mr_config_id",
    "mr_owner",
    "mr_owner_config",
    "mr_seam",
    "platform_ids",
    "require_sept_ve_disable",
];

/// Registers that this section has accepted values for. What the guest measured is in section `software`; these are chosen by the host
/// or of the platform, so they name no software.
const REGISTERS: [(&str, Register); 4] = [
    ("mr_config_id", Register::MrConfigId),
    ("mr_owner", Register::MrOwner),
    ("mr_owner_config", Register::MrOwnerConfig),
    ("mr_seam", Register::MrSeam),
];

/// Reads the section. Debug and migratable TDs cannot be allowed by a document.
pub(super) fn read(members: &Members<'_>, tdx: &mut TdxPolicy) -> Result<()> {
    members.only(MEMBERS)?;
    read_statuses(members, tdx)?;
    members.words(
        "accepted_advisories",
        "an advisory id such as INTEL-SA-00837",
        is_advisory_id,
        &mut tdx.accepted_advisories,
    )?;
    if let Some(number) = members.number("min_tcb_evaluation_data_number")? {
        tdx.min_evaluation_number = u32::try_from(number)
            .map_err(|_| members.invalid("min_tcb_evaluation_data_number").expected("0 to 4294967295"))?;
    }
    members.flag("require_sept_ve_disable", &mut tdx.require_sept_ve_disable)?;
    members.flag("allow_perfmon", &mut tdx.allow_perfmon)?;
    members.flag("allow_service_td", &mut tdx.allow_service_td)?;
    members.hex_values("platform_ids", &[16], &mut tdx.platform_ids)?;
    for (name, register) in REGISTERS {
        let mut values = accepted(tdx, register).to_vec();
        members.hex_values(name, &[48], &mut values)?;
        tdx.expected.retain(|expected| expected.register != register);
        if !values.is_empty() {
            tdx.expected.push(Expected { register, any_of: values });
        }
    }
    Ok(())
}

fn read_statuses(members: &Members<'_>, tdx: &mut TdxPolicy) -> Result<()> {
    const NAME: &str = "accepted_tcb_statuses";
    let Some(words) = members.texts(NAME)? else { return Ok(()) };
    tdx.accepted_statuses.clear();
    for (i, word) in words.into_iter().enumerate() {
        let status = TcbStatus::from_word(word).ok_or_else(|| {
            let names: Vec<&str> =
                TcbStatus::ALL.map(TcbStatus::word).into_iter().filter(|name| *name != "Revoked").collect();
            unknown(&members.place(&format!("{NAME}[{i}]")), word, &names)
        })?;
        if status == TcbStatus::Revoked {
            return Err(members.wrong_element(NAME, i).found(word).context("It is never accepted."));
        }
        if !tdx.accepted_statuses.contains(&status) {
            tdx.accepted_statuses.push(status);
        }
    }
    tdx.accepted_statuses.sort_by_key(|status| status.word());
    Ok(())
}

/// One word of printable ASCII, as Intel's ids are.
fn is_advisory_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn accepted(tdx: &TdxPolicy, register: Register) -> &[Vec<u8>] {
    let found = tdx.expected.iter().find(|expected| expected.register == register);
    found.map_or(&[], |expected| expected.any_of.as_slice())
}

/// Every member, for the canonical form.
pub(super) fn write(tdx: &TdxPolicy) -> Vec<(&'static str, Json)> {
    let statuses = tdx.accepted_statuses.iter().map(|status| Json::String(status.word().to_owned()));
    let mut members = vec![
        ("accepted_advisories", texts(&tdx.accepted_advisories)),
        ("accepted_tcb_statuses", Json::Array(statuses.collect())),
        ("allow_perfmon", Json::Bool(tdx.allow_perfmon)),
        ("allow_service_td", Json::Bool(tdx.allow_service_td)),
        ("min_tcb_evaluation_data_number", Json::Number(tdx.min_evaluation_number.into())),
        ("platform_ids", hex_texts(&tdx.platform_ids)),
        ("require_sept_ve_disable", Json::Bool(tdx.require_sept_ve_disable)),
    ];
    members.extend(REGISTERS.map(|(name, register)| (name, hex_texts(accepted(tdx, register)))));
    members
}
