//! The JSON form of a policy: strict reading, canonical writing.

pub(super) mod snp;

use super::{Policy, References, gpu};
use crate::attest::tdx::TcbStatus;
use crate::attest::tdx::rules::TdxPolicy;
use crate::error::{Code, Error, Result};
use crate::limits::VERDICT_MAX_AGE_S;
use crate::report::catalogue;
use crate::wire::json::Json;
use crate::wire::{hex, nearest};

const SCHEMA: &str = "proveil.policy/v1";

/// Checks that a policy may make advisory: none of them concerns a signature, a chain, freshness or the key.
const RELAXABLE: &[&str] = &[
    "tdx.tcb.status",
    "tdx.tcb.evaluation_number",
    "tdx.attributes.sept_ve_disable",
    "tdx.attributes.perfmon",
    "tdx.service_td",
    "eventlog.parse",
    "eventlog.digest",
    "eventlog.replay",
    "eventlog.events",
    "compose_hash",
    "mr_config_id",
    "tcb_info",
    "cm.quote",
    "cm.binding",
    "cm.same_td",
    "ohttp.key_config",
    "ohttp.signature",
    "gpu.missing",
    "gpu.parse",
    "gpu.spdm",
    "gpu.nonce",
    "gpu.chain",
    "gpu.signature",
    "gpu.opaque",
    "gpu.fwid",
    "gpu.duplicate",
    "gpu.topology",
];

pub(super) fn read(json: &[u8]) -> Result<Policy> {
    let document = Json::parse(json).map_err(|_| invalid("document").found("not strict JSON"))?;
    let top = Members::of(&document, "")?;
    top.only(&[
        "schema",
        "name",
        "extends",
        "max_age_s",
        "tdx",
        "snp",
        "software",
        "gpu",
        "advisory_checks",
        "request",
    ])?;
    if top.text("schema")? != Some(SCHEMA) {
        return Err(invalid("schema").expected(SCHEMA));
    }
    let base = top.text("extends")?.unwrap_or("standard");
    let mut policy = Policy::preset(base).ok_or_else(|| unknown("extends", base, &["standard", "strict"]))?;
    policy = policy.named(top.text("name")?.unwrap_or("custom"));
    if let Some(age) = top.number("max_age_s")? {
        if age == 0 || age > VERDICT_MAX_AGE_S {
            return Err(invalid("max_age_s")
                .expected(format!("1 to {VERDICT_MAX_AGE_S}"))
                .found(age.to_string()));
        }
        policy.max_age_s = age;
    }
    if let Some(value) = top.get("tdx") {
        read_tdx(&Members::of(value, "tdx.")?, &mut policy.tdx)?;
    }
    if let Some(value) = top.get("snp") {
        snp::read(&Members::of(value, "snp.")?, &mut policy.snp)?;
    }
    if let Some(value) = top.get("software") {
        read_software(&Members::of(value, "software.")?, &mut policy)?;
    }
    if let Some(value) = top.get("gpu") {
        gpu::read(&Members::of(value, "gpu.")?, &mut policy)?;
    }
    for id in top.texts("advisory_checks")?.unwrap_or_default() {
        if !RELAXABLE.contains(&id) {
            let error = invalid("advisory_checks").found(id);
            return Err(match catalogue::find(id) {
                Some(_) => error.context("This check cannot be relaxed."),
                None => unknown("advisory_checks", id, RELAXABLE),
            });
        }
        policy.advisory_checks.push(id.to_owned());
    }
    policy.advisory_checks.sort();
    policy.advisory_checks.dedup();
    if let Some(value) = top.get("request") {
        let members = Members::of(value, "request.")?;
        members.only(&["allow_clear_stop", "allow_whitespace_plaintext"])?;
        members.flag("allow_clear_stop", &mut policy.allow_clear_stop)?;
        members.flag("allow_whitespace_plaintext", &mut policy.allow_whitespace_plaintext)?;
    }
    Ok(policy)
}

fn read_tdx(members: &Members<'_>, tdx: &mut TdxPolicy) -> Result<()> {
    members.only(&[
        "accepted_tcb_statuses",
        "accepted_advisories",
        "min_tcb_evaluation_data_number",
        "require_sept_ve_disable",
        "allow_perfmon",
        "allow_service_td",
    ])?;
    if let Some(words) = members.texts("accepted_tcb_statuses")? {
        tdx.accepted_statuses.clear();
        for word in words {
            let status = TcbStatus::from_word(word).ok_or_else(|| {
                unknown("tdx.accepted_tcb_statuses", word, &TcbStatus::ALL.map(TcbStatus::word))
            })?;
            if status == TcbStatus::Revoked {
                return Err(members
                    .invalid("accepted_tcb_statuses")
                    .found(word)
                    .context("It is never accepted."));
            }
            if !tdx.accepted_statuses.contains(&status) {
                tdx.accepted_statuses.push(status);
            }
        }
        tdx.accepted_statuses.sort_by_key(|status| status.word());
    }
    if let Some(advisories) = members.texts("accepted_advisories")? {
        tdx.accepted_advisories = advisories.into_iter().map(str::to_owned).collect();
        tdx.accepted_advisories.sort();
        tdx.accepted_advisories.dedup();
    }
    if let Some(number) = members.number("min_tcb_evaluation_data_number")? {
        tdx.min_evaluation_number =
            u32::try_from(number).map_err(|_| members.invalid("min_tcb_evaluation_data_number"))?;
    }
    members.flag("require_sept_ve_disable", &mut tdx.require_sept_ve_disable)?;
    members.flag("allow_perfmon", &mut tdx.allow_perfmon)?;
    members.flag("allow_service_td", &mut tdx.allow_service_td)
}

