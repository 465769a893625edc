//! GPU and switch reports, reference manifests, their comparison, and answers of NVIDIA's attestation service.

use proveil_core::appraise::{NvidiaInput, appraise_nvidia};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use proveil_core::attest::nvidia::{
    self, Device, GpuClaims, GpuEvidence, Rim, check_version, compare, rim_ids,
};
use proveil_core::claims::{DeviceKind, NrasClaims, Verified};
use proveil_core::crypto;
use proveil_core::error::Error;
use proveil_core::evidence::{GpuEndorsements, NrasAnswer, RimDocument};
use proveil_core::policy::Policy;
use proveil_core::report::{Check, Enforcement, Outcome, Report, Verdict};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use super::library::{self, Library, expected, number, text};
use super::nvidia_ops;
use super::{Expected, Got, Group, Row};

/// What the library calls an appraisal that is neither accepted nor refused: reference values are missing.
const INDETERMINATE: &str = "indeterminate";

/// One case as a verifier gets it.
#[derive(Clone)]
pub(super) enum Case {
    /// Devices, with manifests or without.
    Devices(Devices),
    /// One manifest.
    Manifest(Manifest),
    /// One answer of the attestation service.
    Service(Service),
}

/// Devices of one appraisal.
#[derive(Clone)]
pub(super) struct Devices {
    pub report: Vec<u8>,
    pub chain: Vec<u8>,
    pub nonce: [u8; 32],
    pub at: u64,
    /// Driver's and firmware's; empty means that none are at hand.
    pub manifests: Vec<Vec<u8>>,
    pub drivers: Vec<String>,
    pub roots: TrustRoots,
}

/// A manifest and the version that it must be for, if one is named.
#[derive(Clone)]
pub(super) struct Manifest {
    pub xml: Vec<u8>,
    pub at: u64,
    pub version: Option<String>,
}

/// An answer and what it must be about.
#[derive(Clone)]
pub(super) struct Service {
    pub tokens: Json,
    pub jwks: Vec<u8>,
    pub at: u64,
    pub nonce: [u8; 32],
    pub issuer: String,
    pub devices: usize,
    pub roots: TrustRoots,
}

/// Judges every case.
pub fn judge(library: &Library) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for sample in library.samples() {
        if text(sample, "kind")? == "nvidia-measurement-match" {
            rows.push(judge_match(library, sample)?);
            continue;
        }
        let case = open(library, sample)?;
        let (got, mut differences) = judge_case(&case)?;
        differences.extend(noted_facts(sample, &case)?);
        rows.push(row(Group::Sample, sample, got, differences)?);
    }
    for mutation in library.mutations() {
        let mut case = open(library, library.sample(text(mutation, "base")?)?)?;
        for operation in mutation.get("ops").and_then(Json::as_array).unwrap_or_default() {
            nvidia_ops::apply(library, &mut case, operation)
                .map_err(|error| format!("{}: {error}", text(mutation, "id").unwrap_or_default()))?;
        }
        let (got, differences) = judge_case(&case)?;
        rows.push(row(Group::Mutation, mutation, got, differences)?);
    }
    if let Some(file) = &library.synthetic {
        for source in library.synthetic() {
            let case = synthetic(file, source)?;
            let (got, _) = judge_case(&Case::Devices(case.clone()))?;
            rows.push(row(Group::Synthetic, source, got, Vec::new())?);
            let under_vendors = Devices { roots: TrustRoots::vendors(), ..case };
            let (got, _) = judge_case(&Case::Devices(under_vendors))?;
            let mut row = row(Group::SyntheticUnderVendorRoots, source, got, Vec::new())?;
            // Layout and nonce come before chains, so cases with another one keep their own reason.
            row.expected.accept = false;
            row.expected.reasons.push("nv.chain".into());
            rows.push(row);
        }
    }
    Ok(rows)
}

