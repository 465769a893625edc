//! What goes with a request, and what of it is refused (protocols/privatemode.md 7).

use super::super::ocsp::{OcspPolicy, OcspRule, OcspStatus};
use super::super::plan::shard_key_before_salt;
use super::super::salt::{SharedSalt, inject_salt};
use super::super::shard_key::{ShardKey, shard_key_of};
use super::super::version::ClientVersion;
use super::{Given, endpoint};
use crate::crypto::hmac_sha256;
use crate::error::{Code, Error, Result};
use crate::openai::ApiEndpoint;
use crate::openai::media::check_media;
use crate::openai::select::{BodyError, Document, Shape};
use crate::provider::inspect_input::{Input, Members, member, text_or_null, value_member};
use crate::secret::SecretText;
use crate::wire::json::Json;

pub(super) fn shard_key(input: &Input<'_>) -> Result<Members> {
    let salt = input.text("cache_salt")?;
    let key = if input.has("body") {
        let document = Document::parse(input.text("body")?).map_err(BodyError::in_request)?;
        shard_key_of(&document, salt)
    } else {
        let mut key = ShardKey::new(salt.as_bytes());
        key.push(input.text("content")?.as_bytes());
        key.finish()
    };
    Ok(vec![value_member("shard_key", text_or_null(key))])
}

pub(super) fn cache_salt(input: &Input<'_>) -> Result<Members> {
    let mut document = Document::parse(input.text("body")?).map_err(BodyError::in_request)?;
    let shared = input.optional_text("shared_salt")?;
    let shared = shared.map(|salt| SharedSalt::new(SecretText::new(salt.to_owned()))).transpose()?;
    let fresh = input.array::<32>("fresh")?;
    let key = match document.shape() {
        Shape::Object => shard_key_before_salt(&document, shared.as_ref())?,
        _ => None,
    };
    inject_salt(&mut document, shared.as_ref(), &mut Given(&fresh))?;
    Ok(vec![value_member("shard_key", text_or_null(key)), member("body", document.to_text()?.as_str())])
}

/// Checks the media of a request as its plan does: the number of remote images.
pub(super) fn check_media_of(document: &Document<'_>, endpoint: &ApiEndpoint) -> Result<usize> {
    match (endpoint, document.get("messages")) {
        (ApiEndpoint::ChatCompletions | ApiEndpoint::Messages, Some(messages)) => {
            Ok(check_media(messages, *endpoint == ApiEndpoint::Messages)?.remote_images)
        }
        _ => Ok(0),
    }
}

pub(super) fn media(input: &Input<'_>) -> Result<Members> {
    let document = Document::parse(input.text("body")?).map_err(BodyError::in_request)?;
    let remote = check_media_of(&document, &endpoint(input)?)?;
    Ok(vec![value_member("remote_images", Json::Number(remote.into()))])
}

fn policy(input: &Input<'_>) -> Result<OcspPolicy> {
    const ALL: [OcspRule; 3] = [OcspRule::Good, OcspRule::Revoked, OcspRule::Unknown];
    let names = input.texts("rules")?;
    let rules: Option<Vec<OcspRule>> =
        names.iter().map(|name| ALL.into_iter().find(|rule| rule.name() == *name)).collect();
    let rules = rules.ok_or_else(|| {
        Error::new(Code::InvalidArgument).at("rules").expected(ALL.map(OcspRule::name).join(", "))
    })?;
    OcspPolicy::new(rules, input.integer("revocation_time_not_before")?)
}

pub(super) fn ocsp_policy(input: &Input<'_>) -> Result<Members> {
    let secret = input.secret::<32>("secret")?;
    let hmac = |message: &[u8]| hmac_sha256(secret.expose(), &[message]);
    if input.has("rules") {
        let policy = policy(input)?;
        return Ok(vec![member("header", policy.header()), member("mac", policy.mac(hmac))]);
    }
    let read = OcspPolicy::from_headers(input.text("header")?, input.text("mac")?, hmac);
    let mut members = vec![value_member("valid", Json::Bool(read.is_some()))];
    if let Some(policy) = read {
        let rules = policy.rules().iter().map(|rule| Json::String(rule.name().to_owned()));
        members.push(value_member("rules", Json::Array(rules.collect())));
        let not_before = Json::Number(policy.not_before_unix_s().into());
        members.push(value_member("revocation_time_not_before", not_before));
    }
    Ok(members)
}

pub(super) fn ocsp_status(input: &Input<'_>) -> Result<Members> {
    let status = match input.text("status")? {
        "GOOD" => OcspStatus::Good,
        "UNKNOWN" => OcspStatus::Unknown,
        "REVOKED" => OcspStatus::Revoked(input.integer("revoked_at")?),
        other => {
            return Err(Error::new(Code::InvalidArgument)
                .at("status")
                .expected("GOOD, UNKNOWN or REVOKED")
                .found(other));
        }
    };
    Ok(vec![value_member("accepted", Json::Bool(policy(input)?.accepts(status)))])
}

pub(super) fn version(input: &Input<'_>) -> Result<Members> {
    let text = input.text("version")?;
    let wanted: Option<Vec<u64>> = input.list("at_least")?.iter().map(Json::as_u64).collect();
    let Some([major, minor]) = wanted.as_deref() else {
        return Err(Error::new(Code::InvalidArgument).at("at_least").expected("a major and a minor version"));
    };
    let claimed = ClientVersion::parse(text);
    Ok(vec![
        value_member("result", Json::Bool(ClientVersion::header_is_at_least(text, *major, *minor))),
        value_member("usable", Json::Bool(claimed.is_ok())),
    ])
}
