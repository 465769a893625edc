//! What has to be fetched before a document can be verified. Read from evidence that is not verified yet: good enough to ask, and for
//! nothing else. Compare the manifest first, so that nothing is fetched on behalf of a deployment that would be refused anyway
//! ([`super::verify`] does so too).

use crate::attest::TrustRoots;
use crate::attest::snp::{Report, SigningKey, VerifiedVek};
use crate::attest::tdx::{Platform, Quote};
use crate::claims::Product;
use crate::error::Result;
use crate::evidence::{CollateralRequests, ContrastDocument, ContrastHardware, KdsRequests, SnpEndorsements};
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
        /// Product line, if report or document name it.
        product: Option<Product>,
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
                crl: !snp
                    .endorsements
                    .crl
                    .as_deref()
                    .is_some_and(|list| is_current(list, product, roots, at)),
                product,
            })
        }
        ContrastHardware::Tdx(quote) => {
            let quote = Quote::parse(quote)?;
            Ok(Need::Tdx { platform: quote.platform()?, requests: quote.collateral_requests()? })
        }
    }
}

/// What of earlier answers of AMD's service serves a document that needs this: each verified under the trusted roots, the certificate for the
/// very chip and patch levels, the list current at `at` (seconds). Both are verified once more with the report.
pub fn choose(need: &Need, at_hand: &[SnpEndorsements], roots: &TrustRoots, at: u64) -> SnpEndorsements {
    let mut chosen = SnpEndorsements::new();
    let Need::Snp { requests, vcek, crl, product } = need else { return chosen };
    if *vcek {
        let fits = |set: &&SnpEndorsements| {
            let alone = SnpEndorsements { vcek: set.vcek.clone(), ..SnpEndorsements::new() };
            VerifiedVek::verify(&alone, SigningKey::Vcek, roots, at)
                .is_ok_and(|vek| vek.kds_requests() == *requests)
        };
        chosen.vcek = at_hand.iter().find(fits).and_then(|set| set.vcek.clone());
    }
    if *crl {
        let lists = at_hand.iter().filter_map(|set| set.crl.as_deref());
        chosen.crl = lists.into_iter().find(|list| is_current(list, *product, roots, at)).map(<[u8]>::to_vec);
    }
    chosen
}

/// Whether a list is signed by the product's trusted root and current.
fn is_current(list: &[u8], product: Option<Product>, roots: &TrustRoots, at: u64) -> bool {
    let root = product.and_then(|product| roots.amd().of(product));
    root.is_some_and(|root| {
        RevocationList::verify(list, root.ark()).and_then(|list| list.current_at(at)).is_ok()
    })
}
