//! Reads a saved `proveil.report/v1` document, strictly: what is shown must be what somebody wrote down, all of it.
//!
//! Unknown members are refused, because a form that leaves them out could hide a weakness. A verdict that contradicts the listed
//! checks is refused. Neither makes the document true: it is a record, and shown as one.

use super::document::{Document, SCHEMA};
use super::{
    Check, Enforcement, Fact, Group, Hop, Level, Outcome, Platform, PolicyRef, Roots, Standing, Verdict,
};
use crate::error::{Code, Error, Result, is_invisible};
use crate::limits::{REPORT_LIST_MAX, REPORT_MAX_BYTES, REPORT_TEXT_MAX_BYTES};
use crate::wire::hex;
use crate::wire::json::Json;
use crate::wire::nearest;

/// Latest time that a report may name: the end of the year 9999.
const TIME_MAX: u64 = 253_402_300_799;

pub(super) fn document(bytes: &[u8]) -> Result<Document> {
    if bytes.len() > REPORT_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("report"));
    }
    let json = Json::parse(bytes).map_err(|_| invalid("").expected("strict JSON"))?;
    if json.get("schema").and_then(Json::as_str) != Some(SCHEMA) {
        return Err(invalid("schema").expected(SCHEMA));
    }
    let top = Object::of(&json, "")?;
    let document = Document {
        schema: SCHEMA,
        verdict: top.word("verdict", &Verdict::ALL.map(|it| (it.name(), it)))?,
        level: top.optional_word("level", &Level::ALL.map(|it| (it.name(), it)))?,
        roots: top.word("roots", &[Roots::Vendor, Roots::Custom].map(|it| (it.name(), it)))?,
        headline: top.text("headline")?,
        code: top.optional_code("code")?,
        provider: top.text("provider")?,
        model: top.text("model")?,
        base_url: top.text("base_url")?,
        key: top.optional_text("key")?,
        checked_at: top.time("checked_at")?,
        valid_until: top.optional_time("valid_until")?,
        policy: policy(&top.object("policy")?)?,
        missing_to_next_level: top.optional_text("missing_to_next_level")?,
        who_can_read: top.list("who_can_read", hop)?,
        not_proven: top.texts("not_proven")?,
        checks: top.list("checks", check)?,
        facts: top.list("facts", fact)?,
        platforms: top.list("platforms", platform)?,
        nonce: top.optional_hex("nonce")?,
        evidence_sha256: top.optional_hex("evidence_sha256")?,
        recheck: top.optional_text("recheck")?,
        library: top.text("library")?,
    };
    top.only(&[
        "schema",
        "verdict",
        "level",
        "roots",
        "headline",
        "code",
        "provider",
        "model",
        "base_url",
        "key",
        "checked_at",
        "valid_until",
        "policy",
        "missing_to_next_level",
        "who_can_read",
        "not_proven",
        "checks",
        "facts",
        "platforms",
        "nonce",
        "evidence_sha256",
        "recheck",
        "library",
    ])?;
    consistent(&document)?;
    Ok(document)
}

fn policy(object: &Object<'_>) -> Result<PolicyRef> {
    object.only(&["name", "sha256", "relaxations"])?;
    let sha256 = object.optional_hex("sha256")?.ok_or_else(|| object.wrong("sha256", "hex"))?;
    Ok(PolicyRef { name: object.text("name")?, sha256, relaxations: object.texts("relaxations")? })
}

fn hop(object: &Object<'_>) -> Result<Hop> {
    object.only(&["name", "standing", "note"])?;
    Ok(Hop {
        name: object.text("name")?,
        standing: object.word("standing", &Standing::ALL.map(|it| (it.name(), it)))?,
        note: object.text("note")?,
    })
}

