//! Whole attestation answers: CPU quote, event log, GPU evidence and keys together.

use proveil_core::attest::TrustRoots;
use proveil_core::evidence::TdxCollateral;
use proveil_core::policy::Policy;
use proveil_core::provider::{
    EvidenceInput, Provider, RecordedReport, ReportShape, appraise, appraise_report,
};
use proveil_core::report::{Check, Enforcement, Outcome, Report};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use super::library::{Library, expected, number, text};
use super::{Got, Group, Row};

/// One answer with what a verifier is told.
#[derive(Clone)]
struct Case {
    kind: String,
    response: Json,
    /// The list of instances, where the provider has one.
    instances: Option<Json>,
    collateral: Vec<TdxCollateral>,
    nonce: [u8; 32],
    at: u64,
}

/// Judges every case.
pub fn judge(library: &Library) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for sample in library.samples() {
        rows.push(row(Group::Sample, sample, &open(library, sample)?)?);
    }
    for mutation in library.mutations() {
        let mut case = open(library, library.sample(text(mutation, "base")?)?)?;
        for operation in mutation.get("ops").and_then(Json::as_array).unwrap_or_default() {
            apply(library, &mut case, operation)
                .map_err(|error| format!("{}: {error}", text(mutation, "id").unwrap_or_default()))?;
        }
        rows.push(row(Group::Mutation, mutation, &case)?);
    }
    Ok(rows)
}

fn open(library: &Library, sample: &Json) -> Result<Case, String> {
    let names = sample.get("files").and_then(|files| files.get("collateral")).and_then(Json::as_array);
    let mut collateral = Vec::new();
    for name in names.ok_or("no collateral")? {
        let path = library.dir.join(name.as_str().ok_or("a collateral name is not a text")?);
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        collateral.push(TdxCollateral::from_json(&bytes).map_err(|error| error.to_string())?);
    }
    let nonce = match sample.get("client_nonce").and_then(Json::as_str) {
        Some(text) => hex::decode_array(text).ok_or("the nonce is not 32 bytes of hex")?,
        None => [0; 32],
    };
    Ok(Case {
        kind: text(sample, "kind")?.to_owned(),
        response: parse(&library.file(sample, "response")?)?,
        instances: match sample.get("files").and_then(|files| files.get("instances")) {
            Some(_) => Some(parse(&library.file(sample, "instances")?)?),
            None => None,
        },
        collateral,
        nonce,
        at: number(sample, "verify_time")?,
    })
}

fn row(group: Group, source: &Json, case: &Case) -> Result<Row, String> {
    let expected = expected(source)?;
    let reasons = failures(&appraised(case)?);
    let got = match reasons.first() {
        None => Got::Accept(None),
        // Several checks can fail for one change; any that the library lists is right.
        Some(first) => {
            let listed = reasons.iter().find(|reason| expected.reasons.contains(reason));
            Got::Reject(listed.unwrap_or(first).clone(), None)
        }
    };
    Ok(Row { group, id: text(source, "id")?.to_owned(), expected, got, differences: Vec::new() })
}

fn appraised(case: &Case) -> Result<Report, String> {
    let response = case.response.to_compact();
    let roots = TrustRoots::vendors();
    let policy = Policy::standard();
    let shape = match case.kind.as_str() {
        "venice" => {
            let input = EvidenceInput {
                provider: Provider::Venice,
                model: None,
                response: response.as_bytes(),
                nonce: case.nonce,
                collateral: &case.collateral,
            };
            return Ok(appraise(&input, &policy, &roots, case.at).0);
        }
        "near_gateway" => ReportShape::NearGateway,
        "dstack" => ReportShape::DstackGuest,
        "nanogpt" => ReportShape::Node,
        "chutes" => ReportShape::Chutes,
        "tinfoil_v3" => ReportShape::TinfoilV3,
        other => return Err(format!("unknown provider kind {other}")),
    };
    let instances = case.instances.as_ref().map(Json::to_compact);
    let recorded = RecordedReport {
        shape,
        response: response.as_bytes(),
        instances: instances.as_deref().map(str::as_bytes),
        nonce: case.nonce,
        collateral: &case.collateral,
    };
    Ok(appraise_report(&recorded, &policy, &roots, case.at).0)
}

