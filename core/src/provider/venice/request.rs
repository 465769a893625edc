//! What a chat request to Venice may carry (protocols/venice.md 3.4, 6.3): every message text is sealed, a short list of tuning
//! members travels in clear as the caller wrote it, everything else is refused before anything is sent (threats T46, T48).

use zeroize::Zeroizing;

use super::models::{Model, ModelClass};
use crate::error::{Code, Error, Result};
use crate::openai::{
    MEDIA_PARTS, MESSAGE_MEMBERS, MemberKind, Message, REASONING_EFFORTS, ROLES, Raw, TOOL_ROLES,
    member_kind, read_messages, read_request,
};
use crate::wire::json::write_string;
use crate::wire::nearest;
use crate::wire::raw;

/// Longest number that is copied, in characters.
const NUMBER_MAX_CHARS: usize = 32;
/// Longest model id.
const MODEL_MAX_BYTES: usize = 256;

/// What a policy may loosen. Each is off by default and listed in every report when on (threats I4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relaxations {
    /// Let `stop` sequences travel in clear.
    pub allow_clear_stop: bool,
    /// Accept white space in clear in an answer, which an early server sent.
    pub allow_whitespace_plaintext: bool,
}

/// What is known of the provider's models.
#[derive(Clone, Copy, Debug)]
pub enum KnownModels<'a> {
    /// The whole catalogue.
    Catalogue(&'a [Model]),
    /// The ids of the models that take sealed texts.
    E2eeIds(&'a [&'a str]),
}

/// A message as it will be sealed.
#[cfg_attr(not(test), allow(dead_code, reason = "read when the proven endpoint seals"))]
pub(super) struct PlannedMessage {
    pub(super) role: String,
    pub(super) plaintext: Zeroizing<String>,
}

/// A request that may be sent once it is sealed. Holds plaintext, which is wiped on drop; has no `Debug`.
pub struct Plan {
    pub(super) model: String,
    pub(super) clear: Vec<(String, String)>,
    pub(super) messages: Vec<PlannedMessage>,
    asked_stream: Option<bool>,
}

impl Plan {
    /// The model id.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What will be sealed: JSON pointer and exact plaintext, in order.
    pub fn sealed_fields(&self) -> impl Iterator<Item = (String, &str)> {
        let fields = self.messages.iter().enumerate();
        fields.map(|(i, message)| (format!("/messages/{i}/content"), message.plaintext.as_str()))
    }

    /// `stream` on the wire: Venice opens sealed requests only when they are streamed.
    pub const fn wire_stream(&self) -> bool {
        true
    }

    /// `stream` as the caller gave it. Unless it is `true`, the caller expects one complete answer.
    pub const fn asked_stream(&self) -> Option<bool> {
        self.asked_stream
    }
}

/// Decides whether the caller's body may be sent, and what of it is sealed. With `known` absent the model is not looked up.
///
/// Errors: the input family (101-120), naming the member as a JSON pointer; `limit_exceeded`.
pub fn plan(body: &[u8], known: Option<KnownModels<'_>>, relaxations: Relaxations) -> Result<Plan> {
    let members = read_request(body)?;
    let model = members
        .iter()
        .find(|(name, _)| name == "model")
        .and_then(|(_, value)| value.as_string())
        .ok_or_else(|| Error::new(Code::MalformedRequest).at("/model").expected("a string"))?;
    check_model(&model, known)?;

    let mut plan =
        Plan { model: model.to_string(), clear: Vec::new(), messages: Vec::new(), asked_stream: None };
    for (name, value) in &members {
        let member = TopMember { name, value: *value };
        member.take(&mut plan, relaxations)?;
    }
    if plan.messages.is_empty() {
        return Err(Error::new(Code::NoMessages).at("/messages"));
    }
    // A caller who wants one complete answer also gets its token usage, as the API promises.
    if plan.asked_stream != Some(true) && !plan.clear.iter().any(|(name, _)| name == "stream_options") {
        plan.clear.push(("stream_options".to_owned(), "{\"include_usage\":true}".to_owned()));
    }
    Ok(plan)
}

