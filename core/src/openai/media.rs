//! Media that messages name by address: which addresses an enclave takes (protocols/privatemode.md 6.5).
//!
//! Images may be `https` or `data` URLs, audio and video may not be named by address at all. Looked for where the server looks: in the
//! content parts of messages, and for Anthropic's shape in their sources and in tool results. A caller gets the refusal before anything
//! is sent; the enclave checks again.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem::Finder;

use crate::error::{Code, Error, Result};
use crate::wire::scan;

/// Members of a content part that hold an address, and whether images are behind them.
const ADDRESSES: &[(&str, bool)] = &[("image_url", true), ("audio_url", false), ("video_url", false)];
/// How deep tool results are followed into each other.
const MAX_RESULT_DEPTH: usize = 4;

/// What was found besides refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaFound {
    /// Images that the enclave will fetch from elsewhere: whoever serves them, and whoever sees the enclave's traffic, learns of it.
    pub remote_images: usize,
}

/// Checks the value of `messages`, a JSON text whose grammar was checked. `sources` is for Anthropic's shape.
///
/// Fails with `media_url`, naming the place and nothing of the address.
pub fn check_media(messages: &str, sources: bool) -> Result<MediaFound> {
    let mut found = MediaFound::default();
    if !may_have_media(messages, sources) {
        return Ok(found);
    }
    for (at, message) in elements(messages).into_iter().enumerate() {
        for (_, content) in members(message).into_iter().filter(|(name, _)| *name == "content") {
            check_content(content, sources, &format!("messages[{at}].content"), 0, &mut found)?;
        }
    }
    Ok(found)
}

/// False when no member name of interest can be there: most conversations have none, and searching is much faster than walking. A name
/// can also be written with escapes.
fn may_have_media(messages: &str, sources: bool) -> bool {
    // Made once: for a short conversation that takes longer than the search.
    static NAMES: OnceLock<[Finder<'static>; 3]> = OnceLock::new();
    let [url, escape, source] = NAMES.get_or_init(|| ["_url", "\\u00", "source"].map(Finder::new));
    let has = |name: &Finder<'_>| name.find(messages.as_bytes()).is_some();
    has(url) || has(escape) || (sources && has(source))
}

fn check_content(
    content: &str,
    sources: bool,
    path: &str,
    depth: usize,
    found: &mut MediaFound,
) -> Result<()> {
    for (at, part) in elements(content).into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        for (name, value) in members(part) {
            if let Some((_, is_image)) = ADDRESSES.iter().find(|(known, _)| *known == name) {
                check_address(value, *is_image, &format!("{path}.{name}"), found)?;
            } else if sources && name == "source" {
                check_source(value, &format!("{path}.source.url"), found)?;
            } else if sources && name == "content" && depth < MAX_RESULT_DEPTH {
                check_content(value, sources, &format!("{path}.content"), depth.saturating_add(1), found)?;
            }
        }
    }
    Ok(())
}

/// Checks an address: `null`, a text, or `{"url": text}`. Anything else in its place is refused by the enclave, or by the model server after it.
fn check_address(value: &str, is_image: bool, path: &str, found: &mut MediaFound) -> Result<()> {
    match value.as_bytes().first() {
        // Some libraries write a member that is not there like this.
        Some(b'n') => Ok(()),
        Some(b'"') => check_url(value, is_image, path, found),
        Some(b'{') if is_image => {
            let members = members(value);
            // A server can read a name in capitals as the same one, or as none.
            let named: Vec<_> = members.iter().filter(|(name, _)| name.eq_ignore_ascii_case("url")).collect();
            match named.as_slice() {
                [(name, url)] if name == "url" && url.starts_with('"') => {
                    check_url(url, is_image, path, found)
                }
                _ => Err(not_an_address(path)),
            }
        }
        _ => Err(not_an_address(path)),
    }
}

fn not_an_address(path: &str) -> Error {
    Error::new(Code::MediaUrl).at(path).expected("an https or data URL for an image, no audio or video")
}

/// Checks a source of the messages API: one of type `url` has exactly one address; others are not named by one.
fn check_source(source: &str, path: &str, found: &mut MediaFound) -> Result<()> {
    let members = members(source);
    let is_address = members.iter().any(|(name, value)| {
        *name == "type" && scan::string_text(value).is_some_and(|kind| kind.eq_ignore_ascii_case("url"))
    });
    let named: Vec<_> = members.iter().filter(|(name, _)| name.eq_ignore_ascii_case("url")).collect();
    match named.as_slice() {
        [] if !is_address => Ok(()),
        [(name, url)] if name == "url" && url.starts_with('"') => check_url(url, true, path, found),
        [(_, null)] if *null == "null" && !is_address => Ok(()),
        _ => Err(not_an_address(path)),
    }
}

fn check_url(quoted: &str, is_image: bool, path: &str, found: &mut MediaFound) -> Result<()> {
    let refuse = || Error::new(Code::MediaUrl).at(path);
    if !is_image {
        return Err(refuse());
    }
    // Escapes are not worth decoding a picture of megabytes: the scheme of a genuine address has none.
    let start = quoted.get(1..).unwrap_or_default().as_bytes();
    let begins =
        |scheme: &[u8]| start.get(..scheme.len()).is_some_and(|have| have.eq_ignore_ascii_case(scheme));
    if begins(b"https:") {
        found.remote_images = found.remote_images.saturating_add(1);
        return Ok(());
    }
    if begins(b"data:") { Ok(()) } else { Err(refuse().expected("an https or data URL")) }
}

/// Elements of an array as written; none of anything else.
fn elements(text: &str) -> Vec<&str> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    match scan::each_element(text, 0, |span| spans.push(span)) {
        Ok(_) => spans.into_iter().filter_map(|span| text.get(span)).collect(),
        Err(_) => Vec::new(),
    }
}

/// Members of an object, all of a name, as written; none of anything else.
fn members(text: &str) -> Vec<(std::borrow::Cow<'_, str>, &str)> {
    let mut members = Vec::new();
    let read = scan::each_member(text, 0, |name, span| members.push((name, span)));
    if read.is_err() {
        return Vec::new();
    }
    let decoded = |(name, span): (_, Range<usize>)| Some((scan::string_text(name)?, text.get(span)?));
    members.into_iter().filter_map(decoded).collect()
}
