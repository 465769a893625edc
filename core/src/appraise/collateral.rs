//! Collateral at hand during one appraisal, verified once however many quotes it serves.

use std::sync::Arc;

use crate::attest::TrustRoots;
use crate::attest::tdx::{self, Quote, VerifiedCollateral};
use crate::claims::{TdxClaims, Verified};
use crate::error::{Code, Error, Result};
use crate::evidence::TdxCollateral;

/// Raw collateral, and what verifying it gave.
pub(crate) struct CollateralPool<'a> {
    entries: Vec<(&'a TdxCollateral, Result<Arc<VerifiedCollateral>>)>,
    roots: &'a TrustRoots,
    at: u64,
    /// Why nothing could be fetched, if it was tried.
    unreachable: Option<&'a Error>,
}

impl<'a> CollateralPool<'a> {
    /// Verifies each set of collateral once; not again what was verified under these roots before.
    pub fn new(raw: &'a [TdxCollateral], roots: &'a TrustRoots, at: u64) -> CollateralPool<'a> {
        let entries =
            raw.iter().map(|raw| (raw, VerifiedCollateral::verify_or_recall(raw, roots, at))).collect();
        CollateralPool { entries, roots, at, unreachable: None }
    }

    /// States why collateral could not be fetched: the cause of what is otherwise only missing. What is not in the way of fetching
    /// (an answer that breaks a limit) stays out: a check without collateral is indeterminate, whatever else happened.
    pub fn unreachable(self, cause: Option<&'a Error>) -> CollateralPool<'a> {
        CollateralPool {
            unreachable: cause.filter(|error| error.code() == Code::CollateralUnreachable),
            ..self
        }
    }

    /// Verifies a quote with the collateral made for its platform. Where only collateral that does not verify is at hand, the
    /// quote's own signatures are judged first, so that an altered quote is refused whatever the collateral. A single set of another
    /// platform is judged too: it was handed over for this quote, so this is `collateral_mismatch` and not a gap (threats T20).
    pub fn verify(&self, quote: &[u8]) -> Result<Verified<TdxClaims>> {
        let platform = Quote::parse(quote)?.platform()?;
        let mut unusable = None;
        for (raw, verified) in &self.entries {
            match verified {
                Ok(held) if *held.fmspc() == platform.fmspc && held.ca_kind() == platform.ca => {
                    return tdx::verify(quote, held, self.roots, self.at);
                }
                Ok(_) => {}
                Err(_) => unusable = Some(raw),
            }
        }
        match (unusable, self.entries.as_slice()) {
            (Some(raw), _) => tdx::verify_with_raw_collateral(quote, raw, self.roots, self.at),
            (None, [(_, Ok(other))]) => tdx::verify(quote, other, self.roots, self.at),
            _ => Err(self.unreachable.map_or_else(
                || Error::new(Code::CollateralMissing).at("tdx.tcb_info_signature"),
                Error::clone,
            )),
        }
    }
}
