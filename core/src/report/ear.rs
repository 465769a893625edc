//! The report as an EAT attestation result (EAR) with AR4SI trustworthiness claims, for programs of others.
//!
//! Source: draft-ietf-rats-ear-04 (member names and profile), draft-ietf-rats-ar4si (values), attestation.md 4.4 (what each value
//! stands for here). A value is given only for what was looked at; an environment of which the decisive part was not looked at has the
//! status `none`. Evidence under roots that the caller gave is not recognised hardware (threats T68).
//! An EAR has no `exp`: it records what was found at `iat`; until when a proof holds is in the private claims.

use super::catalogue;
use super::document::Document;
use super::{Check, Enforcement, Group, Outcome, Roots, Verdict};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::pki;
use crate::secret::Secret;
use crate::wire::json::{Json, write_string};
use crate::wire::{base64, hex};

/// Profile of draft-ietf-rats-ear-04.
const PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// Name of the private claim with the checks.
const PRIVATE: &str = "proveil_report";

/// A P-256 key that signs attestation results.
pub struct EarKey {
    secret: Secret<32>,
    public: [u8; 65],
}

impl EarKey {
    /// A private scalar, big-endian. Fails with `key_invalid`.
    pub fn new(secret: Secret<32>) -> Result<EarKey> {
        let public =
            crypto::p256_public_key(&secret).ok_or_else(|| Error::new(Code::InvalidArgument).at("key"))?;
        Ok(EarKey { secret, public })
    }

    /// A PEM file with one `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC1) block on the curve P-256, unencrypted.
    /// Fails with `invalid_argument`.
    pub fn from_pem(pem: &[u8]) -> Result<EarKey> {
        let expected = "a P-256 private key in PEM (PKCS#8 or SEC1), unencrypted";
        let refuse = || Error::new(Code::InvalidArgument).at("key").expected(expected);
        EarKey::new(pki::pem::p256_private_key(pem).ok_or_else(refuse)?).map_err(|_| refuse())
    }

    /// The public half as a JWK, for those who verify. Its `kid` is the RFC 7638 thumbprint, as in the tokens.
    pub fn public_jwk(&self) -> String {
        let (x, y) = self.coordinates();
        let kid = self.thumbprint();
        format!(
            "{{\"alg\":\"ES256\",\"crv\":\"P-256\",\"kid\":\"{kid}\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}"
        )
    }

    fn coordinates(&self) -> (String, String) {
        let (x, y) = self.public.get(1..).unwrap_or_default().split_at(32);
        (base64::encode_url(x), base64::encode_url(y))
    }

    fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let members = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        base64::encode_url(&crypto::sha256(&[members.as_bytes()]))
    }
}

pub(super) fn jwt(document: &Document, key: &EarKey) -> Result<String> {
    let header = format!("{{\"alg\":\"ES256\",\"kid\":\"{}\",\"typ\":\"JWT\"}}", key.thumbprint());
    let mut token = base64::encode_url(header.as_bytes());
    token.push('.');
    token.push_str(&base64::encode_url(json(document).as_bytes()));
    let signature = crypto::p256_sign_fixed(&key.secret, token.as_bytes())?;
    token.push('.');
    token.push_str(&base64::encode_url(&signature));
    Ok(token)
}

pub(super) fn json(document: &Document) -> String {
    let environments = environments(document);
    let mut members = vec![
        member("eat_profile", PROFILE),
        number("iat", document.checked_at),
        (
            "ear_verifier_id".to_owned(),
            Json::Object(vec![member("developer", "Proveil"), member("build", &document.library)]),
        ),
        member("ear_status", overall(document, &environments).word()),
    ];
    if let Some(nonce) = document.nonce.as_deref().and_then(hex::decode) {
        members.push(member("eat_nonce", &base64::encode_url(&nonce)));
    }
    let policy = format!("sha256:{}", document.policy.sha256);
    let submods =
        environments.iter().map(|environment| (environment.name.clone(), environment.json(&policy)));
    members.push(("submods".to_owned(), Json::Object(submods.collect())));
    let mut out = Json::Object(members).to_compact();
    out.pop();
    out.push(',');
    write_string(PRIVATE, &mut out);
    out.push(':');
    out.push_str(&private(document).to_compact());
    out.push('}');
    out
}

