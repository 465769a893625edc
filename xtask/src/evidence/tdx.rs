//! TDX quotes with Intel's collateral.

use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::rules::{self, Expected as ExpectedValue, Register, TdxPolicy};
use proveil_core::attest::tdx::{
    Quote, TcbStatus, TdxClaims, VerifiedCollateral, verify, verify_with_raw_collateral,
};
use proveil_core::claims::Verified;
use proveil_core::error::Error;
use proveil_core::evidence::TdxCollateral;
use proveil_core::pki::pem;
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use super::library::{Library, expected, number, text};
use super::{Got, Group, Row, change};

/// One case as a verifier gets it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Which group it belongs to.
    pub group: Group,
    /// Id of the case.
    pub id: String,
    /// The quote's bytes.
    pub quote: Vec<u8>,
    /// The nine-text object.
    pub collateral: Json,
    /// Verification time, in seconds.
    pub at: u64,
    /// What is accepted.
    pub policy: TdxPolicy,
    /// PEM of the trusted root, if not Intel's.
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

fn judge_case(case: &Case) -> Result<Row, String> {
    let roots = case.roots()?;
    let collateral = TdxCollateral::from_json(case.collateral.to_compact().as_bytes());
    let result = match &collateral {
        Ok(collateral) => verify_with_raw_collateral(&case.quote, collateral, &roots, case.at),
        Err(error) => Err(error.clone()),
    };
    let mut differences = Vec::new();
    if let Ok(collateral) = &collateral {
        differences.extend(kept_collateral_agrees(case, collateral, &roots, &result));
    }
    let mut expected = expected(&case.source)?;
    match case.group {
        Group::Sample => differences.extend(noted_facts_agree(case, &result)?),
        Group::SyntheticUnderVendorRoots => {
            // Layout comes before chains, so cases with a broken layout keep their own reason.
            expected.accept = false;
            expected.tcb_status = None;
            expected.reasons.extend(["tdx.pck_chain".into(), "tdx.tcb_signing_chain".into()]);
        }
        Group::Mutation | Group::Synthetic => {}
    }
    Ok(Row { group: case.group, id: case.id.clone(), expected, got: got(&result, &case.policy), differences })
}

fn got(result: &Result<Verified<TdxClaims>, Error>, policy: &TdxPolicy) -> Got {
    match result {
        Ok(claims) => {
            let status = Some(claims.tcb.status.word().to_owned());
            let failed = rules::evaluate(claims, policy).into_iter().find(|finding| !finding.passed);
            match failed {
                Some(finding) => Got::Reject(finding.reason.into(), status),
                None => Got::Accept(status),
            }
        }
        Err(error) => Got::Reject(error.check().unwrap_or(error.slug()).into(), None),
    }
}

/// Verifying the collateral first and keeping it must lead to the same result.
fn kept_collateral_agrees(
    case: &Case,
    collateral: &TdxCollateral,
    roots: &TrustRoots,
    result: &Result<Verified<TdxClaims>, Error>,
) -> Option<String> {
    let kept = match VerifiedCollateral::verify(collateral, roots, case.at) {
        Ok(kept) => kept,
        Err(_) if result.is_err() => return None,
        Err(error) => return Some(format!("collateral alone is refused: {error}")),
    };
    let again = verify(&case.quote, &kept, roots, case.at);
    match (result, &again) {
        (Ok(first), Ok(second)) if first.get() == second.get() => None,
        (Err(first), Err(second)) if first.check() == second.check() && first.code() == second.code() => None,
        _ => Some("the result differs under kept collateral".into()),
    }
}