fn row(group: Group, source: &Json, mut got: Got, differences: Vec<String>) -> Result<Row, String> {
    let mut expected = expected(source)?;
    if source.get("expected").and_then(|expected| expected.get("verdict")).and_then(Json::as_str)
        == Some(INDETERMINATE)
    {
        expected.reasons = vec![INDETERMINATE.into()];
    }
    // Several checks can fail for one change; any that the library lists is right.
    if let Got::Reject(reasons, _) = &mut got {
        let listed = reasons.split(' ').find(|reason| expected.reasons.iter().any(|known| known == reason));
        *reasons = listed.or(reasons.split(' ').next()).unwrap_or_default().to_owned();
    }
    Ok(Row { group, id: text(source, "id")?.to_owned(), expected, got, differences })
}

fn open(library: &Library, sample: &Json) -> Result<Case, String> {
    let at = number(sample, "verify_time")?;
    match text(sample, "kind")? {
        "nvidia-spdm-evidence" => Ok(Case::Devices(Devices {
            report: library.file(sample, "report")?,
            chain: library.file(sample, "chain")?,
            nonce: nonce(sample.get("fields").ok_or("no fields")?, "nonce")?,
            at,
            manifests: Vec::new(),
            drivers: Vec::new(),
            roots: TrustRoots::vendors(),
        })),
        "nvidia-rim" => Ok(Case::Manifest(Manifest { xml: library.file(sample, "rim")?, at, version: None })),
        "nras-detached-eat" => {
            let submods = sample.get("fields").and_then(|fields| fields.get("submods"));
            Ok(Case::Service(Service {
                tokens: parse(&library.file(sample, "token")?)?,
                jwks: key_list(library, sample)?,
                at,
                nonce: nonce(sample, "expected_nonce")?,
                issuer: NRAS_ISSUER_URL.into(),
                devices: submods.and_then(Json::as_object).ok_or("no submods")?.len(),
                roots: TrustRoots::vendors(),
            }))
        }
        other => Err(format!("unknown kind {other}")),
    }
}