/// How trustworthy an environment is, by AR4SI's tiers; worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    None,
    Affirming,
    Warning,
    Contraindicated,
}

impl Tier {
    const fn of(value: u8) -> Tier {
        match value {
            0..=1 => Tier::None,
            2..=31 => Tier::Affirming,
            32..=95 => Tier::Warning,
            _ => Tier::Contraindicated,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Tier::None => "none",
            Tier::Affirming => "affirming",
            Tier::Warning => "warning",
            Tier::Contraindicated => "contraindicated",
        }
    }
}

/// The whole: never better than its worst part, and no claim where a part has none or where the verdict is open.
fn overall(document: &Document, environments: &[Environment]) -> Tier {
    let worst = environments.iter().map(Environment::status).max().unwrap_or(Tier::None);
    let complete = environments.iter().all(|environment| environment.status() != Tier::None);
    match document.verdict {
        Verdict::Refused => Tier::Contraindicated,
        _ if worst == Tier::Contraindicated => worst,
        Verdict::Verified if complete => worst,
        Verdict::Verified | Verdict::Indeterminate => Tier::None,
    }
}

/// One attested environment: a processor, a device, or the software in an enclave.
struct Environment {
    name: String,
    claims: Vec<(&'static str, u8)>,
    /// The claims without any of which the environment has no status.
    decisive: &'static [&'static str],
    /// A check that counts failed.
    failed: bool,
    /// A check that counts could not be made.
    open: bool,
}

impl Environment {
    fn status(&self) -> Tier {
        let worst = self.claims.iter().map(|(_, value)| Tier::of(*value)).max().unwrap_or(Tier::None);
        let decided = self.claims.iter().any(|(name, _)| self.decisive.contains(name));
        match worst {
            _ if self.failed => Tier::Contraindicated,
            Tier::Contraindicated | Tier::Warning => worst,
            _ if self.open || !decided => Tier::None,
            _ => worst,
        }
    }

    fn json(&self, policy: &str) -> Json {
        let mut members = vec![member("ear_status", self.status().word())];
        if !self.claims.is_empty() {
            let vector = self.claims.iter().map(|(name, value)| number(name, u64::from(*value)));
            members.push(("ear_trustworthiness_vector".to_owned(), Json::Object(vector.collect())));
        }
        let policies = Json::Array(vec![Json::String(policy.to_owned())]);
        members.push(("ear_appraisal_policy_ids".to_owned(), policies));
        Json::Object(members)
    }
}

/// A check with its id taken apart.
struct Item<'a> {
    scope: &'a str,
    id: &'a str,
    check: &'a Check,
}

/// Scope (`gateway.`) and id as the catalogue has it; an id that the catalogue does not know has no scope.
fn item(check: &Check) -> Item<'_> {
    let full = check.id();
    let mut id = full;
    loop {
        if catalogue::find(id).is_some() {
            let scope = full.get(..full.len().saturating_sub(id.len())).unwrap_or_default();
            return Item { scope, id, check };
        }
        match id.split_once('.') {
            Some((_, rest)) => id = rest,
            None => return Item { scope: "", id: full, check },
        }
    }
}