pub(super) fn check_model(model: &str, known: Option<KnownModels<'_>>) -> Result<()> {
    if model.is_empty() || model.len() > MODEL_MAX_BYTES || model.chars().any(char::is_control) {
        return Err(Error::new(Code::InvalidArgument).at("/model").expected("a model id"));
    }
    // A suffix can switch web search or a character on, and no E2EE id has a colon.
    if model.contains(':') {
        return Err(Error::new(Code::ModelSuffix).at("/model").found(model));
    }
    match known {
        None => Ok(()),
        Some(KnownModels::E2eeIds(ids)) if ids.contains(&model) => Ok(()),
        Some(KnownModels::E2eeIds(ids)) => {
            Err(suggest(Error::new(Code::ModelNotE2ee), model, ids.iter().copied()))
        }
        Some(KnownModels::Catalogue(models)) => {
            let sealable = models.iter().filter(|model| model.class == ModelClass::E2ee);
            let ids = sealable.map(|model| model.id.as_str());
            match models.iter().find(|known| known.id == model) {
                Some(found) if found.class == ModelClass::E2ee => Ok(()),
                Some(found) => Err(Error::new(Code::ModelNotE2ee)
                    .at("/model")
                    .expected("e2ee")
                    .found(format!("{model} ({})", found.class.name()))),
                None => Err(suggest(Error::new(Code::UnknownModel), model, ids)),
            }
        }
    }
}

fn suggest<'a>(error: Error, model: &str, ids: impl Iterator<Item = &'a str>) -> Error {
    let error = error.at("/model").found(model);
    match nearest(model, ids) {
        Some(near) => error.context(format!("Did you mean `{near}`?")),
        None => error,
    }
}

/// A condition on a value.
type Holds = fn(Raw<'_>) -> bool;

/// A top-level member of the caller's body.
struct TopMember<'a> {
    name: &'a str,
    value: Raw<'a>,
}

impl TopMember<'_> {
    /// Puts the member into the plan, leaves it out when it says nothing, or refuses it.
    fn take(&self, plan: &mut Plan, relaxations: Relaxations) -> Result<()> {
        if self.name == "venice_parameters" {
            return check_venice_parameters(self.value);
        }
        let Some(kind) = member_kind(self.name) else {
            return Err(self.refuse(Code::UnknownField));
        };
        if self.value.is_null() {
            return Ok(());
        }
        match kind {
            MemberKind::Model => {}
            MemberKind::Messages => plan.messages = plan_messages(self.value)?,
            MemberKind::Stream => {
                plan.asked_stream = Some(self.value.as_bool().ok_or_else(|| self.wrong_type("a boolean"))?);
                return Ok(());
            }
            MemberKind::StreamOptions => self.check_members(&[("include_usage", is_bool)])?,
            MemberKind::Number => self.check(is_number, "a number")?,
            MemberKind::Integer => self.check(is_unsigned, "a non-negative integer")?,
            MemberKind::Seed => self.check(is_integer, "an integer")?,
            MemberKind::ReasoningEffort => self.check(is_effort, &REASONING_EFFORTS.join(", "))?,
            MemberKind::Reasoning => self.check_members(&[
                ("effort", is_effort),
                ("enabled", is_bool),
                ("exclude", is_bool),
                ("max_tokens", is_unsigned),
            ])?,
            MemberKind::ResponseFormat => {
                let members = self.value.members().unwrap_or_default();
                let text = |value: &Raw<'_>| value.as_string().is_some_and(|text| *text == "text");
                if !matches!(members.as_slice(), [(name, value)] if name == "type" && text(value)) {
                    return Err(self.refuse(Code::ResponseFormat));
                }
            }
            MemberKind::Stop if !relaxations.allow_clear_stop => return Err(self.refuse(Code::StopInClear)),
            MemberKind::Stop => self.check(is_stop, "a string or an array of strings")?,
            MemberKind::Tools => return Err(self.refuse(Code::Tools)),
            // The default, spelled out; the wire does without it.
            MemberKind::Logprobs if self.value.as_bool() == Some(false) => return Ok(()),
            MemberKind::Logprobs => return Err(self.refuse(Code::Logprobs)),
            MemberKind::WebSearch => return Err(self.refuse(Code::WebSearch)),
            MemberKind::CallerData => return Err(self.refuse(Code::UnknownField)),
        }
        if kind != MemberKind::Messages {
            plan.clear.push((self.name.to_owned(), self.value.text().to_owned()));
        }
        Ok(())
    }

    fn check(&self, holds: Holds, expected: &str) -> Result<()> {
        if holds(self.value) { Ok(()) } else { Err(self.wrong_type(expected)) }
    }

    /// An object with these members only; `null` is allowed for each.
    fn check_members(&self, allowed: &[(&str, Holds)]) -> Result<()> {
        for (name, value) in self.value.members().ok_or_else(|| self.wrong_type("an object"))? {
            let place = format!("{}/{}", pointer(self.name), escape(&name));
            match allowed.iter().find(|(known, _)| *known == name) {
                None => return Err(Error::new(Code::UnknownField).at(place)),
                Some((_, holds)) if value.is_null() || holds(value) => {}
                Some(_) => return Err(Error::new(Code::InvalidArgument).at(place)),
            }
        }
        Ok(())
    }

    fn refuse(&self, code: Code) -> Error {
        Error::new(code).at(pointer(self.name))
    }

    fn wrong_type(&self, expected: &str) -> Error {
        self.refuse(Code::InvalidArgument).expected(expected)
    }
}