fn check(object: &Object<'_>) -> Result<Check> {
    object.only(&[
        "id",
        "group",
        "title",
        "outcome",
        "enforcement",
        "code",
        "reason",
        "expected",
        "found",
        "reference",
    ])?;
    let absent_or_text = |name: &str| if object.has(name) { object.text(name).map(Some) } else { Ok(None) };
    Ok(Check {
        id: object.text("id")?,
        group: object.word("group", &Group::ALL.map(|it| (it.name(), it)))?,
        title: object.text("title")?,
        outcome: object.word("outcome", &Outcome::ALL.map(|it| (it.name(), it)))?,
        enforcement: object.word("enforcement", &Enforcement::ALL.map(|it| (it.name(), it)))?,
        code: if object.has("code") { object.optional_code("code")? } else { None },
        reason: absent_or_text("reason")?,
        expected: absent_or_text("expected")?,
        found: absent_or_text("found")?,
        reference: absent_or_text("reference")?,
    })
}

fn fact(object: &Object<'_>) -> Result<Fact> {
    object.only(&["name", "value"])?;
    Ok(Fact { name: object.text("name")?, value: object.text("value")? })
}

fn platform(object: &Object<'_>) -> Result<Platform> {
    object.only(&[
        "name",
        "tcb_status",
        "tcb_date",
        "advisories",
        "collateral_issued_at",
        "collateral_expires_at",
    ])?;
    Ok(Platform {
        name: object.text("name")?,
        tcb_status: object.optional_text("tcb_status")?,
        tcb_date: object.optional_time("tcb_date")?,
        advisories: object.texts("advisories")?,
        collateral_issued_at: object.optional_time("collateral_issued_at")?,
        collateral_expires_at: object.optional_time("collateral_expires_at")?,
    })
}

/// A verdict must be the one that the listed checks amount to, and its words must say so (threats T68 for the roots).
fn consistent(document: &Document) -> Result<()> {
    let contradiction = |member: &str, why: &str| Err(invalid(member).context(why));
    let counting = |outcome| {
        document.checks.iter().filter(move |check| counts(check) && check.outcome == outcome).count()
    };
    let (passed, failed, open) =
        (counting(Outcome::Pass), counting(Outcome::Fail), counting(Outcome::NotChecked));
    let fits = match document.verdict {
        Verdict::Verified => passed > 0 && failed == 0 && open == 0,
        Verdict::Refused => failed > 0,
        Verdict::Indeterminate => failed == 0,
    };
    if !fits {
        return contradiction("verdict", "It is not the verdict that the listed checks amount to.");
    }
    let verified = document.verdict == Verdict::Verified;
    if document.code.is_none() != verified || document.valid_until.is_some() != verified {
        return contradiction("code", "A verified report has an end of validity and no code; others a code.");
    }
    if (document.level.is_some() && !verified)
        || document.level.is_some() != document.missing_to_next_level.is_some()
    {
        return contradiction(
            "level",
            "Only a verified report has a level, and then what is missing to the next.",
        );
    }
    let words = document.verdict.words();
    let rest = document.headline.strip_prefix(words).unwrap_or("x");
    let says_custom = rest.starts_with(" against CUSTOM roots");
    let says_level = document.level.is_none_or(|level| rest.contains(&format!(", {} - ", level.name())));
    let says_verdict = !rest.starts_with(char::is_alphanumeric);
    if !says_verdict || !says_level || says_custom != (document.roots == Roots::Custom) {
        return contradiction("headline", "It does not say what the verdict, the level and the roots are.");
    }
    Ok(())
}

fn counts(check: &Check) -> bool {
    check.enforcement == Enforcement::Enforced
}

fn invalid(member: &str) -> Error {
    let error = Error::new(Code::ReportInvalid);
    if member.is_empty() { error } else { error.at(member) }
}

/// An object, and where it is.
struct Object<'a> {
    members: &'a [(String, Json)],
    path: String,
}

