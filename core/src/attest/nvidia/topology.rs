//! GPUs and switches of one protected PCIe system (`attestation.md` 3.1, 3.6, 4.2 item 7): whom they name must be who is there.
//!
//! In this mode data crosses the switches unencrypted. Every GPU names the switches that it is linked to, and every switch the GPUs,
//! by identities inside their signed reports.

use super::checks::TOPOLOGY;
use crate::claims::{DeviceKind, GpuClaims, GpuMode, Verified};
use crate::error::{Code, Error, Result};
use crate::wire::hex;

/// What the devices say about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// No device is in protected PCIe mode, and there is no switch.
    None,
    /// The GPUs are in protected PCIe mode and agree on their switches, but no switch was presented.
    SwitchesAbsent,
    /// GPUs and switches name each other.
    Complete,
}

/// True when a GPU's report says that it is in protected PCIe mode.
pub fn is_protected_pcie(device: &GpuClaims) -> bool {
    device.protected_pcie == Some(true) || device.details.mode == Some(GpuMode::ProtectedPcie)
}

/// Checks the devices of one system against each other. Fails with `gpu_topology`.
pub fn check(devices: &[Verified<GpuClaims>]) -> Result<Topology> {
    let of_kind = |kind| devices.iter().map(Verified::get).filter(move |device| device.kind == kind);
    let switches: Vec<&GpuClaims> = of_kind(DeviceKind::Switch).collect();
    let gpus: Vec<&GpuClaims> = of_kind(DeviceKind::Gpu).collect();
    let protected = gpus.iter().filter(|gpu| is_protected_pcie(gpu)).count();
    if protected == 0 && switches.is_empty() {
        return Ok(Topology::None);
    }
    if protected != gpus.len() {
        return Err(wrong("Some GPUs are in protected PCIe mode and some are not."));
    }
    let mut named: Option<Vec<[u8; 8]>> = None;
    for gpu in &gpus {
        // A GPU names its switches from the lowest byte on, a switch itself from the highest.
        let ids = gpu.details.linked_switches.iter().map(|id| {
            let mut id = *id;
            id.reverse();
            id
        });
        agree(&mut named, ids, "Two GPUs name different switches.")?;
    }
    if named.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("A GPU in protected PCIe mode names no switch."));
    }
    if switches.is_empty() {
        return Ok(Topology::SwitchesAbsent);
    }
    let mut seen: Option<Vec<[u8; 8]>> = None;
    let mut present = Vec::new();
    for switch in &switches {
        let id = switch.details.switch_id.ok_or_else(|| wrong("A switch does not name itself."))?;
        present.push(id);
        agree(&mut seen, switch.details.linked_gpus.iter().copied(), "Two switches name different GPUs.")?;
    }
    present.sort_unstable();
    present.dedup();
    if present.len() != switches.len() {
        return Err(wrong("Two switches name themselves alike."));
    }
    if gpus.is_empty() {
        // Switches alone: there is nothing to hold them against.
        return Ok(Topology::None);
    }
    if named.as_ref() != Some(&present) {
        return Err(wrong("The GPUs name other switches than were presented.")
            .expected(list(&named.unwrap_or_default()))
            .found(list(&present)));
    }
    let seen = seen.unwrap_or_default();
    if seen.len() != gpus.len() {
        return Err(wrong("The switches name another number of GPUs than were presented.")
            .expected(seen.len().to_string())
            .found(gpus.len().to_string()));
    }
    Ok(Topology::Complete)
}

/// Takes the first set of identities, and compares every later one with it.
fn agree(known: &mut Option<Vec<[u8; 8]>>, ids: impl Iterator<Item = [u8; 8]>, why: &str) -> Result<()> {
    let mut ids: Vec<[u8; 8]> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    match known {
        Some(known) if *known != ids => Err(wrong(why).expected(list(known)).found(list(&ids))),
        Some(_) => Ok(()),
        None => {
            *known = Some(ids);
            Ok(())
        }
    }
}

fn list(ids: &[[u8; 8]]) -> String {
    ids.iter().map(|id| hex::encode(id)).collect::<Vec<_>>().join(" ")
}

fn wrong(why: &str) -> Error {
    Error::new(Code::GpuTopology).at(TOPOLOGY).context(why)
}
