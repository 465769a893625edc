//! Libraries of SEV-SNP reports.
//!
//! Every case goes through the one-shot verification and through a certificate that was verified first and kept; both must agree. A
//! sample's noted fields and addresses must be what the parser reads.

use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::rules::{self, Minimum, Processor, SnpExpectations, SnpPolicy};
use proveil_core::attest::snp::{
    Product, Report, SigningKey, SnpClaims, SnpReport, VerifiedVek, verify, verify_with_raw_endorsements,
};
use proveil_core::claims::Verified;
use proveil_core::error::Error;
use proveil_core::evidence::SnpEndorsements;
use proveil_core::pki::{Certificate, pem};
use proveil_core::wire::der::Der;
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use super::library::{Library, expected, number, text};
use super::{Got, Group, Row, change};

/// What a sample's addresses are relative to.
const KDS: &str = "https://kdsintf.amd.com";

/// One case as a verifier gets it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Which group it belongs to.
    pub group: Group,
    /// Id of the case.
    pub id: String,
    /// The report's bytes.
    pub report: Vec<u8>,
    /// Its certificates.
    pub endorsements: SnpEndorsements,
    /// Which certificate of `endorsements` the library calls `vek`.
    pub vek: SigningKey,
    /// Verification time, in seconds.
    pub at: u64,
    /// What is accepted.
    pub policy: SnpPolicy,
    /// What the caller knows.
    pub expected: SnpExpectations,
    /// PEM of the trusted root, if not AMD's.
    pub root_pem: Option<String>,
    /// The case in the library.
    pub source: Json,
}

/// Judges every case.
pub fn judge(library: &Library) -> Result<Vec<Row>, String> {
    cases(library)?.iter().map(judge_case).collect()
}

/// Every case of a library: samples, mutations, and synthetic cases under their own root and under the vendors'.
pub fn cases(library: &Library) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for sample in library.samples() {
        cases.push(sample_case(library, sample)?);
    }
    for mutation in library.mutations() {
        cases.push(mutation_case(library, mutation)?);
    }
    if let Some(file) = &library.synthetic {
        for case in library.synthetic() {
            let case = synthetic_case(file, case)?;
            cases.push(Case { group: Group::SyntheticUnderVendorRoots, root_pem: None, ..case.clone() });
            cases.push(case);
        }
    }
    Ok(cases)
}

impl Case {
    /// The trusted roots of this case.
    pub fn roots(&self) -> Result<TrustRoots, String> {
        let Some(pem) = &self.root_pem else { return Ok(TrustRoots::vendors()) };
        let file = Json::Object(vec![
            ("schema".into(), Json::String("proveil.trust-roots/v1".into())),
            ("amd_roots_pem".into(), Json::String(pem.clone())),
        ]);
        TrustRoots::from_json(file.to_compact().as_bytes()).map_err(|error| error.to_string())
    }

    /// The certificate that the library calls by this name.
    fn role(&mut self, role: &str) -> Result<&mut Vec<u8>, String> {
        let slot = match role {
            "report" => return Ok(&mut self.report),
            "vek" if self.vek == SigningKey::Vlek => &mut self.endorsements.vlek,
            "vek" => &mut self.endorsements.vcek,
            "ica" => &mut self.endorsements.issuer,
            "root" => &mut self.endorsements.root,
            _ => return Err(format!("unknown role {role}")),
        };
        Ok(slot.get_or_insert_default())
    }
}

fn judge_case(case: &Case) -> Result<Row, String> {
    let roots = case.roots()?;
    let result = verify_with_raw_endorsements(&case.report, &case.endorsements, &roots, case.at);
    let mut differences: Vec<String> = kept_certificate_agrees(case, &roots, &result).into_iter().collect();
    let mut expected = expected(&case.source)?;
    match case.group {
        Group::Sample => differences.extend(noted_facts_agree(case, &result)?),
        Group::SyntheticUnderVendorRoots => {
            // The report's layout comes before the chain, so cases with a broken layout keep their own reason.
            expected.accept = false;
            expected.reasons.push("snp.chain.root".into());
        }
        Group::Mutation | Group::Synthetic => {}
    }
    let got = got(&result, case);
    Ok(Row { group: case.group, id: case.id.clone(), expected, got, differences })
}