fn environments(document: &Document) -> Vec<Environment> {
    let items: Vec<Item<'_>> = document.checks.iter().map(item).collect();
    let mut scopes: Vec<&str> = Vec::new();
    for item in &items {
        if !scopes.contains(&item.scope) {
            scopes.push(item.scope);
        }
    }
    let mut out = Vec::new();
    for scope in scopes {
        let of = |groups: &[Group]| -> Vec<&Item<'_>> {
            items.iter().filter(|item| item.scope == scope && groups.contains(&item.check.group())).collect()
        };
        let prefix = scope.replace('.', "-");
        let cpu = of(&[Group::Hardware, Group::Freshness, Group::KeyBinding, Group::Transport]);
        let gpu = of(&[Group::Gpu]);
        let software = of(&[Group::Software]);
        // What evidence of unknown origin says speaks for nothing.
        let mut claims = cpu_claims(document, scope, &cpu);
        let recognised = claims.iter().any(|(name, value)| *name == "hardware" && *value < UNRECOGNISED);
        let keep = |claim: &(&str, u8)| recognised || Tier::of(claim.1) != Tier::Affirming;
        claims.retain(keep);
        if !cpu.is_empty() {
            out.push(environment(format!("{prefix}cpu"), claims, &["hardware"], &cpu));
        }
        if !software.is_empty() {
            let mut claims = software_claims(&software);
            claims.retain(keep);
            out.push(environment(format!("{prefix}app"), claims, &["executables", "file-system"], &software));
        }
        for name in devices(document, scope, &gpu) {
            let claims = gpu_claims(document, &gpu);
            out.push(environment(format!("{prefix}{name}"), claims, &["hardware"], &gpu));
        }
    }
    if out.is_empty() {
        out.push(environment("cpu".to_owned(), Vec::new(), &["hardware"], &[]));
    }
    out
}

fn environment(
    name: String,
    claims: Vec<(&'static str, u8)>,
    decisive: &'static [&'static str],
    items: &[&Item<'_>],
) -> Environment {
    let counting = |outcome| {
        items
            .iter()
            .any(|item| item.check.enforcement() == Enforcement::Enforced && item.check.outcome() == outcome)
    };
    Environment {
        name,
        claims,
        decisive,
        failed: counting(Outcome::Fail),
        open: counting(Outcome::NotChecked),
    }
}

/// From this value of `hardware` on, nothing is known about what made the evidence.
const UNRECOGNISED: u8 = 97;

/// What a set of checks amounts to.
enum Sum<'a> {
    /// There is none.
    Empty,
    /// All passed.
    Pass,
    /// None failed, not all were made.
    Open,
    /// This one failed first.
    Fail(&'a Item<'a>),
}

fn sum<'a>(items: &[&'a Item<'a>], belongs: impl Fn(&str) -> bool) -> Sum<'a> {
    let chosen = || items.iter().copied().filter(|item| belongs(item.id));
    if let Some(item) = chosen().find(|item| item.check.outcome() == Outcome::Fail) {
        Sum::Fail(item)
    } else if chosen().any(|item| item.check.outcome() == Outcome::NotChecked) {
        Sum::Open
    } else if chosen().next().is_none() {
        Sum::Empty
    } else {
        Sum::Pass
    }
}

/// Checks of how an enclave was started, not of what it is.
const CONFIGURATION: &[&str] =
    &["tdx.attributes", "tdx.xfam", "tdx.service_td", "snp.policy", "snp.platform", "snp.vmpl"];

