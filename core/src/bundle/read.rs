//! Reads both forms of a bundle, strictly.

use super::members::{Members, invalid};
use super::parts::Reader;
use super::{Evidence, EvidenceBundle, ReadFile, SCHEMA, collateral};
use crate::appraise::{NotFetched, SnpExpectations, TdxExpectations};
use crate::attest::TrustRoots;
use crate::attest::contrast::SecretServiceNames;
use crate::attest::nvidia::Device;
use crate::attest::tdx::rules::Register;
use crate::claims::DeviceKind;
use crate::error::{Class, Code, Error, Result};
use crate::evidence::{GpuEndorsements, NrasAnswer, RimDocument, SnpEndorsements, TdxCollateral};
use crate::http::BaseUrl;
use crate::limits;
use crate::pin::{Pin, read_pins};
use crate::policy::Policy;
use crate::provider::privatemode::{
    CapturedExchange, GpuRevocation, Leniency, ManifestOrigin, PrivatemodeEvidence,
};
use crate::provider::{Provider, ProviderEvidence};
use crate::wire::hex;
use crate::wire::json::Json;

const KINDS: [&str; 4] = ["provider", "snp", "tdx", "nvidia"];
/// Largest bare report or quote that is kept: threats section 5; what is too long for its kind is refused by its verification.
const REPORT_MAX_BYTES: usize = limits::GPU_REPORT_MAX_BYTES;
/// Longest model id that is kept.
const MODEL_MAX_BYTES: usize = 256;
/// Longest name of a manifest.
const RIM_ID_MAX_BYTES: usize = 256;

pub(super) fn read<'r>(bytes: &[u8], files: Option<&'r mut ReadFile<'r>>) -> Result<EvidenceBundle> {
    let mut reader = Reader::new(files, bytes.len())?;
    let document = Json::parse(bytes).map_err(|_| invalid("document").expected("strict JSON"))?;
    let names = ["schema", "kind", "at", "policy", "trust_roots"];
    let top = Members::of(&document, "", &[&names[..], &KINDS[..]].concat())?;
    if top.text("schema")? != Some(SCHEMA) {
        return Err(top.invalid("schema").expected(SCHEMA));
    }
    let kind = top.must_text("kind")?;
    if !KINDS.contains(&kind) {
        return Err(top.invalid("kind").expected(KINDS.join(", ")).found(kind));
    }
    if let Some(other) = KINDS.iter().find(|name| **name != kind && top.get(name).is_some()) {
        return Err(top.invalid(other).expected(format!("evidence of kind {kind} only")));
    }
    let at = top.must_number("at")?;
    let policy = reader.document(top.must("policy")?, "policy")?;
    let policy = Policy::from_json(policy.to_compact().as_bytes())?;
    let recorded_roots = match top.get("trust_roots") {
        None => None,
        Some(value) => {
            let roots = reader.document(value, "trust_roots")?;
            Some(TrustRoots::from_json(roots.to_compact().as_bytes())?)
        }
    };
    let value = top.must(kind)?;
    let evidence = match kind {
        "provider" => Evidence::Provider(provider(value, &mut reader)?),
        "snp" => snp(value, &mut reader)?,
        "tdx" => tdx(value, &mut reader)?,
        _ => nvidia(value, &mut reader)?,
    };
    Ok(EvidenceBundle { evidence, policy, roots: TrustRoots::vendors(), recorded_roots, at })
}

