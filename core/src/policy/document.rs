//! The JSON form of a policy: strict reading, canonical writing.

pub(super) mod members;
pub(super) mod snp;
mod software;
mod tdx;

use super::{Policy, gpu};
use crate::error::{Error, Result};
use crate::limits::{POLICY_MAX_BYTES, VERDICT_MAX_AGE_S};
use crate::pki::time::unix_seconds;
use crate::report::catalogue;
use crate::wire::json::Json;
use crate::wire::locate;
use crate::wire::time::rfc3339;
use members::{Members, invalid, texts, unknown};

const SCHEMA: &str = "proveil.policy/v1";

const MEMBERS: &[&str] = &[
    "advisory_checks",
    "enforced_checks",
    "extends",
    "gpu",
    "max_age_s",
    "name",
    "not_after",
    "request",
    "schema",
    "snp",
    "software",
    "tdx",
];

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

/// Reads a document; an error says where in the text its cause is.
pub(super) fn read(json: &[u8]) -> Result<Policy> {
    let located = |error: Error, place: Option<locate::Place>| match place {
        Some(place) => error.in_text(place.line, place.column),
        None => error,
    };
    if json.len() > POLICY_MAX_BYTES {
        return Err(invalid("document").expected(format!("at most {POLICY_MAX_BYTES} bytes")));
    }
    let document = Json::parse(json).map_err(|_| {
        let (place, why) = locate::fault(json);
        located(invalid("document").found("not strict JSON").context(why), place)
    })?;
    read_document(&document).map_err(|error| {
        let place = error.check().and_then(|path| locate::member(json, path));
        located(error, place)
    })
}

fn read_document(document: &Json) -> Result<Policy> {
    let top = Members::of(document, "")?;
    if document.get("schema").and_then(Json::as_str) != Some(SCHEMA) {
        return Err(invalid("schema").expected(SCHEMA));
    }
    top.only(MEMBERS)?;
    let base = top.text("extends")?.unwrap_or("standard");
    let mut policy = Policy::preset(base)
        .ok_or_else(|| unknown("extends", base, &Policy::preset_names().collect::<Vec<_>>()))?;
    policy = policy.named(top.text("name")?.unwrap_or("custom"));
    if let Some(age) = top.number("max_age_s")? {
        if age == 0 || age > VERDICT_MAX_AGE_S {
            return Err(invalid("max_age_s")
                .expected(format!("1 to {VERDICT_MAX_AGE_S}"))
                .found(age.to_string()));
        }
        policy.max_age_s = age;
    }
    policy.not_after = read_end(&top)?;
    if let Some(value) = top.get("tdx") {
        tdx::read(&Members::of(value, "tdx.")?, &mut policy.tdx)?;
    }
    if let Some(value) = top.get("snp") {
        snp::read(&Members::of(value, "snp.")?, &mut policy.snp)?;
    }
    if let Some(value) = top.get("software") {
        software::read(&Members::of(value, "software.")?, &mut policy)?;
    }
    if let Some(value) = top.get("gpu") {
        gpu::read(&Members::of(value, "gpu.")?, &mut policy)?;
    }
    read_checks(&top, &mut policy)?;
    if let Some(value) = top.get("request") {
        let members = Members::of(value, "request.")?;
        members.only(&["allow_clear_stop", "allow_whitespace_plaintext"])?;
        members.flag("allow_clear_stop", &mut policy.allow_clear_stop)?;
        members.flag("allow_whitespace_plaintext", &mut policy.allow_whitespace_plaintext)?;
    }
    Ok(policy)
}

/// The second from which on the policy is not to be used any more; `null` means never.
fn read_end(top: &Members<'_>) -> Result<Option<u64>> {
    const NAME: &str = "not_after";
    let Some(value) = top.get(NAME).filter(|value| !value.is_null()) else { return Ok(None) };
    let wrong = || invalid(NAME).expected("a time such as 2027-01-31T00:00:00Z, or null");
    let text = value.as_str().ok_or_else(wrong)?;
    unix_seconds(text).ok_or_else(|| wrong().found(text)).map(Some)
}