/// The service's key list as recorded. Each library keeps an excerpt of it: the one of a sample lacks the key that signed its token,
/// which the sibling libraries' recordings of the same service have. Keys that are not listed twice are put together.
fn key_list(library: &Library, sample: &Json) -> Result<Vec<u8>, String> {
    let mut keys: Vec<Json> = Vec::new();
    let mut add = |file: &[u8]| -> Result<(), String> {
        for key in parse(file)?.get("keys").and_then(Json::as_array).ok_or("no keys")? {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        Ok(())
    };
    add(&library.file(sample, "jwks")?)?;
    for sibling in library::find(&library.dir.join(".."))? {
        for recording in sibling.samples() {
            if recording.get("files").and_then(|files| files.get("nras_jwks")).is_some() {
                add(&sibling.file(recording, "nras_jwks")?)?;
            }
        }
    }
    Ok(Json::Object(vec![("keys".into(), Json::Array(keys))]).to_compact().into_bytes())
}

fn judge_case(case: &Case) -> Result<(Got, Vec<String>), String> {
    match case {
        Case::Devices(devices) => judge_devices(devices),
        Case::Manifest(manifest) => Ok((got(manifest.judge()), Vec::new())),
        Case::Service(service) => Ok((got(service.judge()), Vec::new())),
    }
}

fn got<T>(result: Result<T, Error>) -> Got {
    match result {
        Ok(_) => Got::Accept(None),
        Err(error) => Got::Reject(library_word(error.check().unwrap_or(error.slug())), None),
    }
}

impl Manifest {
    fn judge(&self) -> Result<Verified<Rim>, Error> {
        let rim = Rim::verify(&self.xml, &TrustRoots::vendors(), self.at, false)?;
        if let Some(version) = &self.version {
            check_version(&rim, version)?;
        }
        Ok(rim)
    }
}

impl Service {
    fn judge(&self) -> Result<Verified<NrasClaims>, Error> {
        let answer = NrasAnswer {
            kind: DeviceKind::Gpu,
            tokens: self.tokens.to_compact().into_bytes(),
            jwks: self.jwks.clone(),
        };
        let expected = NrasExpected {
            nonce: &self.nonce,
            issuer: &self.issuer,
            devices: self.devices,
            allow_hold: false,
        };
        nras::verify(&answer, &expected, &self.roots, self.at)
    }
}

impl Devices {
    fn device(&self) -> Device {
        Device { report: self.report.clone(), chain: self.chain.clone() }
    }

    fn verify(&self) -> Result<Verified<GpuClaims>, Error> {
        let evidence = GpuEvidence::of_devices(vec![self.device()])?;
        let mut devices = nvidia::verify(&evidence, &self.nonce, &self.roots, self.at)?;
        devices.pop().ok_or_else(|| Error::new(proveil_core::Code::Internal))
    }

    /// The manifests under the names by which this device needs them.
    fn documents(&self) -> Vec<RimDocument> {
        let claims = self.verify().ok();
        let ids = claims.as_ref().and_then(|claims| rim_ids(claims)).unwrap_or_default();
        let names = ids.iter().map(|id| id.names.first().cloned()).chain(std::iter::repeat(None));
        self.manifests.iter().zip(names).map(|(xml, id)| RimDocument { id, xml: xml.clone() }).collect()
    }
}

fn judge_devices(case: &Devices) -> Result<(Got, Vec<String>), String> {
    let drivers = Json::Array(case.drivers.iter().cloned().map(Json::String).collect()).to_compact();
    let policy = format!(
        r#"{{"schema":"proveil.policy/v1","gpu":{{"minimum":0,"require_rim":true,"drivers":{drivers}}}}}"#
    );
    let policy = Policy::from_json(policy.as_bytes()).map_err(|error| error.to_string())?;
    let devices = [case.device()];
    let endorsements = GpuEndorsements { rims: case.documents(), ..GpuEndorsements::default() };
    let input = NvidiaInput { devices: &devices, nonce: &case.nonce, endorsements: &endorsements };
    let (report, result) = appraise_nvidia(&input, &policy, &case.roots, case.at);
    let mut differences = Vec::new();
    if result.is_ok() != (report.verdict() == Verdict::Verified) || report.level().is_some() {
        differences.push("report and result do not fit together".to_owned());
    }
    let mut reasons = failures(&report);
    // Without manifests nothing is refused, and nothing is shown either.
    if report.verdict() == Verdict::Indeterminate && case.manifests.is_empty() {
        reasons.insert(0, INDETERMINATE.into());
    }
    let got = match report.verdict() {
        Verdict::Verified => Got::Accept(None),
        Verdict::Refused | Verdict::Indeterminate => Got::Reject(reasons.join(" "), None),
    };
    Ok((got, differences))
}

/// The reason codes of the enforced checks that did not pass, in the library's words.
fn failures(report: &Report) -> Vec<String> {
    let counts =
        |check: &&Check| check.enforcement() == Enforcement::Enforced && check.outcome() != Outcome::Pass;
    report.checks().iter().filter(counts).map(|check| library_word(check.id())).collect()
}

fn library_word(id: &str) -> String {
    match id {
        "gpu.measurements" => "nv.measurement".into(),
        _ => id.replacen("gpu.", "nv.", 1),
    }
}

/// Compares a report with manifests whatever their versions, as the library notes it.
fn judge_match(library: &Library, sample: &Json) -> Result<Row, String> {
    let report = library.sample(text(sample, "report")?)?;
    let Case::Devices(devices) = open(library, report)? else { return Err("not a report".into()) };
    let claims = devices.verify().map_err(|error| error.to_string())?;
    let mut rims = Vec::new();
    for name in sample.get("rims").and_then(Json::as_array).ok_or("no rims")? {
        let source = library.sample(name.as_str().ok_or("rims")?)?;
        let Case::Manifest(manifest) = open(library, source)? else { return Err("not a manifest".into()) };
        rims.push(manifest.judge().map_err(|error| error.to_string())?);
    }
    let manifests: Vec<&Rim> = rims.iter().map(Verified::get).collect();
    let result = compare(&claims.measurements, &manifests).map_err(|error| error.to_string())?;
    let expected = sample.get("expected").ok_or("no expectation")?;
    let mut differences = Vec::new();
    for (name, found) in
        [("matching_indices", &result.matching), ("mismatching_indices", &result.mismatching)]
    {
        if indexes(expected, name)? != *found {
            differences.push(format!("{name}: {found:?}"));
        }
    }
    let matches = result.mismatching.is_empty();
    Ok(Row {
        group: Group::Sample,
        id: text(sample, "id")?.to_owned(),
        expected: Expected {
            accept: text(expected, "verdict")? == "match",
            reasons: vec!["nv.measurement".into()],
            tcb_status: None,
        },
        got: if matches { Got::Accept(None) } else { Got::Reject("nv.measurement".into(), None) },
        differences,
    })
}

/// The index notes what other parsers read; ours must read the same.
fn noted_facts(sample: &Json, case: &Case) -> Result<Vec<String>, String> {
    let pairs = match case {
        Case::Devices(devices) => match devices.verify() {
            Ok(claims) => device_facts(sample.get("fields").ok_or("no fields")?, &claims)?,
            Err(_) => Vec::new(),
        },
        Case::Manifest(manifest) => match manifest.judge() {
            Ok(rim) => manifest_facts(sample, &rim)?,
            Err(_) => Vec::new(),
        },
        Case::Service(service) => match service.judge() {
            Ok(claims) => service_facts(sample, &claims)?,
            Err(_) => Vec::new(),
        },
    };
    let differs = pairs.into_iter().filter(|(_, found, noted)| found != noted);
    Ok(differs.map(|(name, found, noted)| format!("{name}: {found}, noted {noted}")).collect())
}

/// Name, what was read, what is noted.
type Noted = (String, String, String);

fn device_facts(fields: &Json, claims: &GpuClaims) -> Result<Vec<Noted>, String> {
    let details = &claims.details;
    let switch = |state: Option<bool>| state.map(|on| if on { "aa" } else { "55" }.to_owned());
    let ids = rim_ids(claims).unwrap_or_default();
    let vbios_rim = ids.last().and_then(|id| id.names.first().cloned());
    let flag = details.mode.map(|mode| match mode {
        nvidia::GpuMode::SinglePassthrough => "0".to_owned(),
        nvidia::GpuMode::MultiPassthrough => "1".to_owned(),
        nvidia::GpuMode::ProtectedPcie => "2".to_owned(),
    });
    let mut pairs = Vec::new();
    for (name, found) in [
        ("driver_version", claims.driver_version.clone()),
        ("vbios_version", claims.vbios_version.clone()),
        ("project", details.project.clone()),
        ("project_sku", details.project_sku.clone()),
        ("chip_sku", details.chip_sku.clone()),
        ("chip_info", details.chip_info.clone()),
        ("fwid", claims.firmware_id.map(|id| hex::encode(&id))),
        ("protected_pcie_status", switch(claims.protected_pcie)),
        ("nvdec0_status", switch(details.nvdec0)),
        ("feature_flag", flag),
        ("opaque_data_version", details.format_version.map(|version| version.to_string())),
        ("blocks", Some(claims.measurements.len().to_string())),
    ] {
        pairs.push((name.to_owned(), found.unwrap_or_else(|| "-".into()), noted(fields, name)));
    }
    let types: Vec<String> = details.types.iter().map(u16::to_string).collect();
    let noted_types: Vec<String> = fields
        .get("opaque_types")
        .and_then(Json::as_array)
        .unwrap_or_default()
        .iter()
        .map(|kind| kind.as_u64().unwrap_or(u64::MAX).to_string())
        .collect();
    pairs.push(("opaque_types".into(), types.join(" "), noted_types.join(" ")));
    if fields.get("vbios_rim_id").is_some() {
        let noted = noted(fields, "vbios_rim_id");
        pairs.push(("vbios_rim_id".into(), vbios_rim.unwrap_or_else(|| "-".into()), noted));
    }
    Ok(pairs)
}

fn manifest_facts(sample: &Json, rim: &Rim) -> Result<Vec<Noted>, String> {
    let meta = sample.get("meta").ok_or("no meta")?;
    let kind = if rim.kind == DeviceKind::Gpu { "GPU" } else { "SWITCH" };
    let mut pairs = vec![
        ("version".to_owned(), rim.version.clone(), noted(meta, "colloquialVersion")),
        ("product".to_owned(), rim.product.clone(), noted(meta, "product")),
        ("edition".to_owned(), kind.to_owned(), noted(meta, "edition")),
    ];
    let active = indexes(sample, "active_indices")?;
    pairs.push(("active".into(), format!("{:?}", rim.active_indices()), format!("{active:?}")));
    Ok(pairs)
}

fn service_facts(sample: &Json, claims: &NrasClaims) -> Result<Vec<Noted>, String> {
    let fields = sample.get("fields").ok_or("no fields")?;
    let mut pairs = vec![("version".to_owned(), claims.version.clone(), noted(fields, "x_nvidia_ver"))];
    for device in &claims.devices {
        let own =
            fields.get("submods").and_then(|all| all.get(&device.name)).ok_or("a device is not noted")?;
        let name = |what: &str| format!("{} {what}", device.name);
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        pairs.push((name("driver"), text(&device.driver_version), noted(own, "driver")));
        pairs.push((name("vbios"), text(&device.vbios_version), noted(own, "vbios")));
        pairs.push((name("hwmodel"), device.hardware.clone(), noted(own, "hwmodel")));
    }
    Ok(pairs)
}

/// A noted text or number; `-` for null.
fn noted(object: &Json, name: &str) -> String {
    match object.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        _ => "-".into(),
    }
}