fn provider(value: &Json, reader: &mut Reader<'_>) -> Result<ProviderEvidence> {
    let names = [
        "name",
        "model",
        "base_url",
        "nonce",
        "response",
        "collateral",
        "collateral_failure",
        "endorsements",
        "not_fetched",
        "pins",
        "privatemode",
    ];
    let members = Members::of(value, "provider", &names)?;
    let base_url = members.must_text("base_url")?;
    BaseUrl::parse(base_url).map_err(|_| members.invalid("base_url").expected("an absolute https URL"))?;
    let response = members.must("response")?;
    let provider = Provider::parse(members.must_text("name")?)?;
    let own = match (provider, members.get("privatemode")) {
        (Provider::Privatemode, _) => Some(Box::new(privatemode(members.must("privatemode")?, reader)?)),
        (_, Some(_)) => return Err(members.invalid("privatemode").expected("nothing for this provider")),
        (_, None) => None,
    };
    let most = match provider {
        Provider::Privatemode => limits::CONTRAST_ANSWER_MAX_BYTES,
        Provider::Venice => limits::ATTESTATION_RESPONSE_MAX_BYTES,
    };
    Ok(ProviderEvidence {
        provider,
        model: bounded(&members, "model", MODEL_MAX_BYTES)?,
        base_url: base_url.to_owned(),
        nonce: members.must_fixed("nonce")?,
        response: reader.bytes(response, "provider.response", most)?,
        collateral: collateral_list(&members, reader)?,
        collateral_failure: members
            .get("collateral_failure")
            .map(|value| {
                failure(value, "provider.collateral_failure", |code| code == Code::CollateralUnreachable)
            })
            .transpose()?,
        endorsements: gpu_endorsements(members.get("endorsements"), "provider.endorsements", reader)?,
        not_fetched: members.get("not_fetched").map(not_fetched).transpose()?.unwrap_or_default(),
        pin: members.get("pins").map(pinned).transpose()?,
        privatemode: own,
    })
}

/// Privatemode's own part.
fn privatemode(value: &Json, reader: &mut Reader<'_>) -> Result<PrivatemodeEvidence> {
    let path = "provider.privatemode";
    let members = Members::of(
        value,
        path,
        &[
            "manifest",
            "manifest_origin",
            "endorsements",
            "key_service",
            "exchange",
            "gpu_revocation_grace_s",
            "allow_other_model",
        ],
    )?;
    let manifest = members.must("manifest")?;
    let origin = match members.must_text("manifest_origin")? {
        "given" => ManifestOrigin::Given,
        "provider" => ManifestOrigin::Provider,
        other => return Err(members.invalid("manifest_origin").expected("given or provider").found(other)),
    };
    let exchange = match members.get("exchange") {
        None => None,
        Some(value) => {
            let path = format!("{path}.exchange");
            let exchange = Members::of(value, &path, &["public_key", "answer", "asked_at"])?;
            let mut part =
                |name: &str, max: usize| reader.bytes(exchange.must(name)?, &exchange.path_of(name), max);
            Some(CapturedExchange {
                public_key: part("public_key", limits::SECRET_ANSWER_MAX_BYTES)?,
                answer: part("answer", limits::SECRET_ANSWER_MAX_BYTES)?,
                asked_at: exchange.must_number("asked_at")?,
            })
        }
    };
    let endorsements = match members.get("endorsements") {
        None => None,
        Some(value) => {
            let members = Members::of(value, &format!("{path}.endorsements"), &ENDORSEMENTS)?;
            Some(snp_endorsements(&members, reader)?)
        }
    };
    Ok(PrivatemodeEvidence {
        manifest: reader.bytes(
            manifest,
            "provider.privatemode.manifest",
            limits::CONTRAST_MANIFEST_MAX_BYTES,
        )?,
        origin,
        endorsements,
        names: match bounded(&members, "key_service", MODEL_MAX_BYTES)? {
            Some(name) => SecretServiceNames::Dns(name),
            None => SecretServiceNames::Manifest,
        },
        exchange,
        leniency: leniency(&members)?,
    })
}

/// What the client accepted beyond the default.
fn leniency(members: &Members<'_>) -> Result<Leniency> {
    let gpu_revocation = match members.get("gpu_revocation_grace_s") {
        None => GpuRevocation::GoodOnly,
        Some(_) => GpuRevocation::Lenient { grace_s: members.must_number("gpu_revocation_grace_s")? },
    };
    let other_model = match members.get("allow_other_model") {
        None => false,
        Some(Json::Bool(allowed)) => *allowed,
        Some(_) => return Err(members.invalid("allow_other_model").expected("true or false")),
    };
    Ok(Leniency { gpu_revocation, other_model })
}