fn is_below(id: &str, families: &[&str]) -> bool {
    families
        .iter()
        .any(|family| id.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn cpu_claims(document: &Document, scope: &str, items: &[&Item<'_>]) -> Vec<(&'static str, u8)> {
    let custom = document.roots == Roots::Custom;
    let groups = |wanted: &[Group]| -> Vec<&Item<'_>> {
        items.iter().copied().filter(|item| wanted.contains(&item.check.group())).collect()
    };
    let hardware = groups(&[Group::Hardware]);
    let mut claims = Vec::new();
    let signed =
        hardware.iter().any(|item| item.id.ends_with("signature") && item.check.outcome() == Outcome::Pass);
    let genuine = match sum(&hardware, |id| !is_below(id, CONFIGURATION)) {
        Sum::Pass if signed => Some(if custom { 97 } else { patch_state(document, scope) }),
        Sum::Fail(item) => Some(hardware_failure(item)),
        _ => None,
    };
    // A good binding in evidence of unknown origin binds nothing.
    let identity = match sum(&groups(&[Group::Freshness, Group::KeyBinding]), |_| true) {
        Sum::Pass if genuine.is_some_and(|value| Tier::of(value) < Tier::Contraindicated) => Some(2),
        Sum::Pass if genuine.is_some() && custom => Some(97),
        Sum::Fail(_) => Some(99),
        _ => None,
    };
    let configuration = match sum(&hardware, |id| is_below(id, CONFIGURATION)) {
        Sum::Pass => Some(3),
        Sum::Fail(item) if item.check.enforcement() == Enforcement::Advisory => Some(32),
        Sum::Fail(_) => Some(96),
        _ => None,
    };
    let debug =
        |outcome| hardware.iter().any(|item| item.id.ends_with(".debug") && item.check.outcome() == outcome);
    let opaque = if debug(Outcome::Fail) {
        Some(96)
    } else {
        (debug(Outcome::Pass) && genuine.is_some_and(|value| Tier::of(value) < Tier::Contraindicated))
            .then_some(2)
    };
    claims.extend(identity.map(|value| ("instance-identity", value)));
    claims.extend(configuration.map(|value| ("configuration", value)));
    claims.extend(genuine.map(|value| ("hardware", value)));
    claims.extend(opaque.map(|value| ("runtime-opaque", value)));
    claims
}

/// 2 when every platform of this scope is at a current level; 32 when a known weakness was accepted by the policy.
fn patch_state(document: &Document, scope: &str) -> u8 {
    let place = scope.trim_end_matches('.');
    let ours = document.platforms.iter().filter(|platform| {
        if place.is_empty() {
            !platform.name.contains(':')
        } else {
            platform.name.starts_with(&format!("{place}:"))
        }
    });
    let current = |status: Option<&str>| status.is_none_or(|status| status == "UpToDate");
    if ours.into_iter().all(|platform| current(platform.tcb_status.as_deref())) { 2 } else { 32 }
}

fn hardware_failure(item: &Item<'_>) -> u8 {
    let code = item.check.code().and_then(|text| text.strip_prefix("PV-")).and_then(|text| text.parse().ok());
    match code.and_then(Code::from_number) {
        // The policy looks away from it, but it is there.
        Some(Code::TcbStatusRefused | Code::TcbEvaluationNumber)
            if item.check.enforcement() == Enforcement::Advisory =>
        {
            32
        }
        Some(
            Code::TcbStatusRefused | Code::TcbEvaluationNumber | Code::TcbNoMatchingLevel | Code::PckRevoked,
        ) => 96,
        Some(
            Code::QuoteMissing
            | Code::QuoteMalformed
            | Code::NotTdx
            | Code::TdxModule
            | Code::QeIdentity
            | Code::QuoteBodyType,
        ) => 97,
        _ => 99,
    }
}

fn software_claims(items: &[&Item<'_>]) -> Vec<(&'static str, u8)> {
    let find = |id: &str| items.iter().find(|item| item.id == id).map(|item| item.check);
    let reference = find("software.reference");
    let compared: Vec<&str> = match reference {
        Some(check) if check.outcome() == Outcome::Pass => {
            check.found_value().unwrap_or_default().split(", ").collect()
        }
        _ => Vec::new(),
    };
    let refused = reference.is_some_and(|check| {
        check.outcome() == Outcome::Fail && check.code() == Some(Code::MeasurementRefused.text().as_str())
    });
    let changed = find("software.pin").is_some_and(|check| check.outcome() == Outcome::Fail);
    let executables = match sum(items, |id| is_below(id, &["eventlog"])) {
        Sum::Fail(_) => Some(99),
        _ if refused || changed => Some(33),
        // What starts is known only when the firmware and every boot register are.
        _ => ["MRTD", "RTMR0", "RTMR1", "RTMR2"].iter().all(|name| compared.contains(name)).then_some(3),
    };
    let file_system = match sum(items, |id| is_below(id, &["compose_hash", "mr_config_id"])) {
        Sum::Fail(_) => Some(96),
        _ => ["compose hash", "OS image hash"].iter().any(|name| compared.contains(name)).then_some(2),
    };
    let mut claims = Vec::new();
    claims.extend(executables.map(|value| ("executables", value)));
    claims.extend(file_system.map(|value| ("file-system", value)));
    claims
}

/// `gpu-0`, `switch-0`, ... as the facts name them; one without facts when GPU evidence was there but failed.
fn devices(document: &Document, scope: &str, items: &[&Item<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for fact in &document.facts {
        let Some(rest) = fact.name.strip_prefix(scope) else { continue };
        let mut parts = rest.split('.');
        if let (Some(kind @ ("gpu" | "switch")), Some(index), Some(_)) =
            (parts.next(), parts.next(), parts.next())
            && index.len() <= 3
            && index.bytes().all(|byte| byte.is_ascii_digit())
        {
            let name = format!("{kind}-{index}");
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() && items.iter().any(|item| item.check.outcome() == Outcome::Fail) {
        names.push("gpu-0".to_owned());
    }
    names
}

/// Checks that say what a GPU runs, which its signature alone does not show.
const GPU_FIRMWARE: &[&str] = &["gpu.cc_mode", "gpu.measurements", "gpu.nras", "gpu.ocsp", "gpu.rim"];

fn gpu_claims(document: &Document, items: &[&Item<'_>]) -> Vec<(&'static str, u8)> {
    let passed = |id: &str| items.iter().any(|item| item.id == id && item.check.outcome() == Outcome::Pass);
    let custom = document.roots == Roots::Custom;
    let device = sum(items, |id| id != "gpu.bound" && !is_below(id, GPU_FIRMWARE));
    let firmware = sum(items, |id| is_below(id, GPU_FIRMWARE));
    let measured = passed("gpu.measurements") || passed("gpu.nras.claims");
    match (device, firmware) {
        (Sum::Fail(item), _) => vec![match item.id {
            "gpu.nonce" | "gpu.duplicate" => ("instance-identity", 99),
            _ => ("hardware", 99),
        }],
        (_, Sum::Fail(_)) => vec![("executables", 33)],
        (Sum::Pass, _) if custom => vec![("instance-identity", 97), ("hardware", 97)],
        (Sum::Pass, _) if measured => {
            vec![("instance-identity", 2), ("executables", 3), ("hardware", 2), ("runtime-opaque", 2)]
        }
        // Genuine and fresh; which firmware it runs, and whether in confidential mode, was not looked at.
        (Sum::Pass, _) => vec![("instance-identity", 2)],
        _ => Vec::new(),
    }
}

/// What the report says that the vector cannot.
fn private(document: &Document) -> Json {
    let texts = |list: &[String]| Json::Array(list.iter().map(|text| Json::String(text.clone())).collect());
    let mut members = vec![
        member("schema", document.schema),
        member("verdict", document.verdict.name()),
        member("headline", &document.headline),
        member("roots", document.roots.name()),
        member("provider", &document.provider),
        member("model", &document.model),
        member("policy", &document.policy.name),
        ("relaxations".to_owned(), texts(&document.policy.relaxations)),
        ("not_proven".to_owned(), texts(&document.not_proven)),
    ];
    let optional = [
        ("level", document.level.map(|level| level.name().to_owned())),
        ("code", document.code.clone()),
        ("key", document.key.clone()),
        ("evidence_sha256", document.evidence_sha256.clone()),
    ];
    members.extend(optional.into_iter().filter_map(|(name, value)| Some(member(name, &value?))));
    members.extend(document.valid_until.map(|time| number("valid_until", time)));
    let platforms = document.platforms.iter().map(|platform| {
        let mut members = vec![member("name", &platform.name)];
        members.extend(platform.tcb_status.as_ref().map(|status| member("tcb_status", status)));
        members.push(("advisories".to_owned(), texts(&platform.advisories)));
        members.extend(platform.collateral_issued_at.map(|time| number("collateral_issued_at", time)));
        members.extend(platform.collateral_expires_at.map(|time| number("collateral_expires_at", time)));
        Json::Object(members)
    });
    members.push(("platforms".to_owned(), Json::Array(platforms.collect())));
    let checks = document.checks.iter().map(|check| {
        let mut members = vec![
            member("id", check.id()),
            member("result", check.outcome().name()),
            member("enforcement", check.enforcement().name()),
        ];
        members.extend(check.code().map(|code| member("code", code)));
        members.extend(check.reason().map(|reason| member("reason", reason)));
        Json::Object(members)
    });
    members.push(("checks".to_owned(), Json::Array(checks.collect())));
    Json::Object(members)
}

fn member(name: &str, value: &str) -> (String, Json) {
    (name.to_owned(), Json::String(value.to_owned()))
}

fn number(name: &str, value: u64) -> (String, Json) {
    (name.to_owned(), Json::Number(value.into()))
}