/// The index notes what other parsers read; ours must read the same.
fn noted_facts_agree(
    case: &Case,
    result: &Result<Verified<TdxClaims>, Error>,
) -> Result<Vec<String>, String> {
    let fields = case.source.get("fields").ok_or("a sample has no fields")?;
    let pck = case.source.get("pck").ok_or("a sample has no pck")?;
    let quote = Quote::parse(&case.quote).map_err(|error| error.to_string())?;
    let platform = quote.platform().map_err(|error| error.to_string())?;
    let body = quote.body();
    let mut pairs = vec![
        ("version", quote.version().to_string(), number(fields, "version")?.to_string()),
        ("trailing", quote.padding().len().to_string(), number(fields, "trailing")?.to_string()),
        ("td_attributes", hex::encode(&body.td_attributes), text(fields, "td_attributes")?.into()),
        ("xfam", hex::encode(&body.xfam), text(fields, "xfam")?.into()),
        ("tee_tcb_svn", hex::encode(&body.tee_tcb_svn), text(fields, "tee_tcb_svn")?.into()),
        ("mr_signer_seam", hex::encode(&body.mr_signer_seam), text(fields, "mr_signer_seam")?.into()),
        ("user_data", hex::encode(quote.user_data()), text(fields, "user_data")?.into()),
        ("fmspc", hex::encode(&platform.fmspc), text(pck, "fmspc")?.into()),
    ];
    for register in Register::ALL {
        let name = register.check().trim_start_matches("tdx.policy.");
        pairs.push((name, hex::encode(register.value(body)), text(fields, name)?.into()));
    }
    if let Ok(claims) = result {
        let noted = |name| text(pck, name).map(str::to_owned);
        let instance = claims.pck.platform_instance_id.map(|id| hex::encode(&id)).unwrap_or_default();
        pairs.extend([
            ("ppid", hex::encode(&claims.pck.ppid), noted("ppid")?),
            ("pceid", hex::encode(&claims.pck.pce_id), noted("pceid")?),
            ("cpusvn", hex::encode(&claims.pck.cpu_svn), noted("cpusvn")?),
            ("pcesvn", claims.pck.pce_svn.to_string(), number(pck, "pcesvn")?.to_string()),
            ("platform_instance_id", instance, noted("platform_instance_id")?),
            ("qe_isvsvn", claims.qe_svn.to_string(), number(fields, "qe_isvsvn")?.to_string()),
        ]);
    }
    Ok(pairs
        .into_iter()
        .filter(|(_, ours, noted)| ours != noted)
        .map(|(name, ours, noted)| format!("{name}: {ours} is noted as {noted}"))
        .collect())
}

impl Case {
    /// The trusted roots of this case.
    pub fn roots(&self) -> Result<TrustRoots, String> {
        let Some(pem) = &self.root_pem else { return Ok(TrustRoots::vendors()) };
        let file = Json::Object(vec![
            ("schema".into(), Json::String("proveil.trust-roots/v1".into())),
            ("intel_sgx_root_pem".into(), Json::String(pem.clone())),
        ]);
        TrustRoots::from_json(file.to_compact().as_bytes()).map_err(|error| error.to_string())
    }
}

