//! What to ask AMD's key distribution service for, given a report that is not verified yet.

use super::report::Report;
use super::{checks, tcb};
use crate::claims::{Product, SigningKey};
use crate::error::{Code, Error, Result};
use crate::evidence::KdsRequests;

impl Report<'_> {
    /// Product line that the report names; absent in version 2. Fails with `snp_product` for a processor without a root here.
    pub fn product(&self) -> Result<Option<Product>> {
        let Some(cpuid) = self.fields().cpuid else { return Ok(None) };
        cpuid.product().map(Some).ok_or_else(|| {
            let found = format!("family {:#x} model {:#x}", cpuid.family, cpuid.model);
            Error::new(Code::SnpProduct).at(checks::PRODUCT_UNKNOWN).found(found)
        })
    }

    /// Addresses of the certificates for this report. `hint` is used for version 2, which does not name its product. Not verified:
    /// good enough to ask, and for nothing else. Fails with `snp_product` when the product is not known, and with
    /// `snp_certificate_mismatch` when the chip is hidden or its identity or TCB does not have the product's form.
    pub fn kds_requests(&self, hint: Option<Product>) -> Result<KdsRequests> {
        let product = self.product()?.or(hint).ok_or_else(|| {
            Error::new(Code::SnpProduct).at(checks::PRODUCT_UNKNOWN).context("Version 2 does not name it.")
        })?;
        let fields = self.fields();
        if fields.signing_key == SigningKey::Vlek {
            return Ok(KdsRequests::provider(product));
        }
        let mismatch = |id| Error::new(Code::SnpCertificateMismatch).at(id);
        let hwid = hardware_identity(product, &fields.chip_id).filter(|_| !fields.chip_id_hidden());
        let hwid = hwid.ok_or_else(|| mismatch(checks::CHIP_ID_MISMATCH))?;
        let tcb = tcb::parts(product, &fields.reported_tcb).ok_or_else(|| mismatch(checks::TCB_RESERVED))?;
        Ok(KdsRequests::chip(product, hwid, &tcb))
    }
}

/// The bytes of a chip id that are its hardware identity; the others must be zero.
pub(super) fn hardware_identity(product: Product, chip_id: &[u8; 64]) -> Option<&[u8]> {
    let (hwid, rest) = chip_id.split_at_checked(product.hwid_len())?;
    rest.iter().all(|byte| *byte == 0).then_some(hwid)
}