/// Members of AMD's endorsements.
const ENDORSEMENTS: [&str; 5] = ["vcek", "vlek", "issuer", "root", "crl"];

fn snp_endorsements(members: &Members<'_>, reader: &mut Reader<'_>) -> Result<SnpEndorsements> {
    let mut part = |name: &str, max: usize| {
        members.get(name).map(|value| reader.bytes(value, &members.path_of(name), max)).transpose()
    };
    Ok(SnpEndorsements {
        vcek: part("vcek", limits::CERTIFICATE_MAX_BYTES)?,
        vlek: part("vlek", limits::CERTIFICATE_MAX_BYTES)?,
        issuer: part("issuer", limits::CERTIFICATE_MAX_BYTES)?,
        root: part("root", limits::CERTIFICATE_MAX_BYTES)?,
        crl: part("crl", limits::CRL_MAX_BYTES)?,
    })
}

/// What was pinned for the endpoint: a document of pins that has one.
fn pinned(value: &Json) -> Result<Pin> {
    let pins = read_pins(value.to_compact().as_bytes())?;
    <[Pin; 1]>::try_from(pins).map(|[pin]| pin).map_err(|_| invalid("provider.pins").expected("one pin"))
}

fn not_fetched(value: &Json) -> Result<NotFetched> {
    let path = "provider.not_fetched";
    let members = Members::of(value, path, &["rims", "ocsp", "nras"])?;
    let one = |name: &str| {
        let value = members.get(name);
        value
            .map(|value| {
                failure(value, &format!("{path}.{name}"), |code| code.class() == Class::Indeterminate)
            })
            .transpose()
    };
    Ok(NotFetched { rims: one("rims")?, ocsp: one("ocsp")?, nras: one("nras")? })
}

fn bounded(members: &Members<'_>, name: &str, max: usize) -> Result<Option<String>> {
    match members.text(name)? {
        Some(text) if text.len() > max => Err(Error::new(Code::LimitExceeded).at(members.path_of(name))),
        text => Ok(text.map(str::to_owned)),
    }
}

/// Only a cause that an appraisal looks at: anything else would be ignored by it.
fn failure(value: &Json, path: &str, is_allowed: impl Fn(Code) -> bool) -> Result<Error> {
    let members = Members::of(value, path, &["code", "check", "expected", "found", "context"])?;
    let text = members.must_text("code")?;
    let number = text.strip_prefix("PV-").and_then(|number| number.parse().ok());
    let code = number
        .and_then(Code::from_number)
        .filter(|code| code.text() == text && is_allowed(*code))
        .ok_or_else(|| members.invalid("code").found(text))?;
    let mut error = Error::new(code);
    if let Some(text) = members.text("check")? {
        error = error.at(text);
    }
    if let Some(text) = members.text("expected")? {
        error = error.expected(text);
    }
    if let Some(text) = members.text("found")? {
        error = error.found(text);
    }
    if let Some(text) = members.text("context")? {
        error = error.context(text);
    }
    Ok(error)
}

fn collateral_list(members: &Members<'_>, reader: &mut Reader<'_>) -> Result<Vec<TdxCollateral>> {
    let list = members.list("collateral", limits::EVIDENCE_COLLATERAL_MAX)?;
    list.iter().map(|(path, value)| collateral::read(&reader.document(value, path)?, path)).collect()
}

fn snp(value: &Json, reader: &mut Reader<'_>) -> Result<Evidence> {
    let names = ["report", "vcek", "vlek", "issuer", "root", "crl", "expected"];
    let members = Members::of(value, "snp", &names)?;
    let report = reader.bytes(members.must("report")?, "snp.report", REPORT_MAX_BYTES)?;
    let endorsements = snp_endorsements(&members, reader)?;
    let mut expected = SnpExpectations::default();
    if let Some(value) = members.get("expected") {
        let values = Members::of(value, "snp.expected", &["report_data", "measurement", "host_data"])?;
        expected = SnpExpectations {
            report_data: values.fixed("report_data")?,
            measurement: values.fixed("measurement")?,
            host_data: values.fixed("host_data")?,
        };
    }
    Ok(Evidence::Snp { report, endorsements, expected })
}

