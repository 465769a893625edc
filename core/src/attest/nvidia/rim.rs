//! Reference integrity manifests: NVIDIA's signed lists of what a device with a given driver or firmware measures
//! (`attestation.md` 3.3; SWID tags, ISO/IEC 19770-2).
//!
//! A manifest is verified once and compared with any number of devices. Its content is read from the canonical bytes whose digest
//! was signed, by an exact schema: an element, attribute or value that is not known makes the whole manifest unusable, since it
//! could limit what the manifest says.

use super::checks::{RIM_CHAIN, RIM_SCHEMA};
use super::xml::{self, Element};
use super::xmldsig::{self, Signer};
use crate::attest::TrustRoots;
use crate::claims::{DeviceKind, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::RIM_MAX_BYTES;
use crate::pki::{Authority, Serial};
use crate::wire::hex;

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const HASH: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const TCG: &str =
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";
/// NVIDIA's number as a maker of firmware (IANA private enterprise number).
const NVIDIA: &str = "5703";
/// Highest index: a report has at most 255 blocks.
const INDEX_MAX: u8 = 254;
/// Most values that one measurement may have.
const ALTERNATIVES_MAX: usize = 64;

/// A manifest whose signature led to the trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rim {
    /// GPU or switch.
    pub kind: DeviceKind,
    /// Chip that it is for: `GH100`, `GB100`, `LS10`.
    pub product: String,
    /// Version of the driver or firmware that it is for.
    pub version: String,
    /// Active measurements by index; index `i` is block `i + 1` of a report.
    pub(super) golden: Vec<Golden>,
    /// SHA-256 of the document as received.
    pub sha256: [u8; 32],
    /// Last second at which its signer's certificates are valid.
    pub not_after: u64,
    /// True when its signer's certificates had ended at the time of verification, which was allowed.
    pub expired: bool,
    /// True when the chain leads to a root other than NVIDIA's pinned one.
    pub custom_root: bool,
    pub(super) signer_serial: Serial,
    pub(super) authorities: Vec<Authority>,
}

/// The accepted values of one measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Golden {
    pub index: u8,
    pub any_of: Vec<[u8; 48]>,
}

impl Rim {
    /// Verifies a manifest of at most 4 MiB at the time `at` (seconds): signature, chain to the trusted root, schema.
    /// `allow_expired` accepts signers whose certificates have ended; nothing proves that they signed before.
    ///
    /// Fails with `collateral_signature`, `collateral_expired`, `collateral_not_yet_valid`, `collateral_malformed` or
    /// `limit_exceeded`.
    pub fn verify(xml: &[u8], roots: &TrustRoots, at: u64, allow_expired: bool) -> Result<Verified<Rim>> {
        if xml.len() > RIM_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("reference manifest"));
        }
        let root = roots.nvidia_rim().ok_or_else(|| {
            Error::new(Code::CollateralSignature)
                .at(RIM_CHAIN)
                .context("No NVIDIA root for manifests is trusted.")
        })?;
        let signed = xmldsig::verify(xml, root, at, allow_expired)?;
        let content =
            read(&signed.canonical).ok_or_else(|| Error::new(Code::CollateralMalformed).at(RIM_SCHEMA))?;
        let Signer { serial, authorities, not_after } = signed.signer;
        Ok(Verified::new(Rim {
            kind: content.kind,
            product: content.product,
            version: content.version,
            golden: content.golden,
            sha256: crypto::sha256(&[xml]),
            not_after,
            expired: at > not_after,
            custom_root: roots.is_custom(),
            signer_serial: serial,
            authorities,
        }))
    }

    /// Indexes of the measurements that it has values for, ascending.
    pub fn active_indices(&self) -> Vec<u8> {
        self.golden.iter().map(|golden| golden.index).collect()
    }

    /// Product and version, for messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.product, self.version)
    }
}

struct Content {
    kind: DeviceKind,
    product: String,
    version: String,
    golden: Vec<Golden>,
}

