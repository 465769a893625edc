//! What the enclave demands of an opened request before it goes to the model (privatemode.md 6.5, 7.1, 10.6).

use proveil_core::wire::json::Json;

/// Bytes that a cache salt has at least.
const SALT_MIN_BYTES: usize = 32;

/// Refuses a request without a proper cache salt; the error is the enclave's text.
pub fn cache_salt(request: &Json) -> Result<(), String> {
    let salt = request.get("cache_salt").and_then(Json::as_str).ok_or("missing field 'cache_salt'")?;
    if salt.len() < SALT_MIN_BYTES {
        return Err(format!("cache_salt must be at least {SALT_MIN_BYTES} characters long"));
    }
    Ok(())
}

/// Refuses media that the enclave would have to fetch in an unsafe way, in the OpenAI form.
pub fn openai_media(request: &Json) -> Result<(), String> {
    parts(request).try_for_each(|part| {
        let member = |name| part.get(name).filter(|value| !value.is_null());
        if member("audio_url").is_some() {
            return Err("audio URLs are not allowed".to_owned());
        }
        if member("video_url").is_some() {
            return Err("video URLs are not allowed".to_owned());
        }
        let Some(image) = member("image_url") else { return Ok(()) };
        let url = image.as_str().or_else(|| image.get("url").and_then(Json::as_str));
        secure(url.unwrap_or_default())
    })
}

/// The same in the form of the messages API, where a tool's result may carry parts of its own.
pub fn anthropic_media(request: &Json) -> Result<(), String> {
    let inner = |part: &Json| part.get("content").and_then(Json::as_array).unwrap_or_default().to_vec();
    parts(request).flat_map(|part| inner(part).into_iter().chain([part.clone()])).try_for_each(|part| {
        let source = part.get("source").filter(|source| is(source, "type", "url"));
        source.map_or(Ok(()), |source| secure(source.get("url").and_then(Json::as_str).unwrap_or_default()))
    })
}

fn parts(request: &Json) -> impl Iterator<Item = &Json> {
    let messages = request.get("messages").and_then(Json::as_array).unwrap_or_default();
    messages.iter().flat_map(|message| message.get("content").and_then(Json::as_array).unwrap_or_default())
}

fn is(value: &Json, member: &str, text: &str) -> bool {
    value.get(member).and_then(Json::as_str) == Some(text)
}

fn secure(url: &str) -> Result<(), String> {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if matches!(scheme.as_str(), "https" | "data") && url.contains(':') {
        Ok(())
    } else {
        Err("image URL with this scheme is insecure".to_owned())
    }
}