fn tdx(value: &Json, reader: &mut Reader<'_>) -> Result<Evidence> {
    let members = Members::of(value, "tdx", &["quote", "collateral", "expected"])?;
    let quote = reader.bytes(members.must("quote")?, "tdx.quote", REPORT_MAX_BYTES)?;
    let collateral = collateral_list(&members, reader)?;
    let mut expected = TdxExpectations::default();
    if let Some(value) = members.get("expected") {
        let values = Members::of(value, "tdx.expected", &Register::ALL.map(Register::name))?;
        let wrong = || values.invalid("report_data").expected("1 to 64 bytes in hex");
        expected.report_data = values
            .text("report_data")?
            .map(|text| hex::decode(text).filter(|bytes| (1..=64).contains(&bytes.len())).ok_or_else(wrong))
            .transpose()?;
        for register in Register::ALL.into_iter().filter(|register| *register != Register::ReportData) {
            if let Some(value) = values.fixed(register.name())? {
                expected.set(register, value);
            }
        }
    }
    Ok(Evidence::Tdx { quote, collateral, expected: Box::new(expected) })
}

fn nvidia(value: &Json, reader: &mut Reader<'_>) -> Result<Evidence> {
    let members = Members::of(value, "nvidia", &["nonce", "devices", "endorsements"])?;
    let nonce = members.must_fixed("nonce")?;
    let most = limits::GPU_MAX_DEVICES.saturating_add(limits::SWITCH_MAX_DEVICES);
    let mut devices = Vec::new();
    for (path, value) in members.list("devices", most)? {
        let device = Members::of(value, &path, &["report", "chain"])?;
        let mut part = |name: &str, max: usize| reader.bytes(device.must(name)?, &device.path_of(name), max);
        devices.push(Device {
            report: part("report", REPORT_MAX_BYTES)?,
            chain: part("chain", limits::CHAIN_MAX_BYTES)?,
        });
    }
    let endorsements = gpu_endorsements(members.get("endorsements"), "nvidia.endorsements", reader)?;
    Ok(Evidence::Nvidia { devices, nonce, endorsements })
}

fn gpu_endorsements(value: Option<&Json>, path: &str, reader: &mut Reader<'_>) -> Result<GpuEndorsements> {
    let Some(value) = value else { return Ok(GpuEndorsements::default()) };
    let members = Members::of(value, path, &["rims", "ocsp", "ocsp_nonce", "nras"])?;
    let mut endorsements = GpuEndorsements { ocsp_nonce: members.fixed("ocsp_nonce")?, ..Default::default() };
    for (path, value) in members.list("rims", limits::RIM_MAX_DOCUMENTS)? {
        let rim = Members::of(value, &path, &["id", "xml"])?;
        let xml = reader.bytes(rim.must("xml")?, &rim.path_of("xml"), limits::RIM_MAX_BYTES)?;
        endorsements.rims.push(RimDocument { id: bounded(&rim, "id", RIM_ID_MAX_BYTES)?, xml });
    }
    for (path, value) in members.list("ocsp", limits::OCSP_MAX_ANSWERS)? {
        endorsements.ocsp.push(reader.bytes(value, &path, limits::OCSP_MAX_BYTES)?);
    }
    // One for the GPUs and one for the switches; a third would contradict one of them.
    for (path, value) in members.list("nras", 3)? {
        let answer = Members::of(value, &path, &["kind", "tokens", "jwks"])?;
        let kind = match answer.must_text("kind")? {
            "gpu" => DeviceKind::Gpu,
            "switch" => DeviceKind::Switch,
            other => return Err(answer.invalid("kind").expected("gpu or switch").found(other)),
        };
        let mut part = |name: &str, max: usize| reader.bytes(answer.must(name)?, &answer.path_of(name), max);
        endorsements.nras.push(NrasAnswer {
            kind,
            tokens: part("tokens", limits::NRAS_MAX_BYTES)?,
            jwks: part("jwks", limits::JWKS_MAX_BYTES)?,
        });
    }
    Ok(endorsements)
}