fn got(result: &Result<Verified<SnpClaims>, Error>, case: &Case) -> Got {
    match result {
        Ok(claims) => {
            let findings = rules::evaluate(claims, &case.policy, &case.expected);
            // The home-made roots publish no revocation list, and their issuers are not pinned.
            let unlisted = case.root_pem.is_some();
            let failed = findings
                .into_iter()
                .find(|finding| finding.counts() && !(unlisted && finding.check == "snp.crl"));
            match failed {
                Some(finding) => Got::Reject(library_word(finding.check).into(), None),
                None => Got::Accept(None),
            }
        }
        Err(error) => Got::Reject(error.check().unwrap_or(error.slug()).into(), None),
    }
}

/// The library has one word for a chip that differs and one that is hidden.
fn library_word(check: &str) -> &str {
    if check == "snp.chip_id.hidden" { "snp.chip_id.mismatch" } else { check }
}

/// Verifying the certificate first and keeping it must lead to the same result.
fn kept_certificate_agrees(
    case: &Case,
    roots: &TrustRoots,
    result: &Result<Verified<SnpClaims>, Error>,
) -> Option<String> {
    let kind = Report::parse(&case.report).ok()?.fields().signing_key;
    let kept = match VerifiedVek::verify(&case.endorsements, kind, roots, case.at) {
        Ok(kept) => kept,
        Err(_) if result.is_err() => return None,
        Err(error) => return Some(format!("the certificate alone is refused: {error}")),
    };
    let again = verify(&case.report, &kept, roots, case.at);
    match (result, &again) {
        (Ok(first), Ok(second)) if first.get() == second.get() => None,
        (Err(first), Err(second)) if first == second => None,
        _ => Some("the result differs under a kept certificate".into()),
    }
}

/// The index notes what another parser read; ours must read the same.
fn noted_facts_agree(
    case: &Case,
    result: &Result<Verified<SnpClaims>, Error>,
) -> Result<Vec<String>, String> {
    let fields = case.source.get("fields").ok_or("a sample has no fields")?;
    let parsed = Report::parse(&case.report).map_err(|error| error.to_string())?;
    let report = parsed.fields();
    let mut pairs = field_texts(report);
    let product = Product::ALL
        .into_iter()
        .find(|product| Ok(product.name().to_lowercase().as_str()) == text(&case.source, "product"));
    if let Some(noted) = case.source.get("expected_kds_url").and_then(Json::as_str) {
        let ours = parsed.kds_requests(product).map_err(|error| error.to_string())?.vcek;
        if Some(noted) != ours.map(|path| format!("{KDS}{path}")).as_deref() {
            return Ok(vec![format!("address noted as {noted}")]);
        }
    }
    if let Ok(claims) = result {
        let tcb = [("reported_tcb_parts", claims.tcb.reported), ("current_tcb_parts", claims.tcb.current)];
        for (name, parts) in tcb {
            for (member, ours) in [
                ("fmc", parts.fmc),
                ("bl", parts.bootloader),
                ("tee", parts.tee),
                ("snp", parts.snp),
                ("ucode", parts.microcode),
            ] {
                let noted = fields.get(name).and_then(|noted| noted.get(member)).and_then(Json::as_u64);
                pairs.push((member, u64::from(ours).to_string(), Some(noted.unwrap_or(0).to_string())));
            }
        }
        if Some(claims.product) != product {
            return Ok(vec![format!("product {:?}", claims.product)]);
        }
    }
    Ok(pairs
        .into_iter()
        .map(|(name, ours, noted)| (name, ours, noted.or_else(|| noted_text(fields, name))))
        .filter(|(_, ours, noted)| noted.as_ref() != Some(ours))
        .map(|(name, ours, noted)| format!("{name}: {ours} is noted as {noted:?}"))
        .collect())
}

