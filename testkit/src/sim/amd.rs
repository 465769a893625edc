//! AMD's key distribution service for one simulated machine (attestation.md 1.5), honest or with any defect of [`super::Stage::Kds`].

use std::collections::BTreeSet;

use proveil_core::claims::Product;
use proveil_core::evidence::SnpEndorsements;

use super::defect::Defect;
use super::nvidia::ServiceAnswer;
use crate::forge::{Random, SnpEvidence, SnpSpec, pem};

/// A machine with AMD's processor, and what AMD says about it. Making one takes about two seconds: its roots are RSA keys.
#[derive(Clone)]
pub struct AmdMachine {
    spec: SnpSpec,
    /// A report, and the roots to trust. Its endorsements are what the service hands out.
    pub evidence: SnpEvidence,
    /// Certificate of another chip of the same authority.
    other: Vec<u8>,
}

impl AmdMachine {
    /// A current machine of a product, as of `now` (Unix seconds).
    pub fn generate(product: Product, random: &mut Random, now: u64) -> AmdMachine {
        let spec = SnpSpec::new(product, random, now).with_list();
        let other = SnpSpec::new(product, random, now).sign().endorsements.vcek.unwrap_or_default();
        AmdMachine { evidence: spec.sign(), spec, other }
    }

    /// Answers a request to the service; `None` when the path is not one of its.
    pub fn respond(&self, defects: &BTreeSet<Defect>, path: &str) -> Option<ServiceAnswer> {
        let has = |defect| defects.contains(&defect);
        path.strip_prefix("/vcek/v1/")?;
        if has(Defect::KdsDown) {
            return Some((503, "text/plain", Vec::new()));
        }
        if has(Defect::KdsLimited) {
            return Some((429, "text/plain", Vec::new()));
        }
        let is_certificate = !path.ends_with("/cert_chain") && !path.ends_with("/crl");
        if is_certificate && has(Defect::KdsOtherChip) {
            return Some((200, "application/octet-stream", self.other.clone()));
        }
        if is_certificate && has(Defect::KdsHtml) {
            return Some((200, "text/html", b"<html><body>Please log in.</body></html>".to_vec()));
        }
        kds_answer(&self.spec, &self.evidence.endorsements, path)
    }
}

/// What the service says of one machine; `None` when the path is not one of its.
pub(super) fn kds_answer(spec: &SnpSpec, given: &SnpEndorsements, path: &str) -> Option<ServiceAnswer> {
    let rest = path.strip_prefix("/vcek/v1/")?;
    let missing = Some((404, "text/plain", Vec::new()));
    let Some(what) = rest.strip_prefix(product(spec)).and_then(|rest| rest.strip_prefix('/')) else {
        return missing;
    };
    let binary =
        |bytes: Option<&Vec<u8>>| Some((200, "application/octet-stream", bytes.cloned().unwrap_or_default()));
    match what {
        "cert_chain" => {
            let chain = [&given.issuer, &given.root].into_iter().flatten();
            let text: String = chain.map(|der| pem("CERTIFICATE", der)).collect();
            Some((200, "application/x-pem-file", text.into_bytes()))
        }
        "crl" => binary(given.crl.as_ref()),
        chip => {
            // On Turin the identity is eight bytes long; the rest of the field is zero.
            let known = const_hex::encode(spec.report.chip_id)
                .strip_prefix(chip)
                .is_some_and(|rest| rest.bytes().all(|b| b == b'0'));
            if known { binary(given.vcek.as_ref()) } else { missing }
        }
    }
}

fn product(spec: &SnpSpec) -> &'static str {
    let name = spec.leaf.product_name.as_str();
    let products = [Product::Milan, Product::Genoa, Product::Turin];
    products.iter().map(|product| product.name()).find(|product| name.starts_with(product)).unwrap_or("")
}
