//! Recovery of a P-384 public key from a signature, with the RustCrypto curve in both back ends: aws-lc has no point arithmetic to call.
//! Everything here is public, so its timing does not matter.

use p384::elliptic_curve::ff::PrimeField;
use p384::elliptic_curve::group::Group;
use p384::elliptic_curve::ops::Reduce;
use p384::elliptic_curve::point::DecompressPoint;
use p384::elliptic_curve::sec1::ToSec1Point;
use p384::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};

/// Recovers the uncompressed public key under which `signature` (`r || s`) is one of a 48-byte digest: `(s R - z G) / r`, where R has the
/// x-coordinate r and an odd y-coordinate if `odd`. `None` when there is none.
pub fn p384_recover(digest: &[u8; 48], signature: &[u8; 96], odd: bool) -> Option<[u8; 97]> {
    let (r, s) = signature.split_first_chunk::<48>()?;
    let s: &[u8; 48] = s.try_into().ok()?;
    let bytes = |bytes: &[u8; 48]| FieldBytes::from(*bytes);
    let point: Option<AffinePoint> = AffinePoint::decompress(&bytes(r), u8::from(odd).into()).into();
    let scalar = |number: &[u8; 48]| Option::<Scalar>::from(Scalar::from_repr(bytes(number)));
    let inverse: Option<Scalar> = scalar(r)?.invert().into();
    let (point, inverse, s) = (ProjectivePoint::from(point?), inverse?, scalar(s)?);
    let z = <Scalar as Reduce<FieldBytes>>::reduce(&bytes(digest));
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "operations of a group and a field, which have no overflow"
    )]
    let key = (point * s - ProjectivePoint::GENERATOR * z) * inverse;
    if bool::from(key.is_identity()) {
        return None;
    }
    key.to_affine().to_sec1_point(false).as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{p384_verify_fixed, sha384};

    #[test]
    fn recovered_keys_verify_and_others_do_not_exist() {
        let mut signature = [0; 96];
        signature[47] = 2;
        signature[95] = 1;
        for message in [&b"one"[..], b"another", b""] {
            let digest = sha384(&[message]);
            let keys = [false, true].map(|odd| p384_recover(&digest, &signature, odd).unwrap());
            assert_ne!(keys[0], keys[1]);
            for key in keys {
                assert!(p384_verify_fixed(&key, message, &signature));
                assert!(!p384_verify_fixed(&key, b"other", &signature));
            }
        }
        // No point has the x-coordinate 1, and zero or a number from the order on is no scalar.
        let cases: [(usize, u8); 3] = [(47, 1), (47, 0), (95, 0)];
        for (place, value) in cases {
            let mut bad = signature;
            bad[place] = value;
            let found = p384_recover(&sha384(&[b"one"]), &bad, false);
            assert!(place == 95 || found.is_none(), "{place} {value}");
        }
        assert_eq!(p384_recover(&[1; 48], &[0xff; 96], false), None);
    }
}