fn sample_case(library: &Library, sample: &Json) -> Result<Case, String> {
    Ok(Case {
        group: Group::Sample,
        id: text(sample, "id")?.into(),
        quote: library.file(sample, "quote")?,
        collateral: parse(&library.file(sample, "collateral")?)?,
        at: number(sample, "verify_time")?,
        policy: TdxPolicy::default(),
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
    let mut collateral = file.get("collateral").ok_or("no collateral")?.clone();
    for (name, value) in source.get("collateral_override").and_then(Json::as_object).unwrap_or_default() {
        set(&mut collateral, name, value.clone())?;
    }
    let mut policy = TdxPolicy::default();
    set_policy(&mut policy, file.get("default_policy").ok_or("no default policy")?)?;
    if let Some(changes) = source.get("policy") {
        set_policy(&mut policy, changes)?;
    }
    Ok(Case {
        group: Group::Synthetic,
        id: text(source, "id")?.into(),
        quote: base64::decode(text(source, "quote_b64")?).ok_or("a quote is not base64")?,
        collateral,
        at: number(source, "verify_time")?,
        policy,
        root_pem: Some(text(file, "root_pem")?.into()),
        source: source.clone(),
    })
}

/// Applies one change of `mutations.json`.
fn apply(library: &Library, case: &mut Case, operation: &Json) -> Result<(), String> {
    let name = text(operation, "op")?;
    let field = || text(operation, "field");
    match name {
        _ if change::apply(&mut case.quote, operation)? => Ok(()),
        "xor_hex_field" => {
            let mut content = hex::decode(text(&case.collateral, field()?)?).ok_or("not hex")?;
            change::xor(&mut content, change::offset(operation)?, &change::bytes(operation)?)?;
            set(&mut case.collateral, field()?, Json::String(hex::encode(&content)))
        }
        "replace_text" => {
            let old = text(&case.collateral, field()?)?;
            let new = old.replacen(text(operation, "find")?, text(operation, "with")?, 1);
            if new == old {
                return Err("the text to replace is absent".into());
            }
            set(&mut case.collateral, field()?, Json::String(new))
        }
        "copy_field" => {
            let value = text(&case.collateral, text(operation, "from_field")?)?.to_owned();
            set(&mut case.collateral, field()?, Json::String(value))
        }
        "pem_xor" => pem_xor(case, operation, field()?),
        "set_time" => {
            case.at = number(operation, "unix")?;
            Ok(())
        }
        "policy" => set_policy(&mut case.policy, operation.get("set").ok_or("no set")?),
        "replace_collateral" => {
            let other = library.sample(text(operation, "with_sample")?)?;
            case.collateral = parse(&library.file(other, "collateral")?)?;
            Ok(())
        }
        _ => Err(format!("unknown operation {name}")),
    }
}

fn pem_xor(case: &mut Case, operation: &Json, field: &str) -> Result<(), String> {
    let mut chain =
        pem::certificates(text(&case.collateral, field)?.as_bytes()).map_err(|e| e.to_string())?;
    let index = usize::try_from(number(operation, "index")?).map_err(|_| "index")?;
    let der = chain.get_mut(index).ok_or("no such certificate")?;
    // A negative offset counts from the end.
    let offset = match operation.get("offset") {
        Some(Json::Number(offset)) => offset.as_i64().ok_or("offset")?,
        _ => return Err("no offset".into()),
    };
    let place = if offset < 0 {
        usize::try_from(offset.unsigned_abs()).ok().and_then(|back| der.len().checked_sub(back))
    } else {
        usize::try_from(offset).ok()
    };
    change::xor(der, place.ok_or("offset")?, &change::bytes(operation)?)?;
    let pem: String = chain
        .iter()
        .map(|der| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64::encode(der))
        })
        .collect();
    set(&mut case.collateral, field, Json::String(pem))
}

fn set_policy(policy: &mut TdxPolicy, changes: &Json) -> Result<(), String> {
    for (name, value) in changes.as_object().unwrap_or_default() {
        let flag = || value.as_bool().ok_or_else(|| format!("{name} is not a flag"));
        match name.as_str() {
            "min_tcb_evaluation_data_number" => {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                policy.min_evaluation_number = number.ok_or("not a number")?;
            }
            "acceptable_status" => {
                let words = value.as_array().ok_or("not a list")?.iter();
                let statuses: Option<Vec<TcbStatus>> =
                    words.map(|word| TcbStatus::from_word(word.as_str()?)).collect();
                policy.accepted_statuses = statuses.ok_or("unknown status")?;
            }
            "allow_debug" => policy.allow_debug = flag()?,
            "allow_migratable" => policy.allow_migratable = flag()?,
            "require_sept_ve_disable" => policy.require_sept_ve_disable = flag()?,
            "allow_perfmon" => policy.allow_perfmon = flag()?,
            "allow_service_td" => policy.allow_service_td = flag()?,
            _ => {
                let register = Register::from_name(name).ok_or_else(|| format!("unknown policy {name}"))?;
                let wanted = value.as_str().and_then(hex::decode).ok_or("not hex")?;
                policy.expected.push(ExpectedValue { register, any_of: vec![wanted] });
            }
        }
    }
    Ok(())
}

fn set(object: &mut Json, name: &str, value: Json) -> Result<(), String> {
    let Json::Object(members) = object else { return Err("not an object".into()) };
    let (_, slot) = members.iter_mut().find(|(member, _)| member == name).ok_or("no such field")?;
    *slot = value;
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<Json, String> {
    Json::parse(bytes).map_err(|error| format!("{error:?}"))
}
