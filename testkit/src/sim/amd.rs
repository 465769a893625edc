//! AMD's key distribution service for one simulated machine (attestation.md 1.5), honest or with any defect of [`super::Stage::Kds`].

use std::collections::BTreeSet;

use proveil_core::claims::Product;

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

    fn product(&self) -> &'static str {
        let name = self.spec.leaf.product_name.as_str();
        let products = [Product::Milan, Product::Genoa, Product::Turin];
        products.iter().map(|product| product.name()).find(|product| name.starts_with(product)).unwrap_or("")
    }

    /// Answers a request to the service; `None` when the path is not one of its.
    pub fn respond(&self, defects: &BTreeSet<Defect>, path: &str) -> Option<ServiceAnswer> {
        let has = |defect| defects.contains(&defect);
        let rest = path.strip_prefix("/vcek/v1/")?;
        if has(Defect::KdsDown) {
            return Some((503, "text/plain", Vec::new()));
        }
        if has(Defect::KdsLimited) {
            return Some((429, "text/plain", Vec::new()));
        }
        let missing = Some((404, "text/plain", Vec::new()));
        let Some(what) = rest.strip_prefix(self.product()).and_then(|rest| rest.strip_prefix('/')) else {
            return missing;
        };
        let given = &self.evidence.endorsements;
        let binary = |bytes: Option<&Vec<u8>>| {
            Some((200, "application/octet-stream", bytes.cloned().unwrap_or_default()))
        };
        match what {
            "cert_chain" => {
                let chain = [&given.issuer, &given.root].into_iter().flatten();
                let text: String = chain.map(|der| pem("CERTIFICATE", der)).collect();
                Some((200, "application/x-pem-file", text.into_bytes()))
            }
            "crl" => binary(given.crl.as_ref()),
            chip => {
                let hwid = self.spec.report.chip_id;
                // On Turin the identity is eight bytes long; the rest of the field is zero.
                let known = const_hex::encode(hwid)
                    .strip_prefix(chip)
                    .is_some_and(|rest| rest.bytes().all(|b| b == b'0'));
                if has(Defect::KdsOtherChip) {
                    binary(Some(&self.other))
                } else if has(Defect::KdsHtml) {
                    Some((200, "text/html", b"<html><body>Please log in.</body></html>".to_vec()))
                } else if known {
                    binary(given.vcek.as_ref())
                } else {
                    missing
                }
            }
        }
    }
}
