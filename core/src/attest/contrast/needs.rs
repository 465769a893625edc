//! What has to be fetched before a document can be verified. Read from evidence that is not verified yet: good enough to ask, and for
//! nothing else. Compare the manifest first, so that nothing is fetched on behalf of a deployment that would be refused anyway
//! ([`super::verify`] does so too).

use crate::attest::TrustRoots;
use crate::attest::snp::Report;
use crate::attest::tdx::{Platform, Quote};
use crate::claims::Product;
use crate::error::Result;
use crate::evidence::{CollateralRequests, ContrastDocument, ContrastHardware, KdsRequests, SnpAttestation};
use crate::pki::RevocationList;

/// What the vendor has to be asked for.
#[derive(Clone, Debug)]
pub enum Need {
    /// From AMD's key distribution service; the addresses name chip and patch levels.
    Snp {
        /// Addresses of what is missing and of what is not.
        requests: KdsRequests,
        /// True when the document does not carry the certificate of the signing key.
        vcek: bool,
        /// True when it does not carry a revocation list that is signed and current.
        crl: bool,
    },
    /// From Intel's provisioning service or a cache of it: everything, since nothing of it is in a document that is used.
    Tdx {
        /// Platform type and issuer.
        platform: Platform,
        /// Addresses.
        requests: CollateralRequests,
    },
}

/// What to fetch for a document at the time `at` (seconds). Fails as [`Report::kds_requests`] and [`Quote::platform`] do.
pub fn needs(document: &ContrastDocument, roots: &TrustRoots, at: u64) -> Result<Need> {
    match &document.hardware {
        ContrastHardware::Snp(snp) => {
            let report = Report::parse(&snp.report)?;
            let product = report.product()?.or(snp.product);
            Ok(Need::Snp {
                requests: report.kds_requests(product)?,
                vcek: snp.endorsements.vcek.is_none() && snp.endorsements.vlek.is_none(),
                crl: !has_current_list(snp, product, roots, at),
            })
        }
        ContrastHardware::Tdx(quote) => {
            let quote = Quote::parse(quote)?;
            Ok(Need::Tdx { platform: quote.platform()?, requests: quote.collateral_requests()? })
        }
    }
}

fn has_current_list(snp: &SnpAttestation, product: Option<Product>, roots: &TrustRoots, at: u64) -> bool {
    let root = product.and_then(|product| roots.amd().of(product));
    let (Some(root), Some(list)) = (root, &snp.endorsements.crl) else { return false };
    RevocationList::verify(list, root.ark()).and_then(|list| list.current_at(at)).is_ok()
}
