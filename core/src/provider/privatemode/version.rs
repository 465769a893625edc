//! The version that a client claims (protocols/privatemode.md 7.4): servers choose behaviour by its major and minor part.

use crate::error::{Code, Error, Result};

/// Longest version text.
const VERSION_MAX_BYTES: usize = 64;

/// A semantic version with a leading `v`. Shorter forms (`v1`, `v1.40`) count as ending in zeros, as servers read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientVersion {
    text: String,
    major: u64,
    minor: u64,
}

impl ClientVersion {
    /// What this client is compatible with: the release that it was written against.
    pub fn compatible() -> ClientVersion {
        ClientVersion { text: "v1.40.0".to_owned(), major: 1, minor: 40 }
    }

    /// Reads a version for the header. Fails with `config_invalid`.
    pub fn parse(text: &str) -> Result<ClientVersion> {
        let refuse = || {
            Error::new(Code::ConfigInvalid)
                .at("version")
                .expected("v and a semantic version, such as v1.40.0")
        };
        let (major, minor) = read(text).ok_or_else(refuse)?;
        Ok(ClientVersion { text: text.to_owned(), major, minor })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when the version is this one or later; patch and prerelease do not count.
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// What a server makes of the header: a text that is no version is older than all.
    pub fn header_is_at_least(header: &str, major: u64, minor: u64) -> bool {
        read(header).is_some_and(|version| version >= (major, minor))
    }
}

/// Major and minor part.
fn read(text: &str) -> Option<(u64, u64)> {
    if text.len() > VERSION_MAX_BYTES {
        return None;
    }
    let text = text.strip_prefix('v')?;
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, prerelease) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
    let mut numbers = core.split('.');
    let major = number(numbers.next()?)?;
    let minor = numbers.next().map_or(Some(0), number)?;
    let patch = numbers.next().map(|patch| number(patch).is_some());
    let complete = patch == Some(true) && numbers.next().is_none();
    let short = patch.is_none() && build.is_none() && prerelease.is_none();
    let suffixes = prerelease.is_none_or(|text| is_suffix(text, false))
        && build.is_none_or(|text| is_suffix(text, true));
    ((complete || short) && suffixes).then_some((major, minor))
}

/// A number without leading zeros; one that does not fit is larger than any that is asked for.
fn number(text: &str) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Identifiers joined by dots; numbers among them have no leading zeros, except in build metadata.
fn is_suffix(text: &str, is_build: bool) -> bool {
    text.split('.').all(|part| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && (is_build || !is_number || number(part).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_versions() {
        for (text, expected) in [
            ("v1.40.0", Some((1, 40))),
            ("v1.40", Some((1, 40))),
            ("v1", Some((1, 0))),
            ("v0.0.0-dev", Some((0, 0))),
            ("v1.2.3-rc.1+build.007", Some((1, 2))),
            ("v99999999999999999999.0.0", Some((u64::MAX, 0))),
            ("v1.2-rc", None),
            ("v1.2.3-", None),
            ("v1.2.3-01", None),
            ("v1.2.3.4", None),
            ("v1..3", None),
            ("v", None),
            ("V1.2.3", None),
            ("v1.2.3\r\nx: y", None),
            ("v-1.2.3", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
            assert_eq!(ClientVersion::parse(text).is_ok(), expected.is_some());
        }
        let ours = ClientVersion::compatible();
        assert_eq!(ClientVersion::parse(ours.as_str()), Ok(ours));
    }
}
