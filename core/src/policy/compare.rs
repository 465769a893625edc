//! The difference between two policies, member by member, and what each does: does it accept more or less?

use super::{Policy, document};
use crate::wire::json::Json;

/// What a difference does to what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Less is accepted.
    Stricter,
    /// More is accepted.
    Weaker,
    /// Some things are accepted that were not, and others are not any more.
    Other,
    /// The same is accepted.
    None,
}

impl Effect {
    /// `stricter`, `weaker`, `other` or `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Effect::Stricter => "stricter",
            Effect::Weaker => "weaker",
            Effect::Other => "other",
            Effect::None => "none",
        }
    }
}

/// A member that two policies do not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path of the member, such as `tdx.accepted_tcb_statuses`.
    pub member: String,
    /// Its value before, as compact JSON.
    pub before: String,
    /// Its value after, as compact JSON.
    pub after: String,
    /// What that does.
    pub effect: Effect,
}

/// How a member's value decides what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The name says nothing.
    Label,
    /// `true` demands something.
    Demands,
    /// `true` accepts or claims something.
    Accepts,
    /// A larger number demands more.
    AtLeast,
    /// A smaller number demands more; `null` is no bound.
    AtMost,
    /// What is listed is accepted; an empty list accepts anything.
    AnyOf,
    /// What is listed is accepted, and nothing else.
    OnlyListed,
    /// What is listed is demanded.
    AllOf,
    /// Words in the order in which they demand more.
    Words(&'static [&'static str]),
    /// Lowest levels of a processor family; `null` is none.
    Minimum,
}

const PRESENCE: Rule = Rule::Words(&["off", "if_present", "required"]);

/// The rule of every member, by its path.
const RULES: &[(&str, Rule)] = &[
    ("schema", Rule::Label),
    ("name", Rule::Label),
    ("max_age_s", Rule::AtMost),
    ("not_after", Rule::AtMost),
    ("advisory_checks", Rule::OnlyListed),
    ("enforced_checks", Rule::AllOf),
    ("tdx.accepted_advisories", Rule::OnlyListed),
    ("tdx.accepted_tcb_statuses", Rule::OnlyListed),
    ("tdx.allow_perfmon", Rule::Accepts),
    ("tdx.allow_service_td", Rule::Accepts),
    ("tdx.min_tcb_evaluation_data_number", Rule::AtLeast),
    ("tdx.mr_config_id", Rule::AnyOf),
    ("tdx.mr_owner", Rule::AnyOf),
    ("tdx.mr_owner_config", Rule::AnyOf),
    ("tdx.mr_seam", Rule::AnyOf),
    ("tdx.platform_ids", Rule::AnyOf),
    ("tdx.require_sept_ve_disable", Rule::Demands),
    ("snp.allow_cxl", Rule::Accepts),
    ("snp.allow_hidden_chip_id", Rule::Accepts),
    ("snp.allow_provisional_firmware", Rule::Accepts),
    ("snp.allow_smt", Rule::Accepts),
    ("snp.author_key_digests", Rule::AnyOf),
    ("snp.chip_ids", Rule::AnyOf),
    ("snp.csp_ids", Rule::OnlyListed),
    ("snp.host_data", Rule::AnyOf),
    ("snp.id_key_digests", Rule::AnyOf),
    ("snp.measurements", Rule::AnyOf),
    ("snp.min_guest_svn", Rule::AtLeast),
    ("snp.minimum.bergamo", Rule::Minimum),
    ("snp.minimum.genoa", Rule::Minimum),
    ("snp.minimum.milan", Rule::Minimum),
    ("snp.minimum.turin", Rule::Minimum),
    ("snp.minimum.turin_dense", Rule::Minimum),
    ("snp.require_alias_check", Rule::Demands),
    ("snp.require_ciphertext_hiding", Rule::Demands),
    ("snp.require_crl", Rule::Demands),
    ("snp.require_minimum", Rule::Demands),
    ("snp.require_single_socket", Rule::Demands),
    ("snp.vmpls", Rule::OnlyListed),
    ("software.app_id", Rule::AnyOf),
    ("software.compose_hash", Rule::AnyOf),
    ("software.enforces_gpu", Rule::Accepts),
    ("software.mr_td", Rule::AnyOf),
    ("software.os_image_hash", Rule::AnyOf),
    ("software.require_reference", Rule::Demands),
    ("software.rtmr0", Rule::AnyOf),
    ("software.rtmr1", Rule::AnyOf),
    ("software.rtmr2", Rule::AnyOf),
    ("software.rtmr3", Rule::AnyOf),
    ("gpu.allow_certificate_hold", Rule::Accepts),
    ("gpu.allow_expired_rim", Rule::Accepts),
    ("gpu.allowed_mismatches", Rule::OnlyListed),
    ("gpu.architectures", Rule::AnyOf),
    ("gpu.drivers", Rule::AnyOf),
    ("gpu.evidence", PRESENCE),
    ("gpu.minimum", Rule::AtLeast),
    ("gpu.nras", PRESENCE),
    ("gpu.require_measurements", Rule::Demands),
    ("gpu.require_ocsp", Rule::Demands),
    ("gpu.require_rim", Rule::Demands),
    ("gpu.require_switches", Rule::Demands),
    ("gpu.ueids", Rule::AnyOf),
    ("gpu.vbios", Rule::AnyOf),
    ("request.allow_clear_stop", Rule::Accepts),
    ("request.allow_whitespace_plaintext", Rule::Accepts),
];