fn read_software(members: &Members<'_>, policy: &mut Policy) -> Result<()> {
    members.only(&[
        "require_reference",
        "mr_td",
        "rtmr0",
        "rtmr1",
        "rtmr2",
        "compose_hash",
        "os_image_hash",
        "app_id",
        "enforces_gpu",
    ])?;
    members.flag("require_reference", &mut policy.require_reference)?;
    members.flag("enforces_gpu", &mut policy.software_enforces_gpu)?;
    let References { mr_td, rtmr: [rtmr0, rtmr1, rtmr2], compose_hash, os_image_hash, app_id } =
        &mut policy.references;
    for (name, list, length) in [
        ("mr_td", mr_td, 48),
        ("rtmr0", rtmr0, 48),
        ("rtmr1", rtmr1, 48),
        ("rtmr2", rtmr2, 48),
        ("compose_hash", compose_hash, 32),
        ("os_image_hash", os_image_hash, 32),
        ("app_id", app_id, 20),
    ] {
        hex_values(members, name, &[length], list)?;
    }
    Ok(())
}

/// Adds the values of a list of hex texts, each of one of these lengths in bytes; sorted, each once.
fn hex_values(members: &Members<'_>, name: &str, lengths: &[usize], list: &mut Vec<Vec<u8>>) -> Result<()> {
    for text in members.texts(name)?.unwrap_or_default() {
        let value = hex::decode_prefixed(text).filter(|value| lengths.contains(&value.len()));
        let value = value.ok_or_else(|| {
            let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
            members.invalid(name).expected(format!("{} bytes in hex", lengths.join(" or ")))
        })?;
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list.sort();
    Ok(())
}

pub(super) fn write(policy: &Policy) -> String {
    let text = |text: &str| Json::String(text.to_owned());
    let texts = |texts: &[String]| Json::Array(texts.iter().map(|item| text(item)).collect());
    let bytes = |list: &[Vec<u8>]| Json::Array(list.iter().map(|value| text(&hex::encode(value))).collect());
    let number = |value: u64| Json::Number(value.into());
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
    };
    let References { mr_td, rtmr: [rtmr0, rtmr1, rtmr2], compose_hash, os_image_hash, app_id } =
        &policy.references;
    let statuses = policy.tdx.accepted_statuses.iter().map(|status| text(status.word())).collect();
    object(vec![
        ("schema", text(SCHEMA)),
        ("name", text(&policy.name)),
        ("max_age_s", number(policy.max_age_s)),
        (
            "tdx",
            object(vec![
                ("accepted_tcb_statuses", Json::Array(statuses)),
                ("accepted_advisories", texts(&policy.tdx.accepted_advisories)),
                ("min_tcb_evaluation_data_number", number(policy.tdx.min_evaluation_number.into())),
                ("require_sept_ve_disable", Json::Bool(policy.tdx.require_sept_ve_disable)),
                ("allow_perfmon", Json::Bool(policy.tdx.allow_perfmon)),
                ("allow_service_td", Json::Bool(policy.tdx.allow_service_td)),
            ]),
        ),
        ("snp", object(snp::write(&policy.snp))),
        (
            "software",
            object(vec![
                ("require_reference", Json::Bool(policy.require_reference)),
                ("mr_td", bytes(mr_td)),
                ("rtmr0", bytes(rtmr0)),
                ("rtmr1", bytes(rtmr1)),
                ("rtmr2", bytes(rtmr2)),
                ("compose_hash", bytes(compose_hash)),
                ("os_image_hash", bytes(os_image_hash)),
                ("app_id", bytes(app_id)),
                ("enforces_gpu", Json::Bool(policy.software_enforces_gpu)),
            ]),
        ),
        ("gpu", gpu::write(policy)),
        ("advisory_checks", texts(&policy.advisory_checks)),
        (
            "request",
            object(vec![
                ("allow_clear_stop", Json::Bool(policy.allow_clear_stop)),
                ("allow_whitespace_plaintext", Json::Bool(policy.allow_whitespace_plaintext)),
            ]),
        ),
    ])
    .to_canonical()
}

