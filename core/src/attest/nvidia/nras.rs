//! Answers of NVIDIA's remote attestation service: one overall token and one token per device, all of the same key (`attestation.md`
//! 3.6). Versions 3 and 4 of the service, with claims 2.0 and 3.0.
//!
//! All six steps of that section are made here. The result is NVIDIA's word about the devices: it stands beside the checks made
//! here and replaces none of them.

use super::checks::{
    NRAS_ALG, NRAS_CHAIN, NRAS_CLAIMS, NRAS_DIGEST, NRAS_EVIDENCE, NRAS_EXPIRED, NRAS_ISSUER, NRAS_KID,
    NRAS_NONCE, NRAS_NOT_YET_VALID, NRAS_OVERALL, NRAS_SIGNATURE, NRAS_SUBMODS, NRAS_TOKEN,
};
use crate::attest::TrustRoots;
use crate::claims::{DeviceKind, GpuClaims, NrasClaims, NrasDevice, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::NrasAnswer;
use crate::limits::{GPU_MAX_DEVICES, NRAS_MAX_BYTES};
use crate::pki::jwt::{JwkSet, Jwt, JwtProblem};
use crate::wire::hex;
use crate::wire::json::Json;

/// NVIDIA's service, as tokens name it.
pub const NRAS_ISSUER_URL: &str = "https://nras.attestation.nvidia.com";
/// A token valid for longer than this many seconds is not one of the service, whose tokens are valid for an hour.
const LIFE_MAX_S: u64 = 24 * 3600;

/// What an answer must be about.
#[derive(Clone, Copy, Debug)]
pub struct NrasExpected<'a> {
    /// The nonce that the devices answered.
    pub nonce: &'a [u8; 32],
    /// The issuer: [`NRAS_ISSUER_URL`], or the one of a service of your own.
    pub issuer: &'a str,
    /// How many devices were submitted.
    pub devices: usize,
    /// Accepts a device whose certificate the service reports as on hold.
    pub allow_hold: bool,
}

/// Verifies an answer at the time `at` (seconds): algorithm, key, chain of the key to a pinned authority, signatures, issuer, times,
/// nonce, overall result, set of devices, digests of the device tokens, and every claim of each.
///
/// Fails with `nras_token`, `nras_refused`, `collateral_expired`, `collateral_not_yet_valid` or `limit_exceeded`, naming the check.
pub fn verify(
    answer: &NrasAnswer,
    expected: &NrasExpected<'_>,
    roots: &TrustRoots,
    at: u64,
) -> Result<Verified<NrasClaims>> {
    if answer.tokens.len() > NRAS_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("attestation service answer"));
    }
    let tokens =
        Json::parse(&answer.tokens).map_err(|_| wrong(NRAS_TOKEN, "The answer is not strict JSON."))?;
    let (overall, detached) = take_apart(&tokens)?;
    let keys = JwkSet::parse(&answer.jwks).map_err(token_error)?;
    let mut keys = Keys { keys: &keys, roots, at, known: Vec::new() };

    let overall = keys.verify(overall)?;
    check_frame(&overall, expected, at)?;
    check_nonce(&overall, expected.nonce)?;
    if overall.get("x-nvidia-overall-att-result").and_then(Json::as_bool) != Some(true) {
        return Err(refused(NRAS_OVERALL, "x-nvidia-overall-att-result"));
    }
    let version = text(&overall, "x-nvidia-ver").unwrap_or_default().to_owned();
    let digests = overall.get("submods").and_then(Json::as_object).unwrap_or_default();
    check_names(digests, detached, expected.devices)?;
    let mut devices = Vec::new();
    for (name, token) in detached {
        let token = token.as_str().ok_or_else(|| wrong(NRAS_TOKEN, "A device token is not a text."))?;
        check_digest(overall.get("submods").and_then(|all| all.get(name)), token, name)?;
        let claims = keys.verify(token)?;
        check_frame(&claims, expected, at)?;
        devices.push(device(name, &claims, expected)?);
    }
    let (issued_at, expires_at) = window(&overall)?;
    Ok(Verified::new(NrasClaims {
        version,
        issuer: expected.issuer.to_owned(),
        issued_at,
        expires_at: keys.not_after().saturating_add(1).min(expires_at),
        devices,
        custom_root: roots.is_custom(),
    }))
}

