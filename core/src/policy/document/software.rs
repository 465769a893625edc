//! Section `software` of a policy: reference values for what runs in a TDX guest.

use super::members::{Members, hex_texts};
use crate::error::Result;
use crate::policy::{Policy, References};
use crate::wire::json::Json;

/// Name, length in bytes and values of each reference.
type Rows<'r> = [(&'static str, usize, &'r mut Vec<Vec<u8>>); 8];

fn rows(references: &mut References) -> Rows<'_> {
    let References { mr_td, rtmr: [rtmr0, rtmr1, rtmr2, rtmr3], compose_hash, os_image_hash, app_id } =
        references;
    [
        ("app_id", 20, app_id),
        ("compose_hash", 32, compose_hash),
        ("mr_td", 48, mr_td),
        ("os_image_hash", 32, os_image_hash),
        ("rtmr0", 48, rtmr0),
        ("rtmr1", 48, rtmr1),
        ("rtmr2", 48, rtmr2),
        ("rtmr3", 48, rtmr3),
    ]
}

pub(super) fn read(members: &Members<'_>, policy: &mut Policy) -> Result<()> {
    let mut rows = rows(&mut policy.references);
    let mut names = vec!["enforces_gpu", "require_reference"];
    names.extend(rows.iter().map(|(name, ..)| *name));
    members.only(&names)?;
    for (name, length, list) in &mut rows {
        members.hex_values(name, &[*length], list)?;
    }
    members.flag("require_reference", &mut policy.require_reference)?;
    members.flag("enforces_gpu", &mut policy.software_enforces_gpu)
}

/// Every member, for the canonical form.
pub(super) fn write(policy: &Policy) -> Vec<(&'static str, Json)> {
    let mut references = policy.references.clone();
    let mut members: Vec<(&'static str, Json)> =
        rows(&mut references).into_iter().map(|(name, _, list)| (name, hex_texts(list))).collect();
    members.push(("enforces_gpu", Json::Bool(policy.software_enforces_gpu)));
    members.push(("require_reference", Json::Bool(policy.require_reference)));
    members
}