impl Policy {
    /// What changes from this policy to another, in the order of the members' names.
    pub fn differences(&self, after: &Policy) -> Vec<Difference> {
        let (before, after) = (members(self), members(after));
        let changed = before.into_iter().zip(after).filter(|((_, before), (_, after))| before != after);
        changed
            .map(|((member, before), (_, after))| Difference {
                effect: effect(rule(&member).unwrap_or(Rule::Label), &before, &after),
                member,
                before: before.to_canonical(),
                after: after.to_canonical(),
            })
            .collect()
    }
}

fn rule(member: &str) -> Option<Rule> {
    RULES.iter().find(|(path, _)| *path == member).map(|(_, rule)| *rule)
}

/// Every member that has a rule or is no object, sorted by path: the same paths for every policy.
fn members(policy: &Policy) -> Vec<(String, Json)> {
    fn collect(path: &str, value: Json, out: &mut Vec<(String, Json)>) {
        match value {
            Json::Object(members) if rule(path).is_none() => {
                for (name, value) in members {
                    let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                    collect(&path, value, out);
                }
            }
            value => out.push((path.to_owned(), value)),
        }
    }
    let mut out = Vec::new();
    collect("", document::value(policy), &mut out);
    out.sort_by(|(a, _), (b, _)| a.cmp(b));
    out
}

fn effect(rule: Rule, before: &Json, after: &Json) -> Effect {
    match rule {
        Rule::Label => Effect::None,
        Rule::Demands => by_order(before.as_bool(), after.as_bool()),
        Rule::Accepts => by_order(after.as_bool(), before.as_bool()),
        Rule::AtLeast => by_order(before.as_u64(), after.as_u64()),
        Rule::AtMost => by_order(bound(after), bound(before)),
        Rule::AnyOf => match (elements(before).is_empty(), elements(after).is_empty()) {
            (true, _) => Effect::Stricter,
            (_, true) => Effect::Weaker,
            (false, false) => by_content(after, before),
        },
        Rule::OnlyListed => by_content(after, before),
        Rule::AllOf => by_content(before, after),
        Rule::Words(words) => {
            let place = |value: &Json| words.iter().position(|word| value.as_str() == Some(word));
            by_order(place(before), place(after))
        }
        Rule::Minimum => match (before.is_null(), after.is_null()) {
            (true, _) => Effect::Stricter,
            (_, true) => Effect::Weaker,
            _ => by_parts(before, after),
        },
    }
}

