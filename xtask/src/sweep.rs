//! `cargo xtask sweep`: every single bit of genuine bundles flipped, one at a time. None may stay verified unless
//! `tests/evidence/dont-care.toml` lists its byte with a reason (threats.md section 6).
//!
//! A bundle is what one verification is given: quote, report or device evidence, its certificates, and Intel's collateral. What a flip
//! cannot touch is verified once and shared: the collateral while the quote is flipped, the chip's certificate while the report is. Both
//! ways lead to the same result, which `evidence` checks on every case. The short form ([`Extent::Quick`], in the test run) takes every
//! bit of what the hardware signs and one bit of each byte of certificates and collateral; the command takes every bit of everything.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{self, Device, GpuEvidence};
use proveil_core::attest::snp::{self, SigningKey, SnpClaims, VerifiedVek};
use proveil_core::attest::tdx::{self, TdxClaims, VerifiedCollateral};
use proveil_core::evidence::{SnpEndorsements, TdxCollateral};
use serde::Deserialize;

use crate::evidence::library::{self, Library};
use crate::evidence::{Group, default_dir, snp as snp_library, tdx as tdx_library};

/// Threads that share a sweep.
const THREADS: usize = 2;
/// Bits that a thread takes at a time.
const PORTION: usize = 256;

/// How much is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every bit.
    Full,
    /// Every bit of what the hardware signs, one bit of each byte of the rest.
    Quick,
}

/// Whether the bundle is verified with these bytes in place of a part's.
type Judge = Box<dyn Fn(&[u8]) -> bool + Sync>;

/// One part of a bundle, and the verification of the whole with this part changed.
struct Part {
    bundle: String,
    /// `quote`, `report`, `certificate`, `chain`, or a member of the collateral.
    name: &'static str,
    bytes: Vec<u8>,
    /// From here on it is certificates or collateral.
    signed: Range<usize>,
    verified: Judge,
}

/// A range of bytes whose value decides nothing.
#[derive(Debug, Deserialize)]
struct DontCare {
    bundle: String,
    part: String,
    /// First byte.
    start: usize,
    /// Last byte, included.
    end: usize,
    /// Which field that is.
    field: String,
    reason: String,
}

/// The committed list.
#[derive(Debug, Deserialize)]
struct DontCares {
    #[serde(default)]
    range: Vec<DontCare>,
}

/// Why the sweep cannot be made here, if so.
pub fn missing() -> Option<String> {
    let dir = default_dir();
    (!dir.join("tdx/index.json").is_file()).then(|| format!("no captured evidence at {}", dir.display()))
}

/// Flips and prints one line per part. Fails when a flip stays verified that the list does not name, and, when every bit is flipped, when
/// the list names a byte none of whose flips does.
pub fn run(root: &Path, extent: Extent) -> Result<(), String> {
    let list = root.join("tests/evidence/dont-care.toml");
    let text = std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let list: DontCares = toml::from_str(&text).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let mut flips = 0;
    for part in parts(&default_dir())? {
        if !(part.verified)(&part.bytes) {
            return Err(format!("{} is not verified unchanged", part.bundle));
        }
        let bits = bits(&part, extent);
        let survivors = sweep(&part, &bits);
        flips += bits.len();
        println!(
            "  {:<24}{:<26}{:>6} bytes {:>7} flips, {} verified",
            part.bundle,
            part.name,
            part.bytes.len(),
            bits.len(),
            survivors.len()
        );
        wrong.extend(differences(&part, &survivors, &list.range, extent));
    }
    println!("{flips} flips, {} differ from the list", wrong.len());
    if wrong.is_empty() { Ok(()) } else { Err(format!("\n  {}", wrong.join("\n  "))) }
}

/// The bits to flip, as numbers of bits from the start of the part.
fn bits(part: &Part, extent: Extent) -> Vec<usize> {
    let all = 0..part.bytes.len() * 8;
    match extent {
        Extent::Full => all.collect(),
        // Another bit in each byte, so that all eight occur.
        Extent::Quick => {
            all.filter(|bit| part.signed.contains(&(bit / 8)) || bit % 8 == bit / 8 % 8).collect()
        }
    }
}

