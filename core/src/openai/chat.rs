//! The chat completions request: which members exist, and a walk over a body that borrows every value as the caller wrote it.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::limits::REQUEST_MAX_BYTES;
use crate::wire::json::{JsonError, raw_members};
use crate::wire::raw;

/// What a top-level member of the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// `model`
    Model,
    /// `messages`
    Messages,
    /// `stream`
    Stream,
    /// `stream_options`
    StreamOptions,
    /// A number that tunes sampling.
    Number,
    /// A non-negative integer.
    Integer,
    /// `seed`: any integer.
    Seed,
    /// `reasoning_effort`
    ReasoningEffort,
    /// `reasoning`
    Reasoning,
    /// `response_format`
    ResponseFormat,
    /// `stop`
    Stop,
    /// Tool definitions and choices.
    Tools,
    /// `logprobs`, `top_logprobs`
    Logprobs,
    /// `web_search_options`
    WebSearch,
    /// A member that carries caller data or names stored things.
    CallerData,
}

/// Top-level members of a chat completion request.
pub const REQUEST_MEMBERS: &[(&str, MemberKind)] = &[
    ("model", MemberKind::Model),
    ("messages", MemberKind::Messages),
    ("stream", MemberKind::Stream),
    ("stream_options", MemberKind::StreamOptions),
    ("temperature", MemberKind::Number),
    ("top_p", MemberKind::Number),
    ("top_k", MemberKind::Number),
    ("min_p", MemberKind::Number),
    ("frequency_penalty", MemberKind::Number),
    ("presence_penalty", MemberKind::Number),
    ("repetition_penalty", MemberKind::Number),
    ("max_tokens", MemberKind::Integer),
    ("max_completion_tokens", MemberKind::Integer),
    ("n", MemberKind::Integer),
    ("seed", MemberKind::Seed),
    ("reasoning_effort", MemberKind::ReasoningEffort),
    ("reasoning", MemberKind::Reasoning),
    ("response_format", MemberKind::ResponseFormat),
    ("stop", MemberKind::Stop),
    ("tools", MemberKind::Tools),
    ("tool_choice", MemberKind::Tools),
    ("parallel_tool_calls", MemberKind::Tools),
    ("functions", MemberKind::Tools),
    ("function_call", MemberKind::Tools),
    ("logprobs", MemberKind::Logprobs),
    ("top_logprobs", MemberKind::Logprobs),
    ("web_search_options", MemberKind::WebSearch),
    ("audio", MemberKind::CallerData),
    ("logit_bias", MemberKind::CallerData),
    ("metadata", MemberKind::CallerData),
    ("modalities", MemberKind::CallerData),
    ("moderation", MemberKind::CallerData),
    ("prediction", MemberKind::CallerData),
    ("prompt_cache_key", MemberKind::CallerData),
    ("prompt_cache_options", MemberKind::CallerData),
    ("prompt_cache_retention", MemberKind::CallerData),
    ("safety_identifier", MemberKind::CallerData),
    ("service_tier", MemberKind::CallerData),
    ("store", MemberKind::CallerData),
    ("user", MemberKind::CallerData),
    ("verbosity", MemberKind::CallerData),
];

/// The kind of a top-level member; `None` for a name that the API does not have.
pub fn member_kind(name: &str) -> Option<MemberKind> {
    REQUEST_MEMBERS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Members of a message besides `role` and `content`. A `null` in one of them says nothing.
pub const MESSAGE_MEMBERS: &[&str] = &[
    "name",
    "refusal",
    "audio",
    "annotations",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "reasoning_content",
    "reasoning",
];

/// Roles of a message that the API has, apart from those of tool results.
pub const ROLES: &[&str] = &["system", "developer", "user", "assistant"];
/// Roles of tool results.
pub const TOOL_ROLES: &[&str] = &["tool", "function"];
/// Values of `reasoning_effort`.
pub const REASONING_EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// Types of content parts that are not text.
pub const MEDIA_PARTS: &[&str] = &[
    "image_url",
    "input_image",
    "image",
    "input_audio",
    "audio",
    "audio_url",
    "video_url",
    "input_video",
    "video",
    "file",
    "input_file",
];

/// A JSON value as the caller wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text of the value.
    pub const fn text(self) -> &'a str {
        self.0
    }

    /// True for `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Value of a boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// True for a number.
    pub fn is_number(self) -> bool {
        self.0.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }

    /// True for a number without sign, fraction and exponent.
    pub fn is_unsigned(self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Value of a string, in memory that is wiped.
    pub fn as_string(self) -> Option<Zeroizing<String>> {
        raw::decode_string(self.0).ok()
    }

    /// Elements of an array.
    pub fn elements(self) -> Option<Vec<Raw<'a>>> {
        if !self.0.starts_with('[') {
            return None;
        }
        Some(raw::elements(self.0).ok()?.into_iter().map(|value| Raw(value.get())).collect())
    }

    /// Members of an object in order.
    pub fn members(self) -> Option<Vec<(Cow<'a, str>, Raw<'a>)>> {
        if !self.0.starts_with('{') {
            return None;
        }
        let members = raw_members(self.0).ok()?;
        Some(members.into_iter().map(|(name, value)| (name, Raw(value.get()))).collect())
    }
}

/// A message of the request.
#[derive(Debug)]
pub struct Message<'a> {
    /// `role`.
    pub role: Option<Raw<'a>>,
    /// `content`.
    pub content: Option<Raw<'a>>,
    /// Everything else, in order.
    pub others: Vec<(Cow<'a, str>, Raw<'a>)>,
}

/// Reads a request body: one JSON object in UTF-8 without duplicate members at any level. Gives its members in order.
///
/// Errors: `limit_exceeded`, `malformed_request`, `duplicate_member`.
pub fn read_request(body: &[u8]) -> Result<Vec<(Cow<'_, str>, Raw<'_>)>> {
    if body.len() > REQUEST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("request body"));
    }
    let text = std::str::from_utf8(body).map_err(|_| Code::MalformedRequest)?;
    raw::check(text).map_err(|error| match error {
        JsonError::Malformed => Code::MalformedRequest,
        JsonError::DuplicateMember => Code::DuplicateMember,
    })?;
    Raw(text.trim_ascii()).members().ok_or_else(|| Error::new(Code::MalformedRequest))
}

/// Reads the value of `messages`; `None` when it is no array of objects.
pub fn read_messages(value: Raw<'_>) -> Option<Vec<Message<'_>>> {
    value.elements()?.into_iter().map(read_message).collect()
}

fn read_message(value: Raw<'_>) -> Option<Message<'_>> {
    let mut message = Message { role: None, content: None, others: Vec::new() };
    for (name, value) in value.members()? {
        match name.as_ref() {
            "role" => message.role = Some(value),
            "content" => message.content = Some(value),
            _ => message.others.push((name, value)),
        }
    }
    Some(message)
}
