//! The fixed ID block that Contrast launches SEV-SNP guests with, and the key that its constant signature makes
//! (`protocols/privatemode.md` 3.3). There is no secret in it: that the report carries the key's digest shows family, image, security
//! version and the exact guest policy at launch.

use crate::crypto::{p384_recover, sha384};

/// Security version in the block.
const GUEST_SVN: u32 = 2;
/// Version of the block's layout.
const BLOCK_VERSION: u32 = 1;
/// AMD's number of the curve P-384.
const CURVE_P384: u32 = 2;
/// Length of a public key in AMD's layout.
const KEY_LEN: usize = 0x404;
/// Length of each coordinate in it.
const COORDINATE_LEN: usize = 72;

/// The ID block, 96 bytes: measurement, family 1, image 2, layout version, security version, guest policy.
pub fn id_block(measurement: &[u8; 48], policy: u64) -> Vec<u8> {
    let id = |first: u8| [[first].as_slice(), &[0; 15]].concat();
    [
        measurement.as_slice(),
        &id(1),
        &id(2),
        &BLOCK_VERSION.to_le_bytes(),
        &GUEST_SVN.to_le_bytes(),
        &policy.to_le_bytes(),
    ]
    .concat()
}

/// The public key (uncompressed) under which r = 2, s = 1 is a signature of the block: of the two, the one with the smaller x, then y.
pub fn id_key(block: &[u8]) -> Option<[u8; 97]> {
    let mut signature = [0; 96];
    for (place, value) in [(47_usize, 2), (95, 1)] {
        *signature.get_mut(place)? = value;
    }
    let digest = sha384(&[block]);
    let keys = [false, true].map(|odd| p384_recover(&digest, &signature, odd));
    keys.into_iter().flatten().min()
}

/// SHA-384 of that key in AMD's layout (curve, x and y little-endian in 72 bytes each, zeros), as reports carry it. `None` for the one block
/// in 2^384 that has no such key.
pub fn id_key_digest(measurement: &[u8; 48], policy: u64) -> Option<[u8; 48]> {
    let key = id_key(&id_block(measurement, policy))?;
    let (x, y) = key.get(1..)?.split_at_checked(48)?;
    let mut layout = CURVE_P384.to_le_bytes().to_vec();
    for coordinate in [x, y] {
        let end = layout.len().checked_add(COORDINATE_LEN)?;
        layout.extend(coordinate.iter().rev());
        layout.resize(end, 0);
    }
    layout.resize(KEY_LEN, 0);
    Some(sha384(&[&layout]))
}