/// Whether each check counts, where the policy says something else than the catalogue. Nothing can be said in both ways.
fn read_checks(top: &Members<'_>, policy: &mut Policy) -> Result<()> {
    const ADVISORY: &str = "advisory_checks";
    const ENFORCED: &str = "enforced_checks";
    for (i, id) in top.texts(ADVISORY)?.unwrap_or_default().into_iter().enumerate() {
        let place = format!("{ADVISORY}[{i}]");
        if !RELAXABLE.contains(&id) {
            return Err(match catalogue::find(id) {
                Some(_) => invalid(&place).found(id).context("This check cannot be relaxed."),
                None => unknown(&place, id, RELAXABLE),
            });
        }
        policy.advisory_checks.push(id.to_owned());
    }
    for (i, id) in top.texts(ENFORCED)?.unwrap_or_default().into_iter().enumerate() {
        let place = format!("{ENFORCED}[{i}]");
        if catalogue::find(id).is_none() {
            return Err(unknown(&place, id, &catalogue::ids().collect::<Vec<_>>()));
        }
        if policy.advisory_checks.iter().any(|advisory| advisory == id) {
            return Err(invalid(&place).found(id).context("It is in `advisory_checks` too."));
        }
        policy.enforced_checks.push(id.to_owned());
    }
    for list in [&mut policy.advisory_checks, &mut policy.enforced_checks] {
        list.sort();
        list.dedup();
    }
    Ok(())
}

/// Every member but `extends`, whose work is done.
pub(super) fn write(policy: &Policy) -> String {
    value(policy).to_canonical()
}