impl<'a> Object<'a> {
    fn of(json: &'a Json, path: &str) -> Result<Object<'a>> {
        match json.as_object() {
            Some(members) => Ok(Object { members, path: path.to_owned() }),
            None => Err(invalid(path).expected("an object")),
        }
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        invalid(&self.place(name)).expected(expected)
    }

    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    fn get(&self, name: &str) -> Result<&'a Json> {
        let found = self.members.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| value).ok_or_else(|| invalid(&self.place(name)).found("absent"))
    }

    /// Refuses members that are not known, naming the nearest that is.
    fn only(&self, known: &[&str]) -> Result<()> {
        match self.members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let error = invalid(&self.place(name)).found("a member that this version does not know");
                Err(match nearest(name, known.iter().copied()) {
                    Some(near) => error.context(format!("Did you mean `{near}`?")),
                    None => error,
                })
            }
        }
    }

    fn object(&self, name: &str) -> Result<Object<'a>> {
        Object::of(self.get(name)?, &self.place(name))
    }

    fn text_of(&self, name: &str, value: &Json) -> Result<String> {
        let text = value.as_str().ok_or_else(|| self.wrong(name, "a text"))?;
        if text.len() > REPORT_TEXT_MAX_BYTES.saturating_add(4) {
            return Err(Error::new(Code::LimitExceeded).at(self.place(name)));
        }
        if text.contains(is_invisible) {
            return Err(self.wrong(name, "a text without control or invisible characters"));
        }
        Ok(text.to_owned())
    }

    fn text(&self, name: &str) -> Result<String> {
        self.text_of(name, self.get(name)?)
    }

    fn optional_text(&self, name: &str) -> Result<Option<String>> {
        let value = self.get(name)?;
        if value.is_null() { Ok(None) } else { self.text_of(name, value).map(Some) }
    }

    fn optional_hex(&self, name: &str) -> Result<Option<String>> {
        let text = self.optional_text(name)?;
        let lower = |text: &String| hex::decode(text).is_some_and(|bytes| hex::encode(&bytes) == *text);
        if text.as_ref().is_some_and(|text| !lower(text)) {
            return Err(self.wrong(name, "lowercase hex"));
        }
        Ok(text)
    }

    /// `PV-` and three digits. Numbers of other versions are as good as those of this one.
    fn optional_code(&self, name: &str) -> Result<Option<String>> {
        let text = self.optional_text(name)?;
        let digits = |text: &String| {
            let number = text.strip_prefix("PV-").filter(|number| number.len() == 3);
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if text.as_ref().is_some_and(|text| !digits(text)) {
            return Err(self.wrong(name, "PV- and three digits"));
        }
        Ok(text)
    }

    fn time(&self, name: &str) -> Result<u64> {
        let number = self.get(name)?.as_u64().filter(|time| *time <= TIME_MAX);
        number.ok_or_else(|| self.wrong(name, "seconds since 1970 before the year 10000"))
    }

    fn optional_time(&self, name: &str) -> Result<Option<u64>> {
        if self.get(name)?.is_null() { Ok(None) } else { self.time(name).map(Some) }
    }

    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(name, &known.join(", ")).found(text)
        })
    }

    fn optional_word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        if self.get(name)?.is_null() { Ok(None) } else { self.word(name, words).map(Some) }
    }

    fn elements(&self, name: &str) -> Result<&'a [Json]> {
        let elements = self.get(name)?.as_array().ok_or_else(|| self.wrong(name, "an array"))?;
        if elements.len() > REPORT_LIST_MAX {
            return Err(Error::new(Code::LimitExceeded).at(self.place(name)));
        }
        Ok(elements)
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.elements(name)?.iter().map(|element| self.text_of(name, element)).collect()
    }

    fn list<T>(&self, name: &str, read: fn(&Object<'_>) -> Result<T>) -> Result<Vec<T>> {
        let elements = self.elements(name)?.iter().enumerate();
        elements
            .map(|(i, element)| read(&Object::of(element, &format!("{}[{i}]", self.place(name)))?))
            .collect()
    }
}