/// The bits whose flip stays verified.
fn sweep(part: &Part, bits: &[usize]) -> Vec<usize> {
    let next = AtomicUsize::new(0);
    let portions: Vec<&[usize]> = bits.chunks(PORTION).collect();
    let work = || {
        let mut bytes = part.bytes.clone();
        let mut found = Vec::new();
        while let Some(portion) = portions.get(next.fetch_add(1, Ordering::Relaxed)) {
            for bit in *portion {
                let mask = 1 << (bit % 8);
                let Some(byte) = bytes.get_mut(bit / 8) else { continue };
                *byte ^= mask;
                if (part.verified)(&bytes) {
                    found.push(*bit);
                }
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= mask;
                }
            }
        }
        found
    };
    let mut found: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    found.sort_unstable();
    found
}

/// Survivors that are not listed, and listed ranges without a survivor among all their bits.
fn differences(part: &Part, survivors: &[usize], list: &[DontCare], extent: Extent) -> Vec<String> {
    let of_part: Vec<&DontCare> =
        list.iter().filter(|range| range.bundle == part.bundle && range.part == part.name).collect();
    let covers = |range: &&&DontCare, bit: usize| (range.start..=range.end).contains(&(bit / 8));
    let unlisted = survivors.iter().filter(|bit| !of_part.iter().any(|range| covers(&range, **bit)));
    let is_idle = |range: &&&DontCare| !survivors.iter().any(|bit| covers(range, *bit));
    // The short form may not have flipped the bit that counts.
    let idle = of_part.iter().filter(|range| extent == Extent::Full && is_idle(range));
    unlisted
        .map(|bit| format!("{} {}: byte {} bit {} stays verified", part.bundle, part.name, bit / 8, bit % 8))
        .chain(idle.map(|range| {
            let DontCare { bundle, part, field, reason, .. } = range;
            format!("{bundle} {part}: no flip of {field} stays verified, but it is listed ({reason})")
        }))
        .collect()
}

/// Every part of every bundle.
fn parts(dir: &Path) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for library in library::find(dir)? {
        match library.kind.as_str() {
            "tdx" => {
                for id in ["v4-phala-b0c06f", "v4-dstack-90c06f", "v5-emr-90c06f"] {
                    parts.extend(tdx_parts(&library, id)?);
                }
            }
            "snp" => {
                for id in ["milan-v2-virtee", "genoa-v5-live", "turin-v5-azure"] {
                    parts.extend(snp_parts(&library, id)?);
                }
            }
            "nvidia" => parts.extend(gpu_parts(&library, "hopper-venice-20260610")?),
            _ => {}
        }
    }
    Ok(parts)
}

fn tdx_is_accepted(claims: &TdxClaims, policy: &tdx::rules::TdxPolicy) -> bool {
    tdx::rules::evaluate(claims, policy).iter().all(|finding| finding.passed)
}