/// A larger value is stricter.
fn by_order<T: Ord>(before: T, after: T) -> Effect {
    match before.cmp(&after) {
        std::cmp::Ordering::Less => Effect::Stricter,
        std::cmp::Ordering::Equal => Effect::None,
        std::cmp::Ordering::Greater => Effect::Weaker,
    }
}

/// A number or a time (whose texts sort like the times themselves); none is larger than all.
fn bound(value: &Json) -> (bool, u64, &str) {
    (value.is_null(), value.as_u64().unwrap_or(0), value.as_str().unwrap_or_default())
}

fn elements(value: &Json) -> &[Json] {
    value.as_array().unwrap_or_default()
}

/// A list that has all of the other's elements and more is stricter.
fn by_content(fewer: &Json, more: &Json) -> Effect {
    let within = |a: &Json, b: &Json| elements(a).iter().all(|element| elements(b).contains(element));
    match (within(fewer, more), within(more, fewer)) {
        (true, true) => Effect::None,
        (true, false) => Effect::Stricter,
        (false, true) => Effect::Weaker,
        (false, false) => Effect::Other,
    }
}

/// Levels are compared part by part; an interface version `1.55` by its two numbers.
fn by_parts(before: &Json, after: &Json) -> Effect {
    let level = |value: &Json, name: &str| -> (u64, u64) {
        let value = value.get(name);
        let version = value.and_then(Json::as_str).and_then(|text| text.split_once('.'));
        match version {
            Some((major, minor)) => (major.parse().unwrap_or(0), minor.parse().unwrap_or(0)),
            None => (value.and_then(Json::as_u64).unwrap_or(0), 0),
        }
    };
    let names = before.as_object().unwrap_or_default().iter().map(|(name, _)| name);
    let effects = names.map(|name| by_order(level(before, name), level(after, name)));
    effects.fold(Effect::None, |all, part| match (all, part) {
        (all, Effect::None) => all,
        (Effect::None, part) => part,
        (all, part) if all == part => all,
        _ => Effect::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(members: &str) -> Policy {
        let comma = if members.is_empty() { "" } else { "," };
        Policy::from_json(format!("{{\"schema\":\"proveil.policy/v1\"{comma}{members}}}").as_bytes())
            .unwrap_or_else(|error| panic!("{members}: {error}"))
    }

    #[test]
    fn every_member_has_a_rule_and_every_rule_a_member() {
        let members: Vec<String> =
            members(&Policy::standard()).into_iter().map(|(member, _)| member).collect();
        let mut rules: Vec<&str> = RULES.iter().map(|(path, _)| *path).collect();
        rules.sort_unstable();
        assert_eq!(members, rules);
    }

    #[test]
    fn both_directions_of_every_kind() {
        let hex = |byte: &str, length: usize| format!("\"{}\"", byte.repeat(length));
        let (a, b) = (hex("aa", 48), hex("bb", 48));
        let minimum = |levels: &str| format!("\"snp\":{{\"minimum\":{{\"milan\":{levels}}}}}");
        let levels = |bootloader: u8, abi: &str| {
            minimum(&format!(
                "{{\"bootloader\":{bootloader},\"tee\":0,\"snp\":1,\"microcode\":2,\"build\":3,\"abi\":\"{abi}\"}}"
            ))
        };
        // Before, after, member; the first is less strict than the second.
        let cases: Vec<(String, String, &str)> = vec![
            (String::new(), "\"max_age_s\":60".into(), "max_age_s"),
            (String::new(), "\"not_after\":\"2030-01-01T00:00:00Z\"".into(), "not_after"),
            (
                "\"not_after\":\"2030-01-01T00:00:00Z\"".into(),
                "\"not_after\":\"2029-12-31T23:59:59Z\"".into(),
                "not_after",
            ),
            ("\"advisory_checks\":[\"cm.quote\"]".into(), String::new(), "advisory_checks"),
            (String::new(), "\"enforced_checks\":[\"gpu.bound\"]".into(), "enforced_checks"),
            (
                "\"tdx\":{\"accepted_tcb_statuses\":[\"UpToDate\",\"OutOfDate\"]}".into(),
                String::new(),
                "tdx.accepted_tcb_statuses",
            ),
            ("\"tdx\":{\"allow_perfmon\":true}".into(), String::new(), "tdx.allow_perfmon"),
            (
                String::new(),
                "\"tdx\":{\"min_tcb_evaluation_data_number\":20}".into(),
                "tdx.min_tcb_evaluation_data_number",
            ),
            (String::new(), format!("\"tdx\":{{\"mr_seam\":[{a}]}}"), "tdx.mr_seam"),
            (
                format!("\"tdx\":{{\"mr_seam\":[{a},{b}]}}"),
                format!("\"tdx\":{{\"mr_seam\":[{b}]}}"),
                "tdx.mr_seam",
            ),
            (String::new(), "\"software\":{\"require_reference\":true}".into(), "software.require_reference"),
            ("\"software\":{\"enforces_gpu\":true}".into(), String::new(), "software.enforces_gpu"),
            ("\"gpu\":{\"evidence\":\"if_present\"}".into(), String::new(), "gpu.evidence"),
            (
                "\"gpu\":{\"evidence\":\"off\"}".into(),
                "\"gpu\":{\"evidence\":\"if_present\"}".into(),
                "gpu.evidence",
            ),
            ("\"gpu\":{\"nras\":\"off\"}".into(), "\"gpu\":{\"nras\":\"required\"}".into(), "gpu.nras"),
            ("\"snp\":{\"vmpls\":[0,1]}".into(), String::new(), "snp.vmpls"),
            (minimum("null"), levels(1, "1.9"), "snp.minimum.milan"),
            (levels(1, "1.9"), levels(2, "1.55"), "snp.minimum.milan"),
            (levels(1, "1.9"), levels(1, "1.10"), "snp.minimum.milan"),
        ];
        for (weak, strict, member) in cases {
            let (weak, strict) = (policy(&weak), policy(&strict));
            for (before, after, effect) in
                [(&weak, &strict, Effect::Stricter), (&strict, &weak, Effect::Weaker)]
            {
                let found = before.differences(after);
                let found: Vec<_> = found.iter().map(|one| (one.member.as_str(), one.effect)).collect();
                assert_eq!(found, [(member, effect)]);
            }
        }
        for (before, after) in [
            (format!("\"tdx\":{{\"mr_seam\":[{a}]}}"), format!("\"tdx\":{{\"mr_seam\":[{b}]}}")),
            ("\"snp\":{\"vmpls\":[0]}".into(), "\"snp\":{\"vmpls\":[1]}".into()),
            (levels(1, "1.9"), levels(2, "1.8")),
        ] {
            let found = policy(&before).differences(&policy(&after));
            assert_eq!(found.iter().map(|one| one.effect).collect::<Vec<_>>(), [Effect::Other]);
        }
        let renamed = Policy::standard().differences(&policy("\"name\":\"mine\""));
        assert_eq!(renamed.iter().map(|one| one.effect).collect::<Vec<_>>(), [Effect::None]);
        assert_eq!((renamed[0].before.as_str(), renamed[0].after.as_str()), ("\"standard\"", "\"mine\""));
        assert!(Policy::standard().differences(&Policy::standard()).is_empty());
    }

    #[test]
    fn strict_is_stricter() {
        let found = Policy::standard().differences(&Policy::strict());
        assert!(found.len() > 3);
        assert!(found.iter().all(|one| matches!(one.effect, Effect::Stricter | Effect::None)), "{found:?}");
    }
}
