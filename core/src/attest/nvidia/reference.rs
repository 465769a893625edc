//! Which reference manifests a device needs, and the comparison of its measurements with them (`attestation.md` 3.3).

use super::checks::{MEASUREMENTS, RIM_INDEX_CONFLICT, RIM_PRESENT, RIM_VERSION};
use super::rim::Rim;
use crate::attest::TrustRoots;
use crate::claims::{Architecture, DeviceKind, GpuClaims, ReferenceState, Verified};
use crate::error::{Code, Error, Result};
use crate::evidence::RimDocument;
use crate::limits::RIM_MAX_DOCUMENTS;

/// Index of the measurement that a device whose first video decoder is off need not match.
const NVDEC0_INDEX: u8 = 35;
/// Board of the one switch generation that there are manifests for.
const SWITCH_BOARD: &str = "5612_0002_890";

/// A manifest that a device needs, under the names by which NVIDIA's service serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RimId {
    /// Names in order of preference; most have one.
    pub names: Vec<String>,
    /// Version that it must be for.
    pub version: String,
}

/// The manifests that a device needs: of a GPU its driver's and its firmware's, of a switch its firmware's. Empty names what the
/// report does not state: such a device cannot be compared.
pub fn rim_ids(claims: &GpuClaims) -> Option<Vec<RimId>> {
    let vbios = claims.vbios_version.as_deref()?;
    let compact = vbios.replace('.', "").to_ascii_uppercase();
    if claims.kind == DeviceKind::Switch {
        let name = format!("NV_SWITCH_BIOS_{SWITCH_BOARD}_{compact}");
        return Some(vec![RimId { names: vec![name], version: vbios.to_owned() }]);
    }
    let driver = claims.driver_version.as_deref()?;
    let mut names = Vec::new();
    match claims.architecture {
        Architecture::Hopper => names.push(format!("NV_GPU_DRIVER_GH100_{driver}")),
        Architecture::Blackwell => {
            names.extend(
                claims.details.chip_info.as_ref().map(|chip| format!("NV_GPU_CC_DRIVER_{chip}_{driver}")),
            );
            let fallback = format!("NV_GPU_CC_DRIVER_GB100_{driver}");
            if !names.contains(&fallback) {
                names.push(fallback);
            }
        }
        Architecture::Ls10 | Architecture::Other => return None,
    }
    let details = &claims.details;
    let parts = [details.project.as_deref()?, details.project_sku.as_deref()?, details.chip_sku.as_deref()?];
    let [project, project_sku, chip_sku] = parts.map(str::to_ascii_uppercase);
    let firmware = format!("NV_GPU_VBIOS_{project}_{project_sku}_{chip_sku}_{compact}");
    Some(vec![
        RimId { names, version: driver.to_owned() },
        RimId { names: vec![firmware], version: vbios.to_owned() },
    ])
}

/// Manifests at hand, each verified once however many devices need it.
pub struct Rims {
    entries: Vec<(Option<String>, Verified<Rim>)>,
}

impl Rims {
    /// Verifies manifests at the time `at` (seconds). The first that is wrong makes all of them so: somebody handed it over as one
    /// of NVIDIA's. Fails as [`Rim::verify`] does.
    pub fn verify(
        documents: &[RimDocument],
        roots: &TrustRoots,
        at: u64,
        allow_expired: bool,
    ) -> Result<Rims> {
        if documents.len() > RIM_MAX_DOCUMENTS {
            return Err(Error::new(Code::LimitExceeded).at("reference manifests"));
        }
        let mut entries = Vec::new();
        for document in documents {
            let rim = Rim::verify(&document.xml, roots, at, allow_expired)?;
            entries.push((document.id.clone(), rim));
        }
        Ok(Rims { entries })
    }

    /// The manifests.
    pub fn iter(&self) -> impl Iterator<Item = &Verified<Rim>> {
        self.entries.iter().map(|(_, rim)| rim)
    }

    /// The manifest for an id: the one that was handed over under one of its names, else one without a name for the right version
    /// and product.
    fn find(&self, id: &RimId, claims: &GpuClaims) -> Option<&Rim> {
        let named = |name: &String| self.entries.iter().find(|(other, _)| other.as_ref() == Some(name));
        let fits = |rim: &Rim| rim.version == id.version && check_product(rim, claims).is_ok();
        let nameless = || self.entries.iter().find(|(other, rim)| other.is_none() && fits(rim));
        id.names.iter().find_map(named).or_else(nameless).map(|(_, rim)| rim.get())
    }

