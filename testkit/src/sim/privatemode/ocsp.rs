//! What a worker makes of the client's policy on revoked GPUs (privatemode.md 7.3).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What NVIDIA said of a certificate when the worker started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `GOOD`
    Good,
    /// `UNKNOWN`: not known, or not reachable.
    Unknown,
    /// `REVOKED`, at these Unix seconds.
    Revoked(i64),
}

impl Status {
    /// Value as the worker names it.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Good => "GOOD",
            Status::Unknown => "UNKNOWN",
            Status::Revoked(_) => "REVOKED",
        }
    }
}

/// The statuses of one GPU and its software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuStatus {
    /// Driver.
    pub driver: Status,
    /// GPU.
    pub gpu: Status,
    /// Firmware.
    pub vbios: Status,
}

impl GpuStatus {
    /// Nothing is revoked.
    pub const GOOD: GpuStatus = GpuStatus { driver: Status::Good, gpu: Status::Good, vbios: Status::Good };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Good,
    Revoked,
    Unknown,
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        [Rule::Good, Rule::Revoked, Rule::Unknown]
            .into_iter()
            .find(|rule| rule.name().eq_ignore_ascii_case(text))
    }

    const fn name(self) -> &'static str {
        match self {
            Rule::Good => "allow-good",
            Rule::Revoked => "allow-revoked",
            Rule::Unknown => "allow-unknown",
        }
    }
}

/// A client's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspPolicy {
    rules: Vec<Rule>,
    not_before: i64,
}

impl OcspPolicy {
    /// What holds without a header.
    pub fn strictest() -> OcspPolicy {
        OcspPolicy { rules: vec![Rule::Good], not_before: 0 }
    }

    /// Reads the header as the worker does: both parts in any order, rules in any case, anything after the number ignored.
    pub fn parse(header: &str) -> Option<OcspPolicy> {
        let (mut rules, mut not_before) = (None, None);
        for part in header.split("; ") {
            match part.split_once('=')? {
                ("rules", list) => {
                    rules = Some(list.split(',').map(Rule::parse).collect::<Option<Vec<_>>>()?)
                }
                ("revocation-time-not-before", number) => not_before = Some(leading_number(number)?),
                _ => return None,
            }
        }
        Some(OcspPolicy { rules: rules?, not_before: not_before? })
    }

    /// The header in its one canonical form.
    pub fn to_header(&self) -> String {
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.name()).collect();
        format!("rules={}; revocation-time-not-before={}", rules.join(","), self.not_before)
    }

    /// Reads and authenticates the header. The error is the worker's text.
    pub fn verify(header: &str, mac: &str, secret: &[u8]) -> Result<OcspPolicy, &'static str> {
        let policy = OcspPolicy::parse(header).ok_or("verifying OCSP header: invalid format")?;
        if header_mac(secret, &policy.to_header()) == mac {
            Ok(policy)
        } else {
            Err("verifying OCSP header: MAC mismatch")
        }
    }

    /// Whether a status is accepted.
    pub fn accepts(&self, status: Status) -> bool {
        match status {
            Status::Good => self.rules.contains(&Rule::Good),
            Status::Unknown => self.rules.contains(&Rule::Unknown),
            Status::Revoked(at) => self.rules.contains(&Rule::Revoked) && at >= self.not_before,
        }
    }

    /// The first status that is not accepted, as the worker's error text.
    pub fn refusal(&self, gpus: &[GpuStatus]) -> Option<String> {
        let named = |gpu: &GpuStatus| [("driver", gpu.driver), ("GPU", gpu.gpu), ("VBIOS", gpu.vbios)];
        gpus.iter().flat_map(named).find(|(_, status)| !self.accepts(*status)).map(|(part, status)| {
            format!(
                "GPU attestation returned a {part} OCSP status that is not accepted by the client: {}",
                status.name()
            )
        })
    }
}

/// MAC of a header's text, lowercase hex.
pub fn header_mac(secret: &[u8], header: &str) -> String {
    // HMAC takes keys of any length: this is never empty.
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok().map(|mac| mac.chain_update(header));
    mac.map(|mac| const_hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
}

/// The number at the start of a text, as C's scanf reads one.
fn leading_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let end = text.len().saturating_sub(digits.len()).saturating_add(length);
    text.get(..end)?.parse().ok()
}