/// Member of `fields`, and our value of it as the index writes it.
fn field_texts(report: &SnpReport) -> Vec<(&'static str, String, Option<String>)> {
    let version = |version: proveil_core::claims::FirmwareVersion| {
        format!("{}.{}.{}", version.major, version.minor, version.build)
    };
    let signer = u32::from(report.author_key_enabled)
        | u32::from(report.chip_key_masked) << 1
        | u32::from(report.signing_key == SigningKey::Vlek) << 2;
    let mut texts = vec![
        ("version", report.version.to_string()),
        ("guest_svn", report.guest_svn.to_string()),
        ("policy", format!("{:#x}", report.policy)),
        ("vmpl", report.vmpl.to_string()),
        ("current_tcb", hex::encode(&report.current_tcb)),
        ("platform_info", format!("{:#x}", report.platform_info)),
        ("signer_info", format!("{signer:#x}")),
        ("report_data", hex::encode(&report.report_data)),
        ("measurement", hex::encode(&report.measurement)),
        ("host_data", hex::encode(&report.host_data)),
        ("id_key_digest", hex::encode(&report.id_key_digest)),
        ("author_key_digest", hex::encode(&report.author_key_digest)),
        ("report_id", hex::encode(&report.report_id)),
        ("reported_tcb", hex::encode(&report.reported_tcb)),
        ("chip_id", hex::encode(&report.chip_id)),
        ("committed_tcb", hex::encode(&report.committed_tcb)),
        ("current_version", version(report.current_version)),
        ("committed_version", version(report.committed_version)),
        ("launch_tcb", hex::encode(&report.launch_tcb)),
    ];
    if let Some(cpuid) = report.cpuid {
        texts.push(("cpuid_fms", hex::encode(&[cpuid.family, cpuid.model, cpuid.stepping])));
    }
    if let (Some(launch), Some(current)) = (report.launch_mitigations, report.current_mitigations) {
        texts.push(("launch_mit_vector", hex::encode(&launch.to_le_bytes())));
        texts.push(("current_mit_vector", hex::encode(&current.to_le_bytes())));
    }
    texts.into_iter().map(|(name, text)| (name, text, None)).collect()
}

fn noted_text(fields: &Json, name: &str) -> Option<String> {
    let value = fields.get(name)?;
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
}

/// What the library calls acceptable in a captured report: any privilege level, firmware that is not committed yet, and the cloud
/// provider that the index names. It asks for no minimum patch level.
fn captured_policy(sample: &Json) -> Result<SnpPolicy, String> {
    let csp = sample.get("vek_extensions").and_then(|noted| noted.get("1.3.6.1.4.1.3704.1.5"));
    let mut csp_ids = Vec::new();
    if let Some(noted) = csp.and_then(Json::as_str) {
        let der = hex::decode(noted).ok_or("the CSP id is not hex")?;
        let value = Der::new(&der).value().ok_or("the CSP id is not DER")?;
        csp_ids.push(String::from_utf8(value.content.to_vec()).map_err(|_| "the CSP id is not text")?);
    }
    Ok(SnpPolicy {
        vmpls: vec![0, 1, 2, 3],
        allow_provisional_firmware: true,
        minimum: Vec::new(),
        csp_ids,
        ..SnpPolicy::default()
    })
}

fn sample_case(library: &Library, sample: &Json) -> Result<Case, String> {
    let optional = |role: &str| match sample.get("files").and_then(|files| files.get(role)) {
        Some(_) => library.file(sample, role).map(Some),
        None => Ok(None),
    };
    let vek = match sample.get("signing_key").and_then(Json::as_str) {
        Some("VLEK") => SigningKey::Vlek,
        _ => SigningKey::Vcek,
    };
    let certificate = optional("vek")?;
    let (vcek, vlek) = if vek == SigningKey::Vlek { (None, certificate) } else { (certificate, None) };
    Ok(Case {
        group: Group::Sample,
        id: text(sample, "id")?.into(),
        report: library.file(sample, "report")?,
        endorsements: SnpEndorsements {
            vcek,
            vlek,
            issuer: optional("ica")?,
            root: optional("root")?,
            crl: None,
        },
        vek,
        // The sample without a certificate has no time either.
        at: sample.get("verify_time").and_then(Json::as_u64).unwrap_or(0),
        policy: captured_policy(sample)?,
        expected: SnpExpectations::default(),
        root_pem: None,
        source: sample.clone(),
    })
}

fn mutation_case(library: &Library, mutation: &Json) -> Result<Case, String> {
    let mut case = sample_case(library, library.sample(text(mutation, "base")?)?)?;
    case.group = Group::Mutation;
    case.id = text(mutation, "id")?.into();
    case.source = mutation.clone();
    for operation in mutation.get("ops").and_then(Json::as_array).unwrap_or_default() {
        apply(library, &mut case, operation).map_err(|error| format!("{}: {error}", case.id))?;
    }
    Ok(case)
}

