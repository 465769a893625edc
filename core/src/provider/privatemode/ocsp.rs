//! What a caller accepts of the revocation states of a worker's GPUs (protocols/privatemode.md 7.3): header text, its MAC, and the
//! worker's decision for one state.
//!
//! The MAC is made by a function of the caller's, because its key is the secret of the exchange.

use crate::error::{Code, Error, Result};
use crate::secret::constant_time_eq;
use crate::wire::hex;

/// Longest header text that is read.
const HEADER_MAX_BYTES: usize = 1024;
const RULES: &str = "rules=";
const NOT_BEFORE: &str = "revocation-time-not-before=";

/// A state that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspRule {
    /// Not revoked.
    Good,
    /// Revoked, but not before the given time.
    Revoked,
    /// The responder does not know, or could not be reached.
    Unknown,
}

impl OcspRule {
    const ALL: [OcspRule; 3] = [OcspRule::Good, OcspRule::Revoked, OcspRule::Unknown];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            OcspRule::Good => "allow-good",
            OcspRule::Revoked => "allow-revoked",
            OcspRule::Unknown => "allow-unknown",
        }
    }

    fn parse(name: &str) -> Option<OcspRule> {
        OcspRule::ALL.into_iter().find(|rule| rule.name().eq_ignore_ascii_case(name))
    }
}

/// Revocation state of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspStatus {
    /// `GOOD`
    Good,
    /// `UNKNOWN`
    Unknown,
    /// `REVOKED`, at this time in seconds since 1970.
    Revoked(i64),
}

/// Which states a request accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspPolicy {
    rules: Vec<OcspRule>,
    /// Seconds since 1970.
    not_before_unix_s: i64,
}

impl OcspPolicy {
    /// A policy with these rules in this order, at least one.  Fails with `config_invalid`.
    pub fn new(rules: Vec<OcspRule>, not_before_unix_s: i64) -> Result<OcspPolicy> {
        if rules.is_empty() {
            return Err(Error::new(Code::ConfigInvalid).at("OCSP rules").expected("at least one rule"));
        }
        Ok(OcspPolicy { rules, not_before_unix_s })
    }

    /// Only what is not revoked, now and before.
    pub fn strict(now_unix_s: u64) -> OcspPolicy {
        OcspPolicy { rules: vec![OcspRule::Good], not_before_unix_s: seconds(now_unix_s) }
    }

    /// What the vendor's own client builds from its two settings: states that are unknown, and a time in seconds during which a revoked
    /// component is still accepted. A grace without unknown states is `config_invalid`, as there.
    pub fn with_grace(now_unix_s: u64, allow_unknown: bool, grace_s: u64) -> Result<OcspPolicy> {
        if grace_s > 0 && !allow_unknown {
            return Err(Error::new(Code::ConfigInvalid)
                .at("OCSP grace period")
                .expected("none when unknown states are not accepted"));
        }
        let mut rules = vec![OcspRule::Good];
        rules.extend((grace_s > 0).then_some(OcspRule::Revoked));
        rules.extend(allow_unknown.then_some(OcspRule::Unknown));
        Ok(OcspPolicy { rules, not_before_unix_s: seconds(now_unix_s).saturating_sub(seconds(grace_s)) })
    }

    /// The rules in order.
    pub fn rules(&self) -> &[OcspRule] {
        &self.rules
    }

    /// Seconds since 1970 before which nothing may have been revoked.
    pub const fn not_before_unix_s(&self) -> i64 {
        self.not_before_unix_s
    }