pub(super) fn value(policy: &Policy) -> Json {
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
    };
    object(vec![
        ("schema", Json::String(SCHEMA.to_owned())),
        ("name", Json::String(policy.name.clone())),
        ("max_age_s", Json::Number(policy.max_age_s.into())),
        ("not_after", policy.not_after.map_or(Json::Null, |end| Json::String(rfc3339(end)))),
        ("tdx", object(tdx::write(&policy.tdx))),
        ("snp", object(snp::write(&policy.snp))),
        ("software", object(software::write(policy))),
        ("gpu", gpu::write(policy)),
        ("advisory_checks", texts(&policy.advisory_checks)),
        ("enforced_checks", texts(&policy.enforced_checks)),
        (
            "request",
            object(vec![
                ("allow_clear_stop", Json::Bool(policy.allow_clear_stop)),
                ("allow_whitespace_plaintext", Json::Bool(policy.allow_whitespace_plaintext)),
            ]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// A document with these members.
    fn document(members: &str) -> String {
        format!("{{\"schema\":\"proveil.policy/v1\",{members}}}")
    }

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
                "tdx.accepted_tcb_statuses[0]",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"software\":{\"mr_td\":[\"00\"]}}", "software.mr_td[0]"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"evidence\":\"maybe\"}}", "gpu.evidence"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"nras\":\"maybe\"}}", "gpu.nras"),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"require_rims\":true}}", "gpu.require_rims"),
            (
                "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"architectures\":[\"AMPERE\"]}}",
                "gpu.architectures[0]",
            ),
            (
                "{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"allowed_mismatches\":[255]}}",
                "gpu.allowed_mismatches[0]",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"gpu\":{\"drivers\":[\"\"]}}", "gpu.drivers[0]"),
            (
                "{\"schema\":\"proveil.policy/v1\",\"advisory_checks\":[\"tdx.quote_signature\"]}",
                "advisory_checks[0]",
            ),
            ("{\"schema\":\"proveil.policy/v1\",\"advisory_checks\":[\"nonce.cpu\"]}", "advisory_checks[0]"),
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

    /// Every member that is new here changes the rules, survives being written, and is refused in another form.
    #[test]
    fn members_and_their_round_trip() {
        let hex = |length: usize| format!("\"{}\"", "ab".repeat(length));
        let list = |section: &str, name: &str, length: usize| {
            (format!("\"{section}\":{{\"{name}\":[{}]}}", hex(length)), format!("{section}.{name}"))
        };
        let mut cases = vec![
            ("\"not_after\":\"2027-02-28T23:59:59Z\"".to_owned(), "not_after".to_owned()),
            (
                "\"enforced_checks\":[\"gpu.bound\",\"cm.quote\",\"cm.quote\"]".into(),
                "enforced_checks".into(),
            ),
            ("\"advisory_checks\":[\"cm.quote\"]".into(), "advisory_checks".into()),
            (
                "\"tdx\":{\"accepted_advisories\":[\"INTEL-SA-00837\"]}".into(),
                "tdx.accepted_advisories".into(),
            ),
        ];
        cases.extend([
            list("tdx", "mr_seam", 48),
            list("tdx", "mr_owner", 48),
            list("tdx", "mr_owner_config", 48),
            list("tdx", "platform_ids", 16),
            list("tdx", "mr_config_id", 48),
            list("software", "mr_td", 48),
            list("software", "rtmr0", 48),
            list("software", "rtmr1", 48),
            list("software", "rtmr2", 48),
            list("software", "rtmr3", 48),
            list("software", "compose_hash", 32),
            list("software", "os_image_hash", 32),
            list("software", "app_id", 20),
        ]);
        for (members, path) in cases {
            let read = |text: &str| Policy::from_json(document(text).as_bytes());
            let policy = read(&members).unwrap();
            assert_ne!(policy.sha256(), Policy::standard().sha256(), "{members}");
            assert_eq!(Policy::from_json(policy.to_json().as_bytes()).unwrap(), policy, "{members}");
            let (name, value) = members.rsplit_once("\":").unwrap();
            let ends = value.len() - value.trim_end_matches('}').len();
            for wrong in ["7", "[7]", "[\"a b\"]", "\"2027-02-29T00:00:00Z\"", "true", "[\"\"]"] {
                let text = format!("{name}\":{wrong}{}", "}".repeat(ends));
                let error = read(&text).unwrap_err();
                let at = error.check().unwrap();
                assert!(at == path || at == format!("{path}[0]"), "{text}: {error}");
            }
        }
        let none = Policy::from_json(document("\"not_after\":null").as_bytes()).unwrap();
        assert_eq!(none.sha256(), Policy::standard().sha256());
    }

    /// T57: an error says where in the file its cause is.
    #[test]
    fn errors_have_a_place() {
        for (text, place, member) in [
            ("{\n  \"schema\": \"proveil.policy/v1\",\n  \"sofware\": {}\n}", Some((3, 3)), "sofware"),
            (
                "{\n  \"schema\": \"proveil.policy/v1\",\n  \"tdx\": {\n    \"accepted_tcb_statuses\": [\"UpToDate\",\n \"UptoDate\"]}\n}",
                Some((5, 2)),
                "tdx.accepted_tcb_statuses[1]",
            ),
            (
                "{\"schema\":\"proveil.policy/v1\",\"snp\":{\"minimum\":{\"milan\":{\"x\":1}}}}",
                Some((1, 58)),
                "snp.minimum.milan.x",
            ),
            ("{\"schema\": \"proveil.policy/v1\",}", Some((1, 32)), "document"),
            ("{\"schema\":\"proveil.policy/v2\"}", Some((1, 2)), "schema"),
            ("{}", None, "schema"),
        ] {
            let error = Policy::from_json(text.as_bytes()).unwrap_err();
            assert_eq!((error.place(), error.check()), (place, Some(member)), "{text}: {error}");
            let said = place.map(|(line, column)| format!("Line {line}, column {column}."));
            assert!(said.is_none_or(|said| error.message().contains(&said)), "{error}");
        }
        let large = format!("{}{}", document("\"tdx\":{}"), " ".repeat(POLICY_MAX_BYTES));
        assert_eq!(Policy::from_json(large.as_bytes()).unwrap_err().check(), Some("document"));
    }

    #[test]
    fn presets_by_name() {
        for name in Policy::preset_names() {
            let policy = Policy::preset(name).unwrap();
            assert_eq!(policy.name(), name);
            let extended =
                Policy::from_json(document(&format!("\"extends\":\"{name}\"")).as_bytes()).unwrap();
            assert_eq!(extended.sha256(), policy.sha256(), "{name}");
            assert!(policy.relaxations().is_empty());
        }
        for name in
            ["", "/", "venice/", "/standard", "mars/standard", "venice/loose", "venice/standard/", "Standard"]
        {
            assert!(Policy::preset(name).is_none(), "{name}");
        }
    }

    /// One check cannot both count and not count; an unknown one names its neighbour.
    #[test]
    fn checks_that_count() {
        for (members, at, said) in [
            ("\"enforced_checks\":[\"gpu.bond\"]", "enforced_checks[0]", "`gpu.bound`"),
            (
                "\"enforced_checks\":[\"gpu.bound\",\"cm.quote\"],\"advisory_checks\":[\"cm.quote\"]",
                "enforced_checks[1]",
                "`advisory_checks`",
            ),
            ("\"advisory_checks\":[\"cm.qoute\"]", "advisory_checks[0]", "`cm.quote`"),
            ("\"advisory_checks\":[\"software.pin\"]", "advisory_checks[0]", "cannot be relaxed"),
            ("\"advisory_checks\":[\"policy.not_after\"]", "advisory_checks[0]", "cannot be relaxed"),
        ] {
            let error = Policy::from_json(document(members).as_bytes()).unwrap_err();
            assert_eq!(error.check(), Some(at), "{members}");
            assert!(error.message().contains(said), "{error}");
        }
    }
}