/// Checks that a verified answer is about exactly these devices: for each, one token with its certificate's serial number and the
/// versions that its own report states. Fails with `nras_token`.
pub fn check_devices<'a>(
    answer: &NrasClaims,
    devices: impl IntoIterator<Item = &'a GpuClaims>,
) -> Result<()> {
    let mut count = 0usize;
    for device in devices {
        count = count.saturating_add(1);
        let ueid = device.serial.to_decimal();
        let mut about = answer.devices.iter().filter(|token| token.ueid == ueid);
        let (Some(token), None) = (about.next(), about.next()) else {
            return Err(wrong(NRAS_EVIDENCE, "A device has no token, or two.").expected(ueid));
        };
        for (found, stated) in
            [(&token.driver_version, &device.driver_version), (&token.vbios_version, &device.vbios_version)]
        {
            if found != stated {
                return Err(wrong(NRAS_EVIDENCE, "A token names another version than the report.")
                    .expected(stated.as_deref().unwrap_or("none"))
                    .found(found.as_deref().unwrap_or("none")));
            }
        }
        // Claims 2.0 name the chip, claims 3.0 the certificate, which starts with the chip.
        let chip = token.hardware.split(' ').next().unwrap_or_default();
        if chip.replace('_', "") != device.chip.replace('_', "") {
            return Err(wrong(NRAS_EVIDENCE, "A token names another chip.")
                .expected(&*device.chip)
                .found(chip));
        }
    }
    if count != answer.devices.len() {
        return Err(wrong(NRAS_EVIDENCE, "There are tokens about other devices."));
    }
    Ok(())
}

fn wrong(check: &'static str, why: &str) -> Error {
    Error::new(Code::NrasToken).at(check).context(why)
}

fn refused(check: &'static str, claim: &str) -> Error {
    Error::new(Code::NrasRefused).at(check).found(claim)
}

fn token_error(problem: JwtProblem) -> Error {
    match problem {
        JwtProblem::Malformed => {
            wrong(NRAS_TOKEN, "A token or the key list does not have the expected form.")
        }
        JwtProblem::Algorithm => wrong(NRAS_ALG, "A token is not signed with ES384."),
        JwtProblem::Header => {
            wrong(NRAS_ALG, "A token's header has members that it must not have, or names no key.")
        }
        JwtProblem::UnknownKey => wrong(NRAS_KID, "The key list does not have the token's key."),
        JwtProblem::Chain(problem) => wrong(NRAS_CHAIN, &problem.to_string()),
        JwtProblem::Signature => wrong(NRAS_SIGNATURE, "A token's signature is wrong."),
    }
}

/// `[["JWT", overall], {name: token, ...}]`, and nothing else.
fn take_apart(tokens: &Json) -> Result<(&str, &[(String, Json)])> {
    let form = || wrong(NRAS_TOKEN, "The answer is not an overall token and an object of device tokens.");
    let [Json::Array(overall), Json::Object(detached)] = tokens.as_array().unwrap_or_default() else {
        return Err(form());
    };
    match overall.as_slice() {
        [Json::String(kind), Json::String(token)] if kind == "JWT" => Ok((token, detached)),
        _ => Err(form()),
    }
}

/// The keys of one answer; each is checked once.
struct Keys<'a> {
    keys: &'a JwkSet,
    roots: &'a TrustRoots,
    at: u64,
    known: Vec<(String, [u8; 97], u64)>,
}

impl Keys<'_> {
    fn verify(&mut self, token: &str) -> Result<Json> {
        let token = Jwt::parse(token).map_err(token_error)?;
        let known = self.known.iter().find(|(kid, _, _)| kid == token.kid()).map(|(_, key, _)| *key);
        let key = match known {
            Some(key) => key,
            None => {
                let pins = self.roots.nvidia_nras();
                let (key, not_after) = self.keys.key(token.kid(), pins, self.at).map_err(token_error)?;
                self.known.push((token.kid().to_owned(), key, not_after));
                key
            }
        };
        token.verify(&key).map_err(token_error)
    }

    /// Last second at which every key used is valid.
    fn not_after(&self) -> u64 {
        self.known.iter().map(|(_, _, not_after)| *not_after).min().unwrap_or(0)
    }
}