fn is_bool(value: Raw<'_>) -> bool {
    value.as_bool().is_some()
}

fn is_number(value: Raw<'_>) -> bool {
    value.is_number() && value.text().len() <= NUMBER_MAX_CHARS
}

fn is_unsigned(value: Raw<'_>) -> bool {
    value.is_unsigned() && is_number(value)
}

fn is_integer(value: Raw<'_>) -> bool {
    let digits = value.text().strip_prefix('-').unwrap_or(value.text());
    is_number(value) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_effort(value: Raw<'_>) -> bool {
    value.as_string().is_some_and(|text| REASONING_EFFORTS.contains(&text.as_str()))
}

fn is_stop(value: Raw<'_>) -> bool {
    let texts = |values: Vec<Raw<'_>>| values.into_iter().all(|value| value.as_string().is_some());
    value.as_string().is_some() || value.elements().is_some_and(texts)
}

/// Members of `venice_parameters` that reach for the web unless they are off.
const SEARCH_PARAMETERS: &[&str] = &[
    "enable_web_search",
    "enable_web_scraping",
    "enable_web_citations",
    "enable_x_search",
    "include_search_results_in_stream",
    "return_search_results_as_documents",
];
/// Members that are fine as long as they are false.
const MUST_BE_FALSE: &[&str] = &["strip_thinking_response", "disable_thinking"];

/// Nothing of the caller's object is copied: the wire always carries the same two members.
fn check_venice_parameters(value: Raw<'_>) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    let place = pointer("venice_parameters");
    let members = value
        .members()
        .ok_or_else(|| Error::new(Code::InvalidArgument).at(place.as_str()).expected("an object"))?;
    for (name, value) in members {
        let off = value.is_null() || value.as_bool() == Some(false);
        let code = match name.as_ref() {
            "enable_e2ee" if value.is_null() || value.as_bool() == Some(true) => continue,
            "enable_e2ee" => Code::E2eeDisabled,
            _ if off => match name.as_ref() {
                "include_venice_system_prompt" | "character_slug" => continue,
                known if SEARCH_PARAMETERS.contains(&known) || MUST_BE_FALSE.contains(&known) => continue,
                _ => Code::UnknownField,
            },
            "include_venice_system_prompt" => Code::VeniceSystemPrompt,
            "character_slug" => Code::Character,
            "enable_web_search" if value.as_string().is_some_and(|text| *text == "off") => continue,
            known if SEARCH_PARAMETERS.contains(&known) => Code::WebSearch,
            _ => Code::UnknownField,
        };
        return Err(Error::new(code).at(format!("{place}/{}", escape(&name))));
    }
    Ok(())
}

fn plan_messages(value: Raw<'_>) -> Result<Vec<PlannedMessage>> {
    let messages = read_messages(value)
        .ok_or_else(|| Error::new(Code::MalformedRequest).at("/messages").expected("an array of objects"))?;
    messages.iter().enumerate().map(|(i, message)| plan_message(i, message)).collect()
}

fn plan_message(i: usize, message: &Message<'_>) -> Result<PlannedMessage> {
    let at = |code: Code, member: &str| Error::new(code).at(format!("/messages/{i}/{}", escape(member)));
    let role = message.role.and_then(Raw::as_string);
    let role = match role.as_ref().map(|role| role.as_str()) {
        Some(role) if TOOL_ROLES.contains(&role) => return Err(at(Code::Tools, "role")),
        Some(role) if ROLES.contains(&role) => role.to_owned(),
        _ => return Err(at(Code::UnencryptableField, "role").expected(ROLES.join(", "))),
    };
    for (name, value) in &message.others {
        let code = match name.as_ref() {
            known if value.is_null() && MESSAGE_MEMBERS.contains(&known) => continue,
            "tool_calls" | "tool_call_id" | "function_call" => Code::Tools,
            _ => Code::UnencryptableField,
        };
        return Err(at(code, name));
    }
    let unencryptable = || at(Code::UnencryptableContent, "content");
    let content = message.content.ok_or_else(unencryptable)?;
    let plaintext = match (content.as_string(), content.elements()) {
        (Some(text), _) if raw::is_array(&text) => wrap_as_part(&text),
        (Some(text), _) => text,
        (_, Some(parts)) => {
            check_parts(&parts).map_err(|code| at(code, "content"))?;
            let mut compact = Zeroizing::new(String::with_capacity(content.text().len()));
            raw::write_compact(content.text(), &mut compact).map_err(|_| Code::MalformedRequest)?;
            compact
        }
        _ => return Err(unencryptable()),
    };
    Ok(PlannedMessage { role, plaintext })
}

/// Both kinds of server turn a text that parses as a JSON array into parts; as the text of a part it stays a text.
fn wrap_as_part(text: &str) -> Zeroizing<String> {
    const HEAD: &str = "[{\"type\":\"text\",\"text\":";
    const TAIL: &str = "}]";
    // Room for every character in its longest escape, so that the buffer never moves and leaves no copy behind.
    let capacity = text.len().saturating_mul(6).saturating_add(HEAD.len()).saturating_add(TAIL.len());
    let mut out = Zeroizing::new(String::with_capacity(capacity.saturating_add(2)));
    out.push_str(HEAD);
    write_string(text, &mut out);
    out.push_str(TAIL);
    out
}

fn check_parts(parts: &[Raw<'_>]) -> Result<(), Code> {
    for part in parts {
        let members = part.members().ok_or(Code::UnencryptableContent)?;
        let text_of = |wanted: &str| {
            members.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.as_string())
        };
        let kind = text_of("type").ok_or(Code::UnencryptableContent)?;
        let is_media = |name: &str| MEDIA_PARTS.contains(&name);
        if is_media(&kind) || members.iter().any(|(name, _)| is_media(name)) {
            return Err(Code::MediaPart);
        }
        if *kind != "text" || text_of("text").is_none() {
            return Err(Code::UnencryptableContent);
        }
    }
    Ok(())
}

fn pointer(name: &str) -> String {
    format!("/{}", escape(name))
}

/// A member name inside a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