fn indexes(object: &Json, name: &str) -> Result<Vec<u8>, String> {
    let list = object.get(name).and_then(Json::as_array).ok_or_else(|| format!("no list {name}"))?;
    let index = |value: &Json| value.as_u64().and_then(|index| u8::try_from(index).ok());
    list.iter().map(index).collect::<Option<_>>().ok_or_else(|| format!("{name} has other values"))
}

fn synthetic(file: &Json, source: &Json) -> Result<Devices, String> {
    let own = |name: &str| text(source, name).or_else(|_| text(file, name));
    let bytes = |name: &str| base64::decode(own(name)?).ok_or_else(|| format!("{name} is not base64"));
    let roots = Json::Object(vec![
        ("schema".into(), Json::String("proveil.trust-roots/v1".into())),
        ("nvidia_device_root_pem".into(), Json::String(text(file, "device_root_pem")?.into())),
        ("nvidia_rim_root_pem".into(), Json::String(text(file, "rim_root_pem")?.into())),
    ]);
    let report = bytes("report_b64")?;
    let mut nonce = nonce(file, "expected_nonce")?;
    // The file has one nonce for all cases, and no case has one of its own. A case that is to fail for its nonce alone, and whose
    // report answers that one nonce, can only have been asked with another.
    if expected(source)?.reasons == ["nv.nonce"] && report.get(4..36) == Some(&nonce) {
        nonce = crypto::sha256(&[&nonce]);
    }
    Ok(Devices {
        report,
        chain: own("chain_pem")?.as_bytes().to_vec(),
        nonce,
        at: number(source, "verify_time")?,
        manifests: vec![bytes("driver_rim_b64")?, bytes("vbios_rim_b64")?],
        drivers: Vec::new(),
        roots: TrustRoots::from_json(roots.to_compact().as_bytes()).map_err(|error| error.to_string())?,
    })
}

fn nonce(object: &Json, name: &str) -> Result<[u8; 32], String> {
    hex::decode_array(text(object, name)?).ok_or_else(|| format!("{name} is not 32 bytes of hex"))
}

fn parse(bytes: &[u8]) -> Result<Json, String> {
    Json::parse(bytes).map_err(|error| format!("{error:?}"))
}
