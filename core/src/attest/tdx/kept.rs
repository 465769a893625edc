//! Collateral that was verified before, remembered with the roots it was verified under.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::collateral::VerifiedCollateral;
use crate::attest::TrustRoots;
use crate::error::Result;
use crate::evidence::TdxCollateral;

/// Sets that are remembered; the oldest goes first.
const SETS_MAX: usize = 8;
/// A larger set is verified every time. Real ones have about 30 KiB.
const SET_MAX_BYTES: usize = 256 * 1024;

/// What was verified, newest first. Clones share it.
#[derive(Clone, Default)]
pub(in crate::attest) struct Kept(Arc<Mutex<VecDeque<Arc<Entry>>>>);

struct Entry {
    raw: TdxCollateral,
    verified: Arc<VerifiedCollateral>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept { .. }")
    }
}

impl VerifiedCollateral {
    /// As [`VerifiedCollateral::verify`], without checking the signatures again of what was verified under these very roots before and
    /// may be used at `at`. `roots` and its clones remember the last eight sets that verified, and nothing of those that did not.
    pub fn verify_or_recall(
        collateral: &TdxCollateral,
        roots: &TrustRoots,
        at: u64,
    ) -> Result<Arc<VerifiedCollateral>> {
        let Kept(kept) = &roots.kept;
        let recalled = {
            let entries = kept.lock().unwrap_or_else(PoisonError::into_inner);
            // The whole set is compared: two sets can differ in one signature only.
            let same = entries.iter().find(|entry| entry.raw == *collateral);
            same.map(|entry| entry.verified.clone())
        };
        if let Some(verified) = recalled
            && verified.is_usable(at)
        {
            return Ok(verified);
        }
        let verified = Arc::new(VerifiedCollateral::verify(collateral, roots, at)?);
        if size(collateral) <= SET_MAX_BYTES {
            let entry = Arc::new(Entry { raw: collateral.clone(), verified: verified.clone() });
            let mut entries = kept.lock().unwrap_or_else(PoisonError::into_inner);
            entries.retain(|entry| entry.raw != *collateral);
            entries.push_front(entry);
            entries.truncate(SETS_MAX);
        }
        Ok(verified)
    }
}

fn size(collateral: &TdxCollateral) -> usize {
    let TdxCollateral {
        pck_crl_issuer_chain,
        root_ca_crl,
        pck_crl,
        tcb_info_issuer_chain,
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain,
        qe_identity,
        qe_identity_signature,
    } = collateral;
    let texts =
        [pck_crl_issuer_chain, tcb_info_issuer_chain, tcb_info, qe_identity_issuer_chain, qe_identity];
    let bytes = [root_ca_crl, pck_crl, tcb_info_signature, qe_identity_signature];
    let texts = texts.into_iter().map(String::len);
    texts.chain(bytes.into_iter().map(Vec::len)).fold(0, usize::saturating_add)
}