/// The reason codes of the enforced checks that did not pass, in order, in the library's words.
fn failures(report: &Report) -> Vec<String> {
    let counts =
        |check: &&Check| check.enforcement() == Enforcement::Enforced && check.outcome() != Outcome::Pass;
    let mut reasons: Vec<String> =
        report.checks().iter().filter(counts).map(|check| library_word(check.id())).collect();
    reasons.dedup();
    reasons
}

/// The library calls every failure of a quote's own verification `quote`.
fn library_word(id: &str) -> String {
    // The library does not say which instance of a deployment it means.
    let id = id
        .strip_prefix("instance.")
        .and_then(|rest| rest.split_once('.'))
        .map_or(id, |(i, bare)| if i.bytes().all(|byte| byte.is_ascii_digit()) { bare } else { id });
    let scope = ["gateway.", "model."].into_iter().find(|scope| id.starts_with(scope)).unwrap_or_default();
    let bare = id.strip_prefix(scope).unwrap_or(id);
    let word = match bare {
        "quote.present" => "quote",
        _ if bare.starts_with("tdx.") => "quote",
        "eventlog.events" => "compose_event",
        "nonce.echo" => "nonce.cpu",
        _ => bare,
    };
    format!("{scope}{word}")
}

/// Applies one change of `mutations.json`; its `ops` member describes them.
fn apply(library: &Library, case: &mut Case, operation: &Json) -> Result<(), String> {
    let path = || steps(operation, "path");
    match text(operation, "op")? {
        "set_nonce" => {
            case.nonce = hex::decode_array(text(operation, "value")?).ok_or("nonce")?;
            Ok(())
        }
        "set_time" => {
            case.at = operation.get("value").and_then(Json::as_u64).ok_or("time")?;
            Ok(())
        }
        "json_set" => {
            let value = operation.get("value").ok_or("no value")?.clone();
            edit(document(case, operation)?, &path()?, &mut |slot| {
                *slot = value.clone();
                Ok(())
            })
        }
        "json_copy" => {
            let source = match operation.get("from_sample").and_then(Json::as_str) {
                Some(id) => parse(&library.file(library.sample(id)?, "response")?)?,
                None => document(case, operation)?.clone(),
            };
            let value = read(&source, &steps(operation, "from")?)?;
            edit(document(case, operation)?, &path()?, &mut |slot| {
                *slot = value.clone();
                Ok(())
            })
        }
        "json_remove" => {
            let mut path = path()?;
            let last = path.pop().ok_or("empty path")?;
            edit(document(case, operation)?, &path, &mut |holder| remove(holder, &last))
        }
        "json_replace_text" => {
            let (old, new) = (text(operation, "old")?, text(operation, "new")?);
            edit(document(case, operation)?, &path()?, &mut |slot| match slot {
                Json::String(text) if text.contains(old) => {
                    *text = text.replacen(old, new, 1);
                    Ok(())
                }
                _ => Err("the text to replace is absent".into()),
            })
        }
        "json_xor" => {
            let mut path = path()?;
            let coding = path.pop().ok_or("empty path")?;
            let offset = usize::try_from(number(operation, "offset")?).map_err(|_| "offset")?;
            let mask = hex::decode(text(operation, "bytes")?)
                .and_then(|mask| mask.first().copied())
                .ok_or("mask")?;
            edit(document(case, operation)?, &path, &mut |slot| xor(slot, &coding, offset, mask))
        }
        other => Err(format!("unknown operation {other}")),
    }
}