fn synthetic_case(file: &Json, source: &Json) -> Result<Case, String> {
    let member = |name: &str| source.get(name).or_else(|| file.get(name)).and_then(Json::as_str);
    let der = |name: &str| {
        let pem = member(name).ok_or_else(|| format!("no {name}"))?;
        let mut chain = pem::certificates(pem.as_bytes()).map_err(|problem| problem.to_string())?;
        chain.pop().ok_or_else(|| format!("no certificate in {name}"))
    };
    let certificate = der("vek_pem")?;
    let common_name =
        Certificate::parse(&certificate).ok().and_then(|parsed| parsed.common_name().map(str::to_owned));
    let is_vlek = common_name.as_deref() == Some("SEV-VLEK");
    let (vcek, vlek) = if is_vlek { (None, Some(certificate)) } else { (Some(certificate), None) };
    let mut case = Case {
        group: Group::Synthetic,
        id: text(source, "id")?.into(),
        report: base64::decode(text(source, "report_b64")?).ok_or("a report is not base64")?,
        endorsements: SnpEndorsements {
            vcek,
            vlek,
            issuer: Some(der("ica_pem")?),
            root: Some(der("root_pem")?),
            crl: None,
        },
        vek: if is_vlek { SigningKey::Vlek } else { SigningKey::Vcek },
        at: number(source, "verify_time")?,
        policy: SnpPolicy::default(),
        expected: SnpExpectations::default(),
        root_pem: member("root_pem").map(str::to_owned),
        source: source.clone(),
    };
    set_policy(&mut case, file.get("default_policy").ok_or("no default policy")?)?;
    if let Some(changes) = source.get("policy") {
        set_policy(&mut case, changes)?;
    }
    Ok(case)
}

/// Applies one change of `mutations.json`.
fn apply(library: &Library, case: &mut Case, operation: &Json) -> Result<(), String> {
    let role = text(operation, "role").map(str::to_owned);
    match text(operation, "op")? {
        "set_time" => case.at = number(operation, "unix")?,
        "policy" => set_policy(case, operation.get("set").ok_or("no set")?)?,
        "replace" => {
            let from = operation.get("from_role").and_then(Json::as_str).map(str::to_owned);
            let mut other = sample_case(library, library.sample(text(operation, "sample")?)?)?;
            let bytes = other.role(from.as_deref().unwrap_or(&role.clone()?))?.clone();
            *case.role(&role?)? = bytes;
        }
        "replace_file" => {
            let path = library.dir.join(text(operation, "path")?);
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            *case.role(&role?)? = bytes;
        }
        other => {
            if !change::apply(case.role(&role?)?, operation)? {
                return Err(format!("unknown operation {other}"));
            }
        }
    }
    Ok(())
}

fn set_policy(case: &mut Case, changes: &Json) -> Result<(), String> {
    for (name, value) in changes.as_object().unwrap_or_default() {
        let flag = || value.as_bool().ok_or_else(|| format!("{name} is not a flag"));
        let policy = &mut case.policy;
        match name.as_str() {
            "allow_debug" => policy.allow_debug = flag()?,
            "allow_migrate_ma" => policy.allow_migration_agent = flag()?,
            "allow_smt" => policy.allow_smt = flag()?,
            "permit_provisional" => policy.allow_provisional_firmware = flag()?,
            "allow_masked_chip_id" => policy.allow_hidden_chip_id = flag()?,
            "vmpl" => {
                let level = value.as_u64().and_then(|level| u8::try_from(level).ok());
                policy.vmpls = vec![level.ok_or("not a privilege level")?];
            }
            "minimum_tcb" => {
                let minimum = minimum(value)?;
                policy.minimum = Processor::ALL.into_iter().map(|processor| (processor, minimum)).collect();
            }
            "measurement" => {
                let list = value.as_array().ok_or("not a list")?.iter();
                let values: Option<Vec<Vec<u8>>> = list.map(|value| hex::decode(value.as_str()?)).collect();
                policy.measurements = values.ok_or("not hex")?;
            }
            "report_data" => {
                let wanted = value.as_str().and_then(hex::decode_array).ok_or("not 64 bytes of hex")?;
                case.expected.report_data = Some(wanted);
            }
            _ => return Err(format!("unknown policy {name}")),
        }
    }
    Ok(())
}

fn minimum(value: &Json) -> Result<Minimum, String> {
    let mut minimum = Minimum::default();
    for (name, part) in value.as_object().ok_or("not an object")? {
        let level = part.as_u64().and_then(|level| u8::try_from(level).ok()).ok_or("not a level")?;
        let slot = match name.as_str() {
            "fmc" => &mut minimum.tcb.fmc,
            "bl" => &mut minimum.tcb.bootloader,
            "tee" => &mut minimum.tcb.tee,
            "snp" => &mut minimum.tcb.snp,
            "ucode" => &mut minimum.tcb.microcode,
            _ => return Err(format!("unknown part {name}")),
        };
        *slot = level;
    }
    Ok(minimum)
}