    /// Compares a device with its manifests.
    ///
    /// `excused` are indexes whose mismatch the policy accepts. Fails with `collateral_missing` when a manifest is not at hand, with
    /// `collateral_mismatch` when it is of another product or version or two claim one measurement, and with `gpu_measurement`,
    /// naming the indexes, when a measurement differs.
    pub fn compare(&self, claims: &GpuClaims, excused: &[u8]) -> Result<ReferenceState> {
        let found = self.manifests(claims)?;
        let result = compare(&claims.measurements, &found)?;
        let decoder_off = claims.details.nvdec0 == Some(false);
        let (accepted, refused): (Vec<u8>, Vec<u8>) = result
            .mismatching
            .iter()
            .partition(|index| excused.contains(index) || (decoder_off && **index == NVDEC0_INDEX));
        if !refused.is_empty() {
            return Err(Error::new(Code::GpuMeasurement)
                .at(MEASUREMENTS)
                .expected(found.iter().map(|rim| rim.name()).collect::<Vec<_>>().join(", "))
                .found(format!("index {}", join(&refused))));
        }
        Ok(ReferenceState::Matched {
            manifests: found.iter().map(|rim| rim.name()).collect(),
            compared: result.matching.len(),
            uncovered: result.uncovered,
            excused: accepted,
        })
    }

    fn manifests(&self, claims: &GpuClaims) -> Result<Vec<&Rim>> {
        let missing = |what: &str| Error::new(Code::CollateralMissing).at(RIM_PRESENT).expected(what);
        let ids = rim_ids(claims).ok_or_else(|| missing("a driver and firmware that manifests exist for"))?;
        let mut found = Vec::new();
        for id in &ids {
            let rim =
                self.find(id, claims).ok_or_else(|| missing(id.names.first().map_or("", |name| name)))?;
            check_version(rim, &id.version)?;
            check_product(rim, claims)?;
            found.push(rim);
        }
        Ok(found)
    }
}

/// True when a document is the manifest `id` and fit for every one of these devices that needs it. A document that is not is as good
/// as none: what stands in a cache is nobody's claim.
pub(crate) fn serves(
    document: &RimDocument,
    id: &RimId,
    devices: &[Verified<GpuClaims>],
    (roots, at, allow_expired): (&TrustRoots, u64, bool),
) -> bool {
    let named = document.id.as_ref().is_none_or(|name| id.names.contains(name));
    let Some(rim) = named.then(|| Rim::verify(&document.xml, roots, at, allow_expired).ok()).flatten() else {
        return false;
    };
    let needs = |device: &GpuClaims| rim_ids(device).is_some_and(|ids| ids.contains(id));
    let fits = |device: &Verified<GpuClaims>| !needs(device) || check_product(&rim, device).is_ok();
    check_version(&rim, &id.version).is_ok() && devices.iter().all(fits)
}

/// Checks that a manifest is for this driver or firmware version. Fails with `collateral_mismatch`.
pub fn check_version(rim: &Rim, version: &str) -> Result<()> {
    if rim.version == version {
        return Ok(());
    }
    Err(Error::new(Code::CollateralMismatch).at(RIM_VERSION).expected(version).found(rim.name()))
}

/// A manifest must be for the device's kind and chip: the service also serves manifests of one chip under another's name.
fn check_product(rim: &Rim, claims: &GpuClaims) -> Result<()> {
    let chip = claims.chip.replace('_', "");
    let names = [Some(chip.as_str()), claims.details.chip_info.as_deref()];
    if rim.kind == claims.kind && names.contains(&Some(rim.product.as_str())) {
        return Ok(());
    }
    Err(Error::new(Code::CollateralMismatch).at(RIM_VERSION).expected(chip).found(rim.name()))
}

/// Measurements against manifests, by manifest index (block `i + 1` of a report has index `i`), each list ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Equal to one of the reference values.
    pub matching: Vec<u8>,
    /// Equal to none, or not in the report.
    pub mismatching: Vec<u8>,
    /// In the report, and no manifest has an active value.
    pub uncovered: Vec<u8>,
}

/// Compares values in order of their blocks with the active values of manifests. Fails with `collateral_mismatch` when two
/// manifests claim one index.
pub fn compare(measurements: &[[u8; 48]], manifests: &[&Rim]) -> Result<Comparison> {
    let mut claimed = [false; 256];
    let mut result = Comparison { matching: Vec::new(), mismatching: Vec::new(), uncovered: Vec::new() };
    for golden in manifests.iter().flat_map(|rim| &rim.golden) {
        let slot = claimed.get_mut(usize::from(golden.index)).ok_or(Code::Internal)?;
        if std::mem::replace(slot, true) {
            return Err(Error::new(Code::CollateralMismatch)
                .at(RIM_INDEX_CONFLICT)
                .context("Two manifests have a value for one measurement.")
                .found(format!("index {}", golden.index)));
        }
        let measured = measurements.get(usize::from(golden.index));
        let list = if measured.is_some_and(|value| golden.any_of.contains(value)) {
            &mut result.matching
        } else {
            &mut result.mismatching
        };
        list.push(golden.index);
    }
    let in_report = (0..=u8::MAX).zip(claimed).take(measurements.len());
    result.uncovered = in_report.filter(|(_, claimed)| !claimed).map(|(index, _)| index).collect();
    result.matching.sort_unstable();
    result.mismatching.sort_unstable();
    Ok(result)
}

pub(super) fn join(indexes: &[u8]) -> String {
    indexes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
