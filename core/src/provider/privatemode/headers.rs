//! What a request carries besides its body (protocols/privatemode.md 2.5): these headers and no others. What the caller sent is not passed
//! on (threats T47), except for what is listed here.

use super::plan::RequestPlan;
use super::version::ClientVersion;
use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::openai::ApiEndpoint;
use crate::wire::hex;

/// Longest value of a header; a shard key has at most 2,612 characters.
const VALUE_MAX_BYTES: usize = 4096;

/// What does not depend on the body. `Authorization` is added where the request is built, because it is a secret.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFacts<'a> {
    /// Version that is claimed.
    pub version: &'a ClientVersion,
    /// Id of the exchange's secret.
    pub secret_id: &'a str,
    /// `Privatemode-NVIDIA-OCSP-Policy` and its MAC.
    pub ocsp: Option<(&'a str, &'a str)>,
    /// Made by [`request_id`], another for each attempt.
    pub request_id: &'a str,
    /// Our own name and version.
    pub user_agent: &'a str,
}

/// The headers of a planned request, names in lower case. Fails with `invalid_argument` when a value cannot be one.
pub fn request_headers(
    plan: &RequestPlan<'_>,
    facts: &HeaderFacts<'_>,
) -> Result<Vec<(&'static str, String)>> {
    let mut headers = vec![
        ("privatemode-version", facts.version.as_str().to_owned()),
        ("user-agent", facts.user_agent.to_owned()),
        ("privatemode-user-request-id", facts.request_id.to_owned()),
        // Never only the stream's type: then errors come in a form that no parser of event streams reads.
        (
            "accept",
            if plan.streams() { "text/event-stream, application/json" } else { "application/json" }
                .to_owned(),
        ),
    ];
    if *plan.endpoint() != ApiEndpoint::Models {
        headers.push(("privatemode-client", "SDK".to_owned()));
        headers.push(("privatemode-secret-id", facts.secret_id.to_owned()));
        if let Some((policy, mac)) = facts.ocsp {
            headers.push(("privatemode-nvidia-ocsp-policy", policy.to_owned()));
            headers.push(("privatemode-nvidia-ocsp-policy-mac", mac.to_owned()));
        }
    }
    let of_body = [
        ("content-type", plan.content_type()),
        ("privatemode-target-model", plan.model()),
        ("privatemode-shard-key", plan.shard_key()),
    ];
    headers.extend(of_body.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))));
    match headers.iter().find(|(_, value)| !is_header_value(value)) {
        None => Ok(headers),
        Some((name, _)) => {
            Err(Error::new(Code::InvalidArgument).at(*name).expected("printable ASCII characters"))
        }
    }
}

fn is_header_value(value: &str) -> bool {
    (1..=VALUE_MAX_BYTES).contains(&value.len()) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// True for a header of a local caller that may go on to the service: a value that many share and that says nothing of the caller.
pub fn caller_header_passes(endpoint: &ApiEndpoint, name: &str, value: &str) -> bool {
    *endpoint == ApiEndpoint::Messages && name.eq_ignore_ascii_case("anthropic-version") && is_date(value)
}

/// `2023-06-01`
fn is_date(value: &str) -> bool {
    value.len() == 10
        && value.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// A request id of our own: `sdk_` and a UUID of version 7 (RFC 9562 section 5.7) for a time in milliseconds since 1970. Fails with
/// `random_failed`.
pub fn request_id(at_unix_ms: u64, random: &mut dyn SecureRandom) -> Result<String> {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes)?;
    let [_, _, t0, t1, t2, t3, t4, t5] = at_unix_ms.to_be_bytes();
    let [time @ .., _, _, _, _, _, _, _, _, _, _] = &mut bytes;
    *time = [t0, t1, t2, t3, t4, t5];
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x70;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex::encode(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok(format!("sdk_{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;

    impl SecureRandom for Ones {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            out.fill(0xff);
            Ok(())
        }
    }

    #[test]
    fn request_ids_are_uuids_of_version_7() {
        // The time of RFC 9562 appendix A.6.
        assert_eq!(
            request_id(0x017f_22e2_79b0, &mut Ones).unwrap(),
            "sdk_017f22e2-79b0-7fff-bfff-ffffffffffff"
        );
    }

    /// T47: nothing of the caller's but a shared constant.
    #[test]
    fn caller_headers() {
        for (endpoint, name, value, passes) in [
            (ApiEndpoint::Messages, "Anthropic-Version", "2023-06-01", true),
            (ApiEndpoint::Messages, "anthropic-version", "CANARY", false),
            (ApiEndpoint::Messages, "anthropic-version", "2023-06-01\r\nx: y", false),
            (ApiEndpoint::ChatCompletions, "anthropic-version", "2023-06-01", false),
            (ApiEndpoint::Messages, "anthropic-beta", "x", false),
            (ApiEndpoint::Messages, "cookie", "2023-06-01", false),
            (ApiEndpoint::ChatCompletions, "x-forwarded-for", "10.0.0.1", false),
            (ApiEndpoint::ChatCompletions, "privatemode-encrypted", "false", false),
            (ApiEndpoint::ChatCompletions, "user-agent", "x", false),
        ] {
            assert_eq!(caller_header_passes(&endpoint, name, value), passes, "{name}: {value}");
        }
    }
}