/// Issuer and times, which every token has.
fn check_frame(claims: &Json, expected: &NrasExpected<'_>, at: u64) -> Result<()> {
    let issuer = text(claims, "iss").unwrap_or_default();
    if issuer != expected.issuer {
        return Err(wrong(NRAS_ISSUER, "Another service issued the token.")
            .expected(expected.issuer)
            .found(issuer));
    }
    let (issued, expires) = window(claims)?;
    let not_before = claims.get("nbf").and_then(Json::as_u64).unwrap_or(u64::MAX);
    if at < not_before.max(issued) {
        return Err(Error::new(Code::CollateralNotYetValid)
            .at(NRAS_NOT_YET_VALID)
            .context("The token is from the future."));
    }
    if at >= expires {
        return Err(Error::new(Code::CollateralExpired).at(NRAS_EXPIRED).context("The token has expired."));
    }
    Ok(())
}

/// When a token was issued and when it ends; both must be stated, and not far apart.
fn window(claims: &Json) -> Result<(u64, u64)> {
    let number = |name| claims.get(name).and_then(Json::as_u64);
    match (number("iat"), number("exp")) {
        (Some(issued), Some(expires)) if expires.saturating_sub(issued) <= LIFE_MAX_S => {
            Ok((issued, expires))
        }
        _ => Err(wrong(NRAS_EXPIRED, "The token does not state a life of at most a day.")),
    }
}

fn check_nonce(claims: &Json, nonce: &[u8; 32]) -> Result<()> {
    let found = text(claims, "eat_nonce").and_then(hex::decode_array::<32>);
    if found.as_ref() == Some(nonce) {
        return Ok(());
    }
    let shown = found.as_ref().map_or_else(|| "none".to_owned(), |found| hex::short(found));
    Err(wrong(NRAS_NONCE, "The token answers another nonce.").expected(hex::short(nonce)).found(shown))
}

/// The same names on both sides, each once, as many as devices were submitted.
fn check_names(digests: &[(String, Json)], detached: &[(String, Json)], devices: usize) -> Result<()> {
    let right = detached.len() <= GPU_MAX_DEVICES
        && digests.len() == detached.len()
        && detached.iter().all(|(name, _)| digests.iter().any(|(other, _)| other == name));
    if !right || digests.len() != devices {
        return Err(wrong(NRAS_SUBMODS, "The answer is about other devices than were submitted.")
            .expected(format!("{devices} devices"))
            .found(format!("{} named, {} with a token", digests.len(), detached.len())));
    }
    Ok(())
}

/// `["DIGEST", ["SHA-256", hex]]` of the token's text.
fn check_digest(entry: Option<&Json>, token: &str, name: &str) -> Result<()> {
    let stated = match entry.and_then(Json::as_array) {
        Some([Json::String(kind), Json::Array(digest)]) if kind == "DIGEST" => match digest.as_slice() {
            [Json::String(algorithm), Json::String(digest)] if algorithm == "SHA-256" => {
                hex::decode_array::<32>(digest)
            }
            _ => None,
        },
        _ => None,
    };
    if stated == Some(crypto::sha256(&[token.as_bytes()])) {
        return Ok(());
    }
    Err(wrong(NRAS_DIGEST, "The overall token names another digest of a device token.").found(name))
}