/// One member of the collateral, in and out of its text or bytes.
type Member = (&'static str, fn(&TdxCollateral) -> Vec<u8>, fn(&mut TdxCollateral, &[u8]) -> Option<()>);

/// A member that is a text; a flip that leaves no text cannot be handed over.
macro_rules! text_member {
    ($name:ident) => {
        (
            stringify!($name),
            |collateral| collateral.$name.clone().into_bytes(),
            |collateral, bytes| {
                std::str::from_utf8(bytes).ok()?.clone_into(&mut collateral.$name);
                Some(())
            },
        )
    };
}

macro_rules! bytes_member {
    ($name:ident) => {
        (
            stringify!($name),
            |collateral| collateral.$name.clone(),
            |collateral, bytes| {
                bytes.clone_into(&mut collateral.$name);
                Some(())
            },
        )
    };
}

const MEMBERS: [Member; 9] = [
    text_member!(pck_crl_issuer_chain),
    bytes_member!(root_ca_crl),
    bytes_member!(pck_crl),
    text_member!(tcb_info_issuer_chain),
    text_member!(tcb_info),
    bytes_member!(tcb_info_signature),
    text_member!(qe_identity_issuer_chain),
    text_member!(qe_identity),
    bytes_member!(qe_identity_signature),
];

/// The quote under kept collateral, and each member of the collateral.
fn tdx_parts(library: &Library, id: &str) -> Result<Vec<Part>, String> {
    let case =
        tdx_library::cases(library)?.into_iter().find(|case| case.group == Group::Sample && case.id == id);
    let case = case.ok_or_else(|| format!("no sample {id}"))?;
    let collateral = TdxCollateral::from_json(case.collateral.to_compact().as_bytes());
    let collateral = collateral.map_err(|error| error.to_string())?;
    let (roots, at, policy) = (TrustRoots::vendors(), case.at, case.policy.clone());
    let kept = VerifiedCollateral::verify(&collateral, &roots, at).map_err(|error| error.to_string())?;
    let chain = case.quote.windows(5).position(|window| window == b"-----").unwrap_or(case.quote.len());
    let quote = Part {
        bundle: id.to_owned(),
        name: "quote",
        bytes: case.quote.clone(),
        signed: 0..chain,
        verified: Box::new(move |quote| {
            tdx::verify(quote, &kept, &roots, at).is_ok_and(|claims| tdx_is_accepted(&claims, &policy))
        }),
    };
    let mut parts = vec![quote];
    // The same collateral with every quote would be the same flips again.
    if id.starts_with("v4-phala") || id.starts_with("v5") {
        for (name, get, set) in MEMBERS {
            let (collateral, roots, policy, quote) =
                (collateral.clone(), TrustRoots::vendors(), case.policy.clone(), case.quote.clone());
            parts.push(Part {
                bundle: id.to_owned(),
                name,
                bytes: get(&collateral),
                signed: 0..0,
                verified: Box::new(move |bytes| {
                    let mut changed = collateral.clone();
                    set(&mut changed, bytes).is_some()
                        && tdx::verify_with_raw_collateral(&quote, &changed, &roots, at)
                            .is_ok_and(|claims| tdx_is_accepted(&claims, &policy))
                }),
            });
        }
    }
    Ok(parts)
}

fn snp_is_accepted(claims: &SnpClaims, policy: &snp::rules::SnpPolicy) -> bool {
    let findings = snp::rules::evaluate(claims, policy, &snp::rules::SnpExpectations::default());
    !findings.iter().any(snp::rules::Finding::counts)
}

/// The report under a kept certificate, and the certificate.
fn snp_parts(library: &Library, id: &str) -> Result<Vec<Part>, String> {
    let case =
        snp_library::cases(library)?.into_iter().find(|case| case.group == Group::Sample && case.id == id);
    let case = case.ok_or_else(|| format!("no sample {id}"))?;
    let (roots, at, policy) = (TrustRoots::vendors(), case.at, case.policy.clone());
    let kept = VerifiedVek::verify(&case.endorsements, SigningKey::Vcek, &roots, at);
    let kept = kept.map_err(|error| error.to_string())?;
    let report = Part {
        bundle: id.to_owned(),
        name: "report",
        bytes: case.report.clone(),
        signed: 0..case.report.len(),
        verified: Box::new(move |report| {
            snp::verify(report, &kept, &roots, at).is_ok_and(|claims| snp_is_accepted(&claims, &policy))
        }),
    };
    let (roots, policy, report_bytes) = (TrustRoots::vendors(), case.policy.clone(), case.report.clone());
    let certificate = Part {
        bundle: id.to_owned(),
        name: "certificate",
        bytes: case.endorsements.vcek.clone().ok_or("no VCEK")?,
        signed: 0..0,
        verified: Box::new(move |certificate| {
            let endorsements = SnpEndorsements { vcek: Some(certificate.to_vec()), ..SnpEndorsements::new() };
            snp::verify_with_raw_endorsements(&report_bytes, &endorsements, &roots, at)
                .is_ok_and(|claims| snp_is_accepted(&claims, &policy))
        }),
    };
    Ok(vec![report, certificate])
}

/// Report and chain of one device, which must have answered the nonce in the genuine report.
fn gpu_parts(library: &Library, id: &str) -> Result<Vec<Part>, String> {
    let sample = library.sample(id)?;
    let at = library::number(sample, "verify_time")?;
    let (report, chain) = (library.file(sample, "report")?, library.file(sample, "chain")?);
    let nonce: [u8; 32] = report.get(4..36).and_then(|nonce| nonce.try_into().ok()).ok_or("no nonce")?;
    let verify = move |report: &[u8], chain: &[u8]| {
        let device = Device { report: report.to_vec(), chain: chain.to_vec() };
        GpuEvidence::of_devices(vec![device])
            .and_then(|evidence| nvidia::verify(&evidence, &nonce, &TrustRoots::vendors(), at))
            .is_ok()
    };
    let (genuine_report, genuine_chain) = (report.clone(), chain.clone());
    Ok(vec![
        Part {
            bundle: id.to_owned(),
            name: "report",
            signed: 0..report.len(),
            bytes: report,
            verified: Box::new(move |report| verify(report, &genuine_chain)),
        },
        Part {
            bundle: id.to_owned(),
            name: "chain",
            signed: 0..0,
            bytes: chain,
            verified: Box::new(move |chain| verify(&genuine_report, chain)),
        },
    ])
}
