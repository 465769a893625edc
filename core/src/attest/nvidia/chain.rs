//! Certificate chain of a device and the firmware identity in it (`attestation.md` 3.2).

use super::checks::{CHAIN, FIRMWARE_ID};
use crate::error::{Code, Error, Result};
use crate::pki::{Authority, Certificate, Problem, pem};
use crate::wire::der::{self, Der};
use crate::wire::hex;

/// Extension of Hopper leaves: composite device id, whose last 48 bytes are the firmware identity (2.23.133.5.4.1).
const COMPOSITE_DEVICE_ID: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01];
/// Extension of Blackwell leaves: DiceTcbInfo (2.23.133.5.4.1.1).
const DICE_TCB_INFO: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01, 0x01];
/// SHA-384, 2.16.840.1.101.3.4.2.2.
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// Tag `[6]` constructed: the firmware identities in DiceTcbInfo.
const FIRMWARE_IDS: u8 = 0xa6;

/// An authority that was verified under its issuer.
#[derive(Clone)]
pub(super) struct KnownAuthority {
    issuer: Authority,
    authority: Authority,
}

/// Verifies a chain of exactly five certificates: device firmware, device, two intermediates, root. Authorities that were
/// verified for an earlier device of the same answer, under the same issuer, are not verified again. Gives the leaf, and the authorities above it up to the
/// root.
pub(super) fn verify_chain<'a>(
    chain: &'a [Vec<u8>],
    root: &Authority,
    at: u64,
    known: &mut Vec<KnownAuthority>,
) -> std::result::Result<(Certificate<'a>, Vec<Authority>), Problem> {
    let [leaf, authorities @ .., last] = chain else { return Err(Problem::ChainShape) };
    if authorities.len() != 3 || last != root.der() {
        return Err(Problem::ChainShape);
    }
    root.valid_at(at)?;
    let mut issuer = root.clone();
    let mut above = vec![root.clone()];
    for der in authorities.iter().rev() {
        issuer = verify_authority(der, &issuer, at, known)?;
        above.insert(0, issuer.clone());
    }
    let leaf = Certificate::parse(leaf)?;
    leaf.end_entity()?;
    leaf.valid_at(at)?;
    leaf.issued_by(&issuer)?;
    Ok((leaf, above))
}

/// Verifies the two authorities below the root, which devices of one system share, ahead of the devices. What is wrong with them is found
/// again, and reported, with each device.
pub(super) fn verify_shared(chain: &[u8], root: &Authority, at: u64, known: &mut Vec<KnownAuthority>) {
    let Ok(chain) = pem::certificates(chain) else { return };
    let [_, _, lower, upper, last] = chain.as_slice() else { return };
    if last != root.der() {
        return;
    }
    if let Ok(upper) = verify_authority(upper, root, at, known) {
        // Not needed here: it is among the known ones now.
        drop(verify_authority(lower, &upper, at, known));
    }
}

fn verify_authority(
    der: &[u8],
    issuer: &Authority,
    at: u64,
    known: &mut Vec<KnownAuthority>,
) -> std::result::Result<Authority, Problem> {
    let same = |known: &&KnownAuthority| known.authority.der() == der && known.issuer.der() == issuer.der();
    if let Some(known) = known.iter().find(same) {
        return Ok(known.authority.clone());
    }
    let authority = Authority::below(issuer, &Certificate::parse(der)?, at)?;
    known.push(KnownAuthority { issuer: issuer.clone(), authority: authority.clone() });
    Ok(authority)
}

/// A firmware identity that the report states must be the one of the certificate.
pub(super) fn check_firmware_id(leaf: &Certificate<'_>, stated: Option<&[u8; 48]>) -> Result<()> {
    let Some(stated) = stated else { return Ok(()) };
    let certified = match (leaf.extension(DICE_TCB_INFO), leaf.extension(COMPOSITE_DEVICE_ID)) {
        (Some(content), None) => dice_firmware_id(content),
        (None, Some(content)) => trailing_firmware_id(content),
        _ => None,
    };
    if certified == Some(stated) {
        return Ok(());
    }
    Err(Error::new(Code::GpuFirmwareId)
        .at(FIRMWARE_ID)
        .expected(certified.map_or_else(String::new, |id| hex::short(id)))
        .found(hex::short(stated)))
}

/// The first firmware identity of a DiceTcbInfo; it must be a SHA-384 digest.
fn dice_firmware_id(content: &[u8]) -> Option<&[u8; 48]> {
    let mut info = Der::new(content).inside(der::SEQUENCE)?;
    while let Some(field) = info.value() {
        if field.tag == FIRMWARE_IDS {
            let mut first = Der::new(field.content).inside(der::SEQUENCE)?;
            return if first.expect(der::OID)? == SHA384 {
                first.expect(der::OCTET_STRING)?.try_into().ok()
            } else {
                None
            };
        }
    }
    None
}

/// The OCTET STRING of 48 bytes that ends a composite device id.
fn trailing_firmware_id(content: &[u8]) -> Option<&[u8; 48]> {
    let (head, id) = content.split_last_chunk::<48>()?;
    head.ends_with(&[der::OCTET_STRING, 48]).then_some(id)
}

pub(super) fn chain_error(problem: Problem) -> Error {
    Error::new(Code::GpuChain).at(CHAIN).context(problem.to_string())
}