/// The claims about one device, when every one is right.
fn device(name: &str, claims: &Json, expected: &NrasExpected<'_>) -> Result<NrasDevice> {
    let failed = |claim: &str| refused(NRAS_CLAIMS, &format!("{name} {claim}"));
    if claims.get("x-nvidia-error-details").is_some_and(|details| !details.is_null()) {
        return Err(failed("x-nvidia-error-details"));
    }
    check_nonce(claims, expected.nonce)?;
    let kind = if text(claims, "x-nvidia-switch-bios-version").is_some() {
        DeviceKind::Switch
    } else {
        DeviceKind::Gpu
    };
    if !text(claims, "measres").is_some_and(|word| word.eq_ignore_ascii_case("success")) {
        return Err(failed("measres"));
    }
    // Claims 3.0, and those of switches, may leave these out or null; where they are stated they must be right.
    let stated = kind == DeviceKind::Gpu && !is_nested(claims, "x-nvidia-gpu");
    let right = |claim: &str, right: fn(&Json) -> bool| match claims.get(claim) {
        None | Some(Json::Null) => !stated,
        Some(value) => right(value),
    };
    if !right("secboot", |value| value.as_bool() == Some(true)) {
        return Err(failed("secboot"));
    }
    if !right("dbgstat", |value| value.as_str() == Some("disabled")) {
        return Err(failed("dbgstat"));
    }
    check_booleans(claims).map_err(|claim| failed(&claim))?;
    for claim in required(kind, claims) {
        // That a "no" is in none of them was checked before; here they must be there, and not as some other type.
        if !matches!(claims.get(&claim), Some(Json::Bool(true) | Json::Object(_))) {
            return Err(failed(&claim));
        }
    }
    let warning = match claims.get("x-nvidia-attestation-warning") {
        None | Some(Json::Null) => None,
        Some(warning) if expected.allow_hold => Some(warning.as_str().unwrap_or("warning").to_owned()),
        Some(_) => return Err(failed("x-nvidia-attestation-warning")),
    };
    let owned = |name| text(claims, name).map(str::to_owned);
    let missing = |claim: &'static str| move || failed(claim);
    Ok(NrasDevice {
        name: name.to_owned(),
        ueid: owned("ueid").ok_or_else(missing("ueid"))?,
        hardware: owned("hwmodel").ok_or_else(missing("hwmodel"))?,
        driver_version: owned("x-nvidia-gpu-driver-version"),
        vbios_version: match kind {
            DeviceKind::Gpu => owned("x-nvidia-gpu-vbios-version"),
            DeviceKind::Switch => owned("x-nvidia-switch-bios-version"),
        },
        warning,
    })
}

/// Every yes-or-no claim about a device is a check that the service made: all must be yes, also inside objects, and certificate
/// chains must be valid and good. Gives the first that is not.
fn check_booleans(claims: &Json) -> std::result::Result<(), String> {
    for (name, value) in claims.as_object().unwrap_or_default() {
        let about_device = name.starts_with("x-nvidia-gpu-")
            || name.starts_with("x-nvidia-switch-")
            || name.starts_with("x-nvidia-cert-");
        if !about_device {
            continue;
        }
        let right = match (name.as_str(), value) {
            (_, Json::Bool(value)) => *value,
            ("x-nvidia-cert-status", value) => value.as_str() == Some("valid"),
            ("x-nvidia-cert-ocsp-status", value) => value.as_str() == Some("good"),
            (_, Json::Object(_)) => {
                check_booleans(value).map_err(|inner| format!("{name} {inner}"))?;
                // An object without these says nothing about a chain.
                !name.ends_with("-cert-chain") || value.get("x-nvidia-cert-status").is_some()
            }
            _ => true,
        };
        if !right {
            return Err(name.clone());
        }
    }
    Ok(())
}

/// True for claims 3.0, in which certificate chains are objects.
fn is_nested(claims: &Json, prefix: &str) -> bool {
    claims.get(&format!("{prefix}-attestation-report-cert-chain")).is_some()
}

/// Claims that must be there, by kind of device; both versions of the claims have them. Claims 2.0 have chains as yes or no, claims
/// 3.0 as objects.
fn required(kind: DeviceKind, claims: &Json) -> Vec<String> {
    let (prefix, rims): (_, &[&str]) = match kind {
        DeviceKind::Gpu => ("x-nvidia-gpu", &["driver", "vbios"]),
        DeviceKind::Switch => ("x-nvidia-switch", &["bios"]),
    };
    let report = format!("{prefix}-attestation-report");
    let nested = is_nested(claims, prefix);
    let (chain, rim_chain) =
        if nested { ("cert-chain", "cert-chain") } else { ("cert-chain-validated", "cert-validated") };
    let mut names = vec![
        format!("{prefix}-arch-check"),
        format!("{report}-parsed"),
        format!("{report}-nonce-match"),
        format!("{report}-signature-verified"),
        format!("{report}-{chain}"),
    ];
    if nested {
        names.push(format!("{report}-cert-chain-fwid-match"));
    }
    for rim in rims {
        for part in ["fetched", "signature-verified", "measurements-available", rim_chain] {
            names.push(format!("{prefix}-{rim}-rim-{part}"));
        }
        if nested {
            names.push(format!("{prefix}-{rim}-rim-version-match"));
        }
    }
    if kind == DeviceKind::Gpu {
        names.push("x-nvidia-gpu-vbios-index-no-conflict".to_owned());
    }
    names
}

fn text<'a>(claims: &'a Json, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Json::as_str)
}