fn invalid(member: &str) -> Error {
    Error::new(Code::PolicyInvalid).at(member)
}

pub(super) fn unknown(member: &str, found: &str, names: &[&str]) -> Error {
    let error = invalid(member).found(found);
    match nearest(found, names.iter().copied()) {
        Some(name) => error.context(format!("Did you mean `{name}`?")),
        None => error.expected(names.join(", ")),
    }
}

/// The members of one object of the document, with the path for messages.
pub(super) struct Members<'a> {
    path: &'static str,
    members: &'a [(String, Json)],
}

impl<'a> Members<'a> {
    fn of(value: &'a Json, path: &'static str) -> Result<Members<'a>> {
        let members =
            value.as_object().ok_or_else(|| invalid(path.trim_end_matches('.')).expected("an object"))?;
        Ok(Members { path, members })
    }

    pub(super) fn invalid(&self, name: &str) -> Error {
        invalid(&format!("{}{name}", self.path))
    }

    pub(super) fn only(&self, names: &[&str]) -> Result<()> {
        match self.members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(unknown(&format!("{}{name}", self.path), name, names)),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| self.invalid(name).expected("a text")))
            .transpose()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let wrong = || self.invalid(name).expected("a non-negative integer");
        self.get(name).map(|value| value.as_u64().ok_or_else(wrong)).transpose()
    }

    pub(super) fn flag(&self, name: &str, target: &mut bool) -> Result<()> {
        if let Some(value) = self.get(name) {
            *target = value.as_bool().ok_or_else(|| self.invalid(name).expected("true or false"))?;
        }
        Ok(())
    }

    pub(super) fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>> {
        let wrong = || self.invalid(name).expected("an array of non-negative integers");
        self.get(name)
            .map(|value| {
                let items = value.as_array().ok_or_else(wrong)?;
                items.iter().map(|item| item.as_u64().ok_or_else(wrong)).collect()
            })
            .transpose()
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        let wrong = || self.invalid(name).expected("an array of texts");
        self.get(name)
            .map(|value| {
                let items = value.as_array().ok_or_else(wrong)?;
                items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_hash() {
        for policy in [Policy::standard(), Policy::strict()] {
            let read = Policy::from_json(policy.to_json().as_bytes()).unwrap();
            assert_eq!(read, policy);
            assert_eq!(read.sha256(), policy.clone().named("other").sha256());
            assert!(policy.relaxations().is_empty());
        }
        assert_ne!(Policy::standard().sha256(), Policy::strict().sha256());
    }

    #[test]
    fn refusals_name_the_member() {
        let cases = [
            ("{}", "schema"),
            ("{\"schema\":\"proveil.policy/v1\",\"schema\":\"proveil.policy/v1\"}", "document"),
            ("{\"schema\":\"proveil.policy/v1\",\"sofware\":{}}", "sofware"),
            ("{\"schema\":\"proveil.policy/v1\",\"extends\":\"strikt\"}", "extends"),
            ("{\"schema\":\"proveil.policy/v1\",\"max_age_s\":1801}", "max_age_s"),
            ("{\"schema\":\"proveil.policy/v1\",\"max_age_s\":0}", "max_age_s"),
            ("{\"schema\":\"proveil.policy/v1\",\"tdx\":{\"allow_debug\":true}}", "tdx.allow_debug"),
            (
                "{\"schema\":\"proveil.policy/v1\",\"tdx\":{\"accepted_tcb_statuses\":[\"Revoked\"]}}",
                "tdx.accepted_tcb_statuses",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"software\":{\"mr_td\":[\"00\"]}}", "software.mr_td"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"evidence\":\"maybe\"}}", "gpu.evidence"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"nras\":\"maybe\"}}", "gpu.nras"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"require_rims\":true}}", "gpu.require_rims"),
            (
                "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"architectures\":[\"AMPERE\"]}}",
                "gpu.architectures",
            ),
            (
                "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"allowed_mismatches\":[255]}}",
                "gpu.allowed_mismatches",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"drivers\":[\"\"]}}", "gpu.drivers"),
            (
                "{\"schema\":\"proveil.policy/v1\",\"advisory_checks\":[\"tdx.quote_signature\"]}",
                "advisory_checks",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"advisory_checks\":[\"nonce.cpu\"]}", "advisory_checks"),
        ];
        for (json, member) in cases {
            let error = Policy::from_json(json.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.check()), (Code::PolicyInvalid, Some(member)), "{json}");
        }
        let error = Policy::from_json(b"{\"schema\":\"proveil.policy/v1\",\"sofware\":{}}").unwrap_err();
        assert!(error.message().contains("`software`"), "{error}");
    }

    #[test]
    fn relaxable_checks_are_known() {
        for id in RELAXABLE {
            assert!(catalogue::find(id).is_some_and(|entry| entry.id == *id), "{id}");
        }
    }
}
