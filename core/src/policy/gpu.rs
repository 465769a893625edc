//! The member `gpu` of a policy document.

use super::document::members::{Members, texts, unknown};
use super::{GpuRule, Policy};
use crate::attest::nvidia::rules::{GpuPolicy, NrasRule};
use crate::claims::Architecture;
use crate::error::Result;
use crate::limits::GPU_MAX_DEVICES;
use crate::wire::json::Json;

/// Longest version text.
const VERSION_MAX_CHARS: usize = 64;
const VERSION_FORM: &str = "a version as reports state it";
/// Highest manifest index.
const INDEX_MAX: u64 = 254;

pub(super) fn read(members: &Members<'_>, policy: &mut Policy) -> Result<()> {
    members.only(&[
        "evidence",
        "minimum",
        "require_measurements",
        "require_rim",
        "require_ocsp",
        "nras",
        "architectures",
        "drivers",
        "vbios",
        "require_switches",
        "allow_expired_rim",
        "allow_certificate_hold",
        "allowed_mismatches",
        "ueids",
    ])?;
    if let Some(name) = members.text("evidence")? {
        let rules = [GpuRule::Required, GpuRule::IfPresent, GpuRule::Off];
        policy.gpu = rules
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| unknown("gpu.evidence", name, &rules.map(GpuRule::name)))?;
    }
    if let Some(minimum) = members.number("minimum")? {
        policy.gpu_minimum = usize::try_from(minimum)
            .ok()
            .filter(|minimum| *minimum <= GPU_MAX_DEVICES)
            .ok_or_else(|| members.invalid("minimum").expected(format!("0 to {GPU_MAX_DEVICES}")))?;
    }
    members.flag("require_measurements", &mut policy.require_gpu_measurements)?;
    let rules = &mut policy.gpu_rules;
    members.flag("require_rim", &mut rules.require_rim)?;
    members.flag("require_ocsp", &mut rules.require_ocsp)?;
    if let Some(name) = members.text("nras")? {
        rules.nras = NrasRule::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| unknown("gpu.nras", name, &NrasRule::ALL.map(NrasRule::name)))?;
    }
    if let Some(words) = members.texts("architectures")? {
        rules.architectures.clear();
        for (i, word) in words.into_iter().enumerate() {
            let place = format!("gpu.architectures[{i}]");
            let known = Architecture::from_word(word)
                .ok_or_else(|| unknown(&place, word, &Architecture::KNOWN.map(Architecture::word)))?;
            if !rules.architectures.contains(&known) {
                rules.architectures.push(known);
            }
        }
        rules.architectures.sort_by_key(|known| known.word());
    }
    members.words("drivers", VERSION_FORM, is_version, &mut rules.drivers)?;
    members.words("vbios", VERSION_FORM, is_version, &mut rules.vbios)?;
    members.words("ueids", "a decimal number as reports state it", is_ueid, &mut rules.ueids)?;
    members.flag("require_switches", &mut rules.require_switches)?;
    members.flag("allow_expired_rim", &mut rules.allow_expired_rim)?;
    members.flag("allow_certificate_hold", &mut rules.allow_certificate_hold)?;
    if let Some(indexes) = members.numbers("allowed_mismatches")? {
        let index = |(i, index): (usize, u64)| {
            u8::try_from(index).ok().filter(|_| index <= INDEX_MAX).ok_or_else(|| {
                members
                    .wrong_element("allowed_mismatches", i)
                    .expected(format!("0 to {INDEX_MAX}"))
                    .found(index.to_string())
            })
        };
        rules.allowed_mismatches = indexes.into_iter().enumerate().map(index).collect::<Result<_>>()?;
        rules.allowed_mismatches.sort_unstable();
        rules.allowed_mismatches.dedup();
    }
    Ok(())
}

/// A version as devices state it.
fn is_version(version: &str) -> bool {
    (1..=VERSION_MAX_CHARS).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Serial number of a device's certificate (at most 20 bytes) as a decimal number.
fn is_ueid(text: &str) -> bool {
    (1..=49).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

pub(super) fn write(policy: &Policy) -> Json {
    let GpuPolicy {
        require_rim,
        require_ocsp,
        nras,
        architectures,
        drivers,
        vbios,
        require_switches,
        allow_expired_rim,
        allow_certificate_hold,
        allowed_mismatches,
        ueids,
    } = &policy.gpu_rules;
    let text = |text: &str| Json::String(text.to_owned());
    let number = |value: u64| Json::Number(value.into());
    let members = [
        ("evidence", text(policy.gpu.name())),
        ("minimum", number(u64::try_from(policy.gpu_minimum).unwrap_or(u64::MAX))),
        ("require_measurements", Json::Bool(policy.require_gpu_measurements)),
        ("require_rim", Json::Bool(*require_rim)),
        ("require_ocsp", Json::Bool(*require_ocsp)),
        ("nras", text(nras.name())),
        ("architectures", Json::Array(architectures.iter().map(|known| text(known.word())).collect())),
        ("drivers", texts(drivers)),
        ("vbios", texts(vbios)),
        ("require_switches", Json::Bool(*require_switches)),
        ("allow_expired_rim", Json::Bool(*allow_expired_rim)),
        ("allow_certificate_hold", Json::Bool(*allow_certificate_hold)),
        (
            "allowed_mismatches",
            Json::Array(allowed_mismatches.iter().map(|i| number(u64::from(*i))).collect()),
        ),
        ("ueids", texts(ueids)),
    ];
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every member changes the rules and survives being written.
    #[test]
    fn members_and_their_round_trip() {
        let with = |members: &str| {
            Policy::from_json(
                format!("{{\"schema\":\"proveil.policy/v1\",\"gpu\":{{{members}}}}}").as_bytes(),
            )
            .unwrap()
        };
        let cases: &[(&str, usize)] = &[
            ("\"require_rim\":true", 0),
            ("\"require_ocsp\":true", 0),
            ("\"nras\":\"required\"", 0),
            ("\"nras\":\"off\"", 1),
            ("\"architectures\":[\"HOPPER\",\"LS10\",\"HOPPER\"]", 0),
            ("\"drivers\":[\"570.172.08\",\"1\",\"1\"]", 0),
            ("\"vbios\":[\"96.00.CF.00.02\"]", 0),
            ("\"require_switches\":true", 0),
            ("\"allow_expired_rim\":true", 1),
            ("\"allow_certificate_hold\":true", 1),
            ("\"allowed_mismatches\":[9,254,0,9]", 1),
            ("\"ueids\":[\"478176379286082186618948445787393\"]", 0),
        ];
        for (members, relaxations) in cases {
            let policy = with(members);
            assert_ne!(policy.sha256(), Policy::standard().sha256(), "{members}");
            assert_eq!(policy.relaxations().len(), *relaxations, "{members}");
            assert_eq!(Policy::from_json(policy.to_json().as_bytes()).unwrap(), policy, "{members}");
        }
        assert_eq!(with("\"allowed_mismatches\":[9,254,0,9]").gpu_rules().allowed_mismatches, [0, 9, 254]);
    }
}
