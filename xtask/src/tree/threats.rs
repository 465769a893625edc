//! Attacks on verification, T01 to T27 of the threat list: each is named in at least one test, or in the simulator's table of defects, which
//! `testkit/tests/verdicts.rs` goes through row by row.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::texts;
use super::workspace::Workspace;

/// The last attack on evidence, collateral and provenance; those behind it are about keys, answers and hosts.
const LAST: u32 = 27;

/// The simulator's table: `Variant "name" threat-number Stage outcome, "description";`.
const DEFECTS: &str = "testkit/src/sim/defect.rs";

/// Attacks that need something that is not built: number and what.
const ABSENT: &[(u32, &str)] = &[
    (26, "provenance of software (Sigstore) is not checked yet"),
    (27, "seen measurements are not kept yet"),
];

/// Attacks that no test names.
pub fn violations(root: &Path, _: &Workspace) -> Result<Vec<String>, String> {
    let mut named = BTreeSet::new();
    for (file, text) in texts(root)? {
        if file == DEFECTS {
            named.extend(text.lines().filter_map(table_number));
        } else if let Some(test) = test_part(&file, &text) {
            named.extend(numbers(test));
        }
    }
    let absent = |number: u32| ABSENT.iter().any(|(absent, _)| *absent == number);
    let missing = (1..=LAST).filter(|number| !named.contains(number) && !absent(*number));
    Ok(missing.map(|number| format!("no test names T{number:02}")).collect())
}

/// The tests of a file: all of it in a folder of tests, otherwise what follows `#[cfg(test)]`.
fn test_part<'a>(file: &str, text: &'a str) -> Option<&'a str> {
    let is_code = [".rs", ".py", ".ts", ".mts", ".c"].iter().any(|ending| file.ends_with(ending));
    let folder = file.split('/').any(|part| ["tests", "test", "tests.rs"].contains(&part));
    match (is_code, folder) {
        (false, _) => None,
        (true, true) => Some(text),
        (true, false) => text.find("#[cfg(test)]").and_then(|at| text.get(at..)),
    }
}

/// Every `T` followed by exactly two digits, as a word.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| {
        let digits = word.strip_prefix('T').filter(|digits| digits.len() == 2)?;
        digits.parse().ok()
    })
}

/// The threat number in a row of the table.
fn table_number(line: &str) -> Option<u32> {
    let (_, rest) = line.trim().split_once("\" ")?;
    let (number, rest) = rest.split_once(' ')?;
    let stages = ["Attestation", "Collateral", "Answer", "Http", "Signature"];
    if stages.iter().any(|stage| rest.starts_with(stage)) { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_numbers() {
        let found: Vec<u32> = numbers("threats T09, T10; (T4) T123 TT07 T2a").collect();
        assert_eq!(found, [9, 10]);
        let row = "    KeyMissing \"key-missing\" 4 Attestation Fails(Code::NoSigningKey), \"Names no public key.\";";
        assert_eq!(table_number(row), Some(4));
        assert_eq!(table_number("    ($( $variant:ident $name:literal 7 Attestation"), None);
        assert!(test_part("core/src/a.rs", "// T01\nfn a() {}").is_none());
        assert_eq!(test_part("core/src/a.rs", "x #[cfg(test)] y"), Some("#[cfg(test)] y"));
        assert!(test_part("core/tests/a.rs", "").is_some() && test_part("core/tests/a.md", "").is_none());
    }
}