    /// The header text.
    pub fn header(&self) -> String {
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.name()).collect();
        format!("{RULES}{}; {NOT_BEFORE}{}", rules.join(","), self.not_before_unix_s)
    }

    /// The MAC header of the header text. `hmac` is HMAC-SHA256 under the secret of the exchange.
    pub fn mac(&self, hmac: impl Fn(&[u8]) -> [u8; 32]) -> String {
        hex::encode(&hmac(self.header().as_bytes()))
    }

    /// What a worker makes of the two headers: parts in any order, rule names in any case, what follows the number ignored; the MAC is
    /// that of the text as [`OcspPolicy::header`] writes it. `None` when it refuses them.
    pub fn from_headers(header: &str, mac: &str, hmac: impl Fn(&[u8]) -> [u8; 32]) -> Option<OcspPolicy> {
        let policy = OcspPolicy::parse(header)?;
        constant_time_eq(policy.mac(hmac).as_bytes(), mac.as_bytes()).then_some(policy)
    }

    fn parse(header: &str) -> Option<OcspPolicy> {
        if header.len() > HEADER_MAX_BYTES {
            return None;
        }
        let (mut rules, mut not_before, mut parts) = (None, None, 0_usize);
        for part in header.split("; ") {
            parts = parts.saturating_add(1);
            if let Some(names) = part.strip_prefix(RULES) {
                rules = Some(names.split(',').map(OcspRule::parse).collect::<Option<Vec<_>>>()?);
            } else {
                not_before = Some(leading_integer(part.strip_prefix(NOT_BEFORE)?)?);
            }
        }
        if parts != 2 {
            return None;
        }
        OcspPolicy::new(rules?, not_before?).ok()
    }

    /// A worker's decision for the state of one component.
    pub fn accepts(&self, status: OcspStatus) -> bool {
        match status {
            OcspStatus::Good => self.rules.contains(&OcspRule::Good),
            OcspStatus::Unknown => self.rules.contains(&OcspRule::Unknown),
            OcspStatus::Revoked(at) => {
                self.rules.contains(&OcspRule::Revoked) && at >= self.not_before_unix_s
            }
        }
    }
}

fn seconds(unix_s: u64) -> i64 {
    i64::try_from(unix_s).unwrap_or(i64::MAX)
}

/// The integer at the start of a text, with space before it, as the worker's scanner reads it.
fn leading_integer(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(' ');
    let sign = text.starts_with(['-', '+']);
    let digits = text.bytes().skip(usize::from(sign)).take_while(|byte| byte.is_ascii_digit()).count();
    text.get(..digits.saturating_add(usize::from(sign)))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let header = |policy: OcspPolicy| policy.header();
        assert_eq!(
            header(OcspPolicy::strict(1_760_000_400)),
            "rules=allow-good; revocation-time-not-before=1760000400"
        );
        let defaults = OcspPolicy::with_grace(1_760_000_400, true, 48 * 3600).unwrap();
        assert_eq!(
            header(defaults),
            "rules=allow-good,allow-revoked,allow-unknown; revocation-time-not-before=1759827600"
        );
        let unknown = OcspPolicy::with_grace(1_760_000_400, true, 0).unwrap();
        assert_eq!(header(unknown), "rules=allow-good,allow-unknown; revocation-time-not-before=1760000400");
        assert_eq!(OcspPolicy::with_grace(1, false, 1).unwrap_err().code(), Code::ConfigInvalid);
        assert_eq!(OcspPolicy::new(Vec::new(), 0).unwrap_err().code(), Code::ConfigInvalid);
        assert_eq!(OcspPolicy::with_grace(0, true, u64::MAX).unwrap().not_before_unix_s(), -i64::MAX);
    }

    #[test]
    fn texts_that_workers_take() {
        for (text, takes) in [
            ("rules=allow-good; revocation-time-not-before=1", true),
            ("revocation-time-not-before=1; rules=allow-good", true),
            ("rules=ALLOW-Good; revocation-time-not-before=+1x", true),
            ("rules=allow-good;revocation-time-not-before=1", false),
            ("rules=allow-good; rules=allow-good", false),
            ("rules=; revocation-time-not-before=1", false),
            ("rules=allow-good; revocation-time-not-before=", false),
            ("rules=allow-good; revocation-time-not-before=99999999999999999999", false),
            ("rules=allow-good; revocation-time-not-before=1; x=y", false),
            ("", false),
        ] {
            assert_eq!(OcspPolicy::parse(text).is_some(), takes, "{text}");
        }
    }
}
