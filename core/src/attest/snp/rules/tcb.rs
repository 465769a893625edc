//! Revocation and patch levels.

use super::super::verify::parts_text;
use super::{Finding, Processor, SnpPolicy, checks, finding};
use crate::claims::{FirmwareVersion, Revocation, SnpClaims, TcbParts};
use crate::error::Code;

/// It must be known that the issuer is not revoked: by its pin, or by a current list.
pub(super) fn crl(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let (passed, found) = match claims.vek.revocation {
        Revocation::Pinned => (!policy.require_crl, "issuer pinned, no current list"),
        Revocation::List => (true, "not on the current list"),
        Revocation::Unknown => (false, "issuer not pinned, no current list"),
    };
    let expected = if policy.require_crl { "a current list" } else { "a pinned issuer or a current list" };
    finding(checks::CRL, Code::CrlExpired, passed, expected.into(), found.into())
}

pub(super) fn evaluate(claims: &SnpClaims, policy: &SnpPolicy) -> [Finding; 4] {
    [
        inconsistent(claims),
        provisional(claims, policy),
        minimum(claims, policy),
        firmware_minimum(claims, policy),
    ]
}

/// Firmware never reports, commits or launches at more than it runs. Anything else is no firmware of AMD's.
fn inconsistent(claims: &SnpClaims) -> Finding {
    let tcb = &claims.tcb;
    let report = &claims.report;
    let above = [("reported", &tcb.reported), ("committed", &tcb.committed), ("launch", &tcb.launch)]
        .into_iter()
        .find(|(_, parts)| !tcb.current.reaches(parts));
    let found = match above {
        Some((name, parts)) => format!("{name} TCB {}", parts_text(parts)),
        None => format!("committed firmware {}", version_text(report.committed_version)),
    };
    finding(
        checks::TCB_INCONSISTENT,
        Code::SnpTcbRefused,
        above.is_none() && report.committed_version <= report.current_version,
        format!(
            "at most current TCB {}, firmware {}",
            parts_text(&tcb.current),
            version_text(report.current_version)
        ),
        found,
    )
}

/// A platform that has not committed its firmware can go back behind it, and behind what its report says.
fn provisional(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let report = &claims.report;
    let committed =
        claims.tcb.committed == claims.tcb.current && report.committed_version == report.current_version;
    let text =
        |parts: &TcbParts, version| format!("TCB {}, firmware {}", parts_text(parts), version_text(version));
    let expected = if policy.allow_provisional_firmware {
        "any".into()
    } else {
        text(&claims.tcb.current, report.current_version)
    };
    finding(
        checks::TCB_PROVISIONAL,
        Code::SnpTcbRefused,
        committed || policy.allow_provisional_firmware,
        expected,
        text(&claims.tcb.committed, report.committed_version),
    )
}

/// Published weaknesses are closed by patch levels and by nothing else in a report. The reported TCB is what the key vouches for, the
/// committed one cannot be gone back behind, and the launch TCB is the one under which the guest was measured.
fn minimum(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let processor = Processor::of(claims.product, claims.report.cpuid);
    let tcb = &claims.tcb;
    let Some(minimum) = policy.minimum_of(processor) else {
        return no_minimum(checks::TCB_MINIMUM, processor, policy, parts_text(&tcb.reported));
    };
    let below = [("reported", &tcb.reported), ("committed", &tcb.committed), ("launch", &tcb.launch)]
        .into_iter()
        .find(|(_, parts)| !parts.reaches(&minimum.tcb));
    let (name, parts) = below.unwrap_or(("reported", &tcb.reported));
    finding(
        checks::TCB_MINIMUM,
        Code::SnpTcbRefused,
        below.is_none(),
        format!("{} at least {}", processor.name(), parts_text(&minimum.tcb)),
        format!("{name} TCB {}", parts_text(parts)),
    )
}

fn firmware_minimum(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let processor = Processor::of(claims.product, claims.report.cpuid);
    let version = claims.report.committed_version;
    let Some(minimum) = policy.minimum_of(processor) else {
        return no_minimum(checks::FIRMWARE_MINIMUM, processor, policy, version_text(version));
    };
    let (major, minor) = minimum.abi;
    let passed = version.build >= minimum.build && (version.major, version.minor) >= minimum.abi;
    finding(
        checks::FIRMWARE_MINIMUM,
        Code::SnpTcbRefused,
        passed,
        format!("{} interface at least {major}.{minor}, build at least {}", processor.name(), minimum.build),
        version_text(version),
    )
}

/// Without a minimum nothing is shown about known weaknesses, which is said and not passed over.
fn no_minimum(check: &'static str, processor: Processor, policy: &SnpPolicy, found: String) -> Finding {
    let expected = format!("a minimum for {} in the policy", processor.name());
    Finding {
        advisory: !policy.require_minimum,
        ..finding(check, Code::RequiredCheckNotMade, false, expected, found)
    }
}

fn version_text(version: FirmwareVersion) -> String {
    format!("{}.{}.{}", version.major, version.minor, version.build)
}