/// Reads the canonical form of a manifest; `None` when anything in it is not of the known form.
fn read(canonical: &[u8]) -> Option<Content> {
    let root = xml::parse(canonical)?;
    if !root.is(SWID, "SoftwareIdentity") || !root.has_only_elements() {
        return None;
    }
    known(&root, &["corpus", "name", "patch", "supplemental", "tagId", "version", "tagVersion"], &[])?;
    // Corpus, patch and supplemental tags are not the identity of what is installed.
    for flag in ["corpus", "patch", "supplemental"] {
        if !matches!(root.attribute("", flag), None | Some("false")) {
            return None;
        }
    }
    let [entity, meta, payload]: [&Element<'_>; 3] = root.elements().collect::<Vec<_>>().try_into().ok()?;
    if !entity.is(SWID, "Entity") || !meta.is(SWID, "Meta") || !payload.is(SWID, "Payload") {
        return None;
    }
    known(entity, &["name", "role"], &[])?;
    known(
        meta,
        &["colloquialVersion", "edition", "product", "revision", "PayloadType"],
        &[
            "BindingSpec",
            "BindingSpecVersion",
            "PlatformManufacturerId",
            "PlatformManufacturerStr",
            "PlatformModel",
            "FirmwareManufacturer",
            "FirmwareManufacturerId",
        ],
    )?;
    if entity.text() != Some("") || meta.text() != Some("") {
        return None;
    }
    let kind = match meta.attribute("", "edition")? {
        "GPU" => DeviceKind::Gpu,
        "SWITCH" => DeviceKind::Switch,
        _ => return None,
    };
    if !matches!(meta.attribute("", "PayloadType"), None | Some("direct"))
        || meta.attribute(TCG, "FirmwareManufacturerId") != Some(NVIDIA)
    {
        return None;
    }
    let text = |name| meta.attribute("", name).filter(|text| is_plain(text)).map(str::to_owned);
    Some(Content {
        kind,
        product: text("product")?,
        version: text("colloquialVersion")?,
        golden: resources(payload)?,
    })
}

/// The active measurements of a payload. Every resource must be a measurement, and no index may occur twice.
fn resources(payload: &Element<'_>) -> Option<Vec<Golden>> {
    if !payload.attributes.is_empty() || !payload.has_only_elements() {
        return None;
    }
    let mut seen = [false; 256];
    let mut golden = Vec::new();
    for resource in payload.elements() {
        if !resource.is(SWID, "Resource") || resource.text() != Some("") {
            return None;
        }
        let index: u8 = number(resource.attribute("", "index")?)?.try_into().ok()?;
        let slot = seen.get_mut(usize::from(index))?;
        if std::mem::replace(slot, true) || index > INDEX_MAX {
            return None;
        }
        let sized = resource.attribute("", "type") == Some("Measurement")
            && resource.attribute("", "size") == Some("48");
        let any_of = alternatives(resource)?;
        match resource.attribute("", "active")? {
            "True" if sized => golden.push(Golden { index, any_of }),
            "False" if sized => {}
            _ => return None,
        }
    }
    golden.sort_by_key(|golden| golden.index);
    // A manifest without values would match anything.
    (!golden.is_empty()).then_some(golden)
}

/// `Hash0`, `Hash1`, ...: as many as `alternatives` says, and nothing else in that namespace.
fn alternatives(resource: &Element<'_>) -> Option<Vec<[u8; 48]>> {
    let count = usize::try_from(number(resource.attribute("", "alternatives")?)?).ok()?;
    if count == 0 || count > ALTERNATIVES_MAX {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for i in 0..count {
        values.push(hex::decode_array(resource.attribute(HASH, &format!("Hash{i}"))?)?);
    }
    let expected = ["type", "index", "active", "alternatives", "name", "size"];
    let right = resource.attributes.iter().all(|attribute| match attribute.namespace.as_ref() {
        "" => expected.contains(&attribute.local),
        namespace => namespace == HASH,
    });
    let hashes = resource.attributes.iter().filter(|attribute| attribute.namespace == HASH).count();
    (right && hashes == count).then_some(values)
}

/// Checks that an element has no attributes but these, without namespace and in the TCG's.
fn known(element: &Element<'_>, plain: &[&str], tcg: &[&str]) -> Option<()> {
    let fits = element.attributes.iter().all(|attribute| match attribute.namespace.as_ref() {
        "" => plain.contains(&attribute.local),
        TCG => tcg.contains(&attribute.local),
        _ => false,
    });
    fits.then_some(())
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