/// The document that an operation changes: the answer, or the one that its `role` names.
fn document<'a>(case: &'a mut Case, operation: &Json) -> Result<&'a mut Json, String> {
    match operation.get("role").and_then(Json::as_str) {
        None | Some("response") => Ok(&mut case.response),
        Some("instances") => case.instances.as_mut().ok_or_else(|| "no instances".into()),
        Some(other) => Err(format!("unknown role {other}")),
    }
}

/// One step of a path: a member, an element (negative from the end), or the decoding of a text.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Element(i64),
}

fn steps(operation: &Json, name: &str) -> Result<Vec<Step>, String> {
    let path = operation.get(name).and_then(Json::as_array).ok_or_else(|| format!("no {name}"))?;
    path.iter()
        .map(|step| match step {
            Json::String(member) => Ok(Step::Member(member.clone())),
            Json::Number(index) => index.as_i64().map(Step::Element).ok_or_else(|| "index".into()),
            _ => Err("a step is neither text nor number".into()),
        })
        .collect()
}

fn read(value: &Json, path: &[Step]) -> Result<Json, String> {
    let mut copy = value.clone();
    let mut found = None;
    edit(&mut copy, path, &mut |slot| {
        found = Some(slot.clone());
        Ok(())
    })?;
    found.ok_or_else(|| "nothing there".into())
}

/// Calls `change` on the value at a path. `@json` opens a text as JSON and writes it back afterwards.
fn edit(
    value: &mut Json,
    path: &[Step],
    change: &mut dyn FnMut(&mut Json) -> Result<(), String>,
) -> Result<(), String> {
    let Some((step, rest)) = path.split_first() else { return change(value) };
    match (step, value) {
        (Step::Member(name), slot @ Json::String(_)) if name == "@json" => {
            let mut inner = parse(slot.as_str().unwrap_or_default().as_bytes())?;
            edit(&mut inner, rest, change)?;
            *slot = Json::String(inner.to_compact());
            Ok(())
        }
        (Step::Member(name), Json::Object(members)) => {
            if !members.iter().any(|(member, _)| member == name) {
                members.push((name.clone(), Json::Null));
            }
            let slot = members.iter_mut().find(|(member, _)| member == name).map(|(_, slot)| slot);
            edit(slot.ok_or("no such member")?, rest, change)
        }
        (Step::Element(index), Json::Array(elements)) => {
            let place = place(*index, elements.len())?;
            edit(elements.get_mut(place).ok_or("no such element")?, rest, change)
        }
        _ => Err(format!("the path does not fit at {step:?}")),
    }
}

fn place(index: i64, length: usize) -> Result<usize, String> {
    let back = usize::try_from(index.unsigned_abs()).map_err(|_| "index")?;
    let place = if index < 0 { length.checked_sub(back) } else { Some(back) };
    place.ok_or_else(|| "index".into())
}

fn remove(holder: &mut Json, last: &Step) -> Result<(), String> {
    match (last, holder) {
        (Step::Member(name), Json::Object(members)) => {
            members.retain(|(member, _)| member != name);
            Ok(())
        }
        (Step::Element(index), Json::Array(elements)) => {
            let place = place(*index, elements.len())?;
            if place < elements.len() {
                elements.remove(place);
            }
            Ok(())
        }
        _ => Err("nothing to remove".into()),
    }
}

fn xor(slot: &mut Json, coding: &Step, offset: usize, mask: u8) -> Result<(), String> {
    let Step::Member(coding) = coding else { return Err("no coding".into()) };
    let original = slot.as_str().ok_or("not a text")?;
    let is_hex = coding == "@hex";
    let mut bytes = if is_hex { hex::decode_prefixed(original) } else { base64::decode(original) }
        .ok_or("not decodable")?;
    *bytes.get_mut(offset).ok_or("outside")? ^= mask;
    let prefix = if is_hex && original.starts_with("0x") { "0x" } else { "" };
    let text = if is_hex { hex::encode(&bytes) } else { base64::encode(&bytes) };
    *slot = Json::String(format!("{prefix}{text}"));
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<Json, String> {
    Json::parse(bytes).map_err(|error| format!("{error:?}"))
}
