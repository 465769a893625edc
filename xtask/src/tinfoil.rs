//! The step "tinfoil conformance": every case of Tinfoil's public suite through the adapter in `tests/tinfoil`.
//!
//! The cases are captured evidence and not part of the repository: `evidence/tinfoil-conformance` with an index (`cases.json`) of the
//! verdict and the acceptable rejection codes of each case. A case is right when exit code, code and every output that it names are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proveil_core::wire::json::Json;

use crate::evidence;
use crate::package_c::target_dir;
use crate::process::{cargo, run};

/// Where the cases are.
fn dir() -> PathBuf {
    evidence::default_dir().join("tinfoil-conformance")
}

/// Why the step cannot run here, if so.
pub fn missing(_: &Path) -> Option<String> {
    let dir = dir();
    (!dir.join("cases.json").is_file()).then(|| format!("no conformance cases at {}", dir.display()))
}

/// Runs every case; prints one line per group, and one per case that is wrong.
pub fn test(root: &Path) -> Result<(), String> {
    run(root, &cargo(), ["build", "--quiet", "--package", "proveil-tinfoil-adapter"])?;
    let adapter = target_dir(root).join("debug/proveil-tinfoil-adapter");
    let index = read(&dir().join("cases.json"))?;
    let cases = index.get("cases").and_then(Json::as_array).ok_or("cases.json has no cases")?;
    let mut counts: Vec<(String, usize, usize)> = Vec::new();
    let mut wrong = 0;
    for case in cases {
        let member =
            |name| case.get(name).and_then(Json::as_str).ok_or_else(|| format!("a case has no {name}"));
        let (group, id) = (member("group")?, member("id")?);
        if !counts.iter().any(|(known, ..)| known == group) {
            counts.push((group.to_owned(), 0, 0));
        }
        let outcome = judge(&adapter, &index, case, group, id);
        if let Err(difference) = &outcome {
            println!("  MISMATCH {group}/{id}: {difference}");
            wrong += 1;
        }
        for (_, right, all) in counts.iter_mut().filter(|(known, ..)| known == group) {
            *all += 1;
            *right += usize::from(outcome.is_ok());
        }
    }
    for (group, right, all) in &counts {
        println!("  {group:<20}{right:>4} of {all:>3} right");
    }
    println!("{} cases judged, {wrong} mismatches", cases.len());
    if wrong == 0 && !cases.is_empty() {
        Ok(())
    } else {
        Err(format!("{wrong} of {} cases differ", cases.len()))
    }
}

fn judge(adapter: &Path, index: &Json, case: &Json, group: &str, id: &str) -> Result<(), String> {
    let folder = dir().join(group).join(id);
    let input = std::fs::read(folder.join("input.json")).map_err(|error| error.to_string())?;
    let (exit, answer) = call(adapter, &format!("verify-{group}"), &input)?;
    let said = answer.to_compact();
    let expected = case.get("exit_code").and_then(Json::as_u64).ok_or("no exit code")?;
    if u64::try_from(exit) != Ok(expected) {
        return Err(format!("exit code {exit} instead of {expected}: {said}"));
    }
    let codes = case.get("rejection_codes").and_then(Json::as_array).unwrap_or_default();
    if codes.is_empty() {
        let path = format!("{group}/{id}");
        return compare(&read(&folder.join("expected.json"))?, index, &path, answer.get("outputs"));
    }
    let code = answer.get("rejection").and_then(|rejection| rejection.get("code")).and_then(Json::as_str);
    if codes.iter().any(|known| known.as_str() == code) { Ok(()) } else { Err(said) }
}

fn call(adapter: &Path, stage: &str, input: &[u8]) -> Result<(i32, Json), String> {
    let mut child = Command::new(adapter)
        .arg(stage)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", adapter.display()))?;
    // The adapter reads all of its input before it writes, so this cannot block for good; dropping the pipe ends the input.
    child.stdin.take().ok_or("no standard input")?.write_all(input).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let exit = output.status.code().ok_or("ended by a signal")?;
    let answer = Json::parse(&output.stdout).map_err(|error| format!("exit {exit}, output: {error:?}"))?;
    Ok((exit, answer))
}

/// Every output that the case names must be equal; what the index knows to be wrong in it is replaced first.
fn compare(expected: &Json, index: &Json, path: &str, found: Option<&Json>) -> Result<(), String> {
    let Some(Json::Object(outputs)) = expected.get("outputs") else { return Ok(()) };
    let found = found.ok_or("no outputs")?;
    let known = index.get("known_wrong_expected");
    let known = known.filter(|known| known.get("case").and_then(Json::as_str) == Some(path));
    let truths =
        known.and_then(|known| known.get("true_values")).and_then(Json::as_object).unwrap_or_default();
    let corrected = |name: &str, value: &Json| match (name, value) {
        ("body_fields", Json::Object(fields)) => {
            let field = |(name, value): &(String, Json)| {
                let truth = truths.iter().find(|(wrong, _)| wrong == name).map_or(value, |(_, truth)| truth);
                (name.clone(), truth.clone())
            };
            Json::Object(fields.iter().map(field).collect())
        }
        _ => value.clone(),
    };
    for (name, value) in outputs {
        let (expected, found) = (corrected(name, value), found.get(name).unwrap_or(&Json::Null));
        let text = |value: &Json| value.to_canonical().to_lowercase();
        if text(&expected) != text(found) {
            return Err(format!("{name}\n    expected {}\n    found    {}", text(&expected), text(found)));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Json, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Json::parse(&bytes).map_err(|error| format!("{}: {error:?}", path.display()))
}
