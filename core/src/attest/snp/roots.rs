//! AMD's trusted roots, one per product line, with the issuers that are pinned beside them.

use std::sync::{Arc, OnceLock};

use crate::claims::{Product, SigningKey};
use crate::pki::{Authority, Certificate, Problem, PublicKey, roots};

/// The trusted root of one product line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmdRoot {
    product: Product,
    ark: Authority,
    issuers: Vec<Authority>,
}

impl AmdRoot {
    /// The product line.
    pub const fn product(&self) -> Product {
        self.product
    }

    /// The root (ARK).
    pub const fn ark(&self) -> &Authority {
        &self.ark
    }

    /// Issuers (ASK, ASVK) that are trusted by their bytes: nothing about them is asked of a revocation list.
    pub fn issuers(&self) -> &[Authority] {
        &self.issuers
    }
}

/// The trusted roots of AMD's product lines. Shared when cloned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AmdRoots(Arc<Vec<AmdRoot>>);

impl AmdRoots {
    /// The pinned roots and issuers; parsed once per process.
    pub fn vendors() -> AmdRoots {
        static PARSED: OnceLock<AmdRoots> = OnceLock::new();
        PARSED
            .get_or_init(|| {
                // That every pin parses is shown by a test; one that did not would be trusted for nothing.
                let pins = roots::AMD.iter().filter_map(|pins| {
                    let ark = Authority::root(pins.ark.der).ok()?;
                    let issuers = [&pins.ask, &pins.asvk].map(|pin| Authority::pinned(pin.der).ok());
                    let product = product_of_root(ark.common_name())?;
                    Some(AmdRoot { product, ark, issuers: issuers.into_iter().flatten().collect() })
                });
                AmdRoots(Arc::new(pins.collect()))
            })
            .clone()
    }

    /// Roots that a caller has decided to trust: certificates that sign themselves, named `ARK-` and a product, each product once. Any
    /// other certificate must be an issuer below one of them, named `SEV-` or `SEV-VLEK-` and the product, and is pinned.
    pub fn from_certificates(certificates: &[Vec<u8>]) -> Result<AmdRoots, Problem> {
        let parsed: Vec<Certificate<'_>> =
            certificates.iter().map(|der| Certificate::parse(der)).collect::<Result<_, _>>()?;
        let (arks, issuers): (Vec<_>, Vec<_>) =
            parsed.iter().partition(|certificate| certificate.issuer() == certificate.subject());
        let mut roots: Vec<AmdRoot> = Vec::new();
        for certificate in arks {
            let ark = Authority::root(certificate.der())?;
            let product = product_of_root(ark.common_name()).ok_or(Problem::Name)?;
            if roots.iter().any(|root| root.product == product) {
                return Err(Problem::ChainShape);
            }
            if !matches!(ark.key(), PublicKey::Rsa4096(_)) {
                return Err(Problem::Algorithm);
            }
            certificate.issued_by(&ark)?;
            roots.push(AmdRoot { product, ark, issuers: Vec::new() });
        }
        for certificate in issuers {
            let root = roots.iter_mut().find(|root| root.ark.subject() == certificate.issuer());
            let root = root.ok_or(Problem::ChainShape)?;
            let issuer = Authority::pinned(certificate.der())?;
            certificate.issued_by(&root.ark)?;
            if issuer_kind(issuer.common_name()).map(|(_, product)| product) != Some(root.product) {
                return Err(Problem::Name);
            }
            root.issuers.push(issuer);
        }
        if roots.is_empty() { Err(Problem::ChainShape) } else { Ok(AmdRoots(Arc::new(roots))) }
    }

    /// The trusted roots.
    pub fn roots(&self) -> &[AmdRoot] {
        &self.0
    }

    /// The root of a product line.
    pub fn of(&self, product: Product) -> Option<&AmdRoot> {
        self.0.iter().find(|root| root.product == product)
    }

    /// The root with this encoded name.
    pub(super) fn named(&self, subject: &[u8]) -> Option<&AmdRoot> {
        self.0.iter().find(|root| root.ark.subject() == subject)
    }

    /// The pinned issuer that `found` says yes to.
    pub(super) fn pinned(&self, found: impl Fn(&Authority) -> bool) -> Option<(&AmdRoot, &Authority)> {
        self.0
            .iter()
            .find_map(|root| root.issuers.iter().find(|issuer| found(issuer)).map(|issuer| (root, issuer)))
    }
}

/// Product of a root's common name, `ARK-Milan`.
fn product_of_root(common_name: &str) -> Option<Product> {
    common_name.strip_prefix("ARK-").and_then(Product::from_name)
}

/// What an issuer with this common name issues: `SEV-Milan` keys of chips, `SEV-VLEK-Milan` keys of cloud providers.
pub(super) fn issuer_kind(common_name: &str) -> Option<(SigningKey, Product)> {
    let name = common_name.strip_prefix("SEV-")?;
    match name.strip_prefix("VLEK-") {
        Some(product) => Product::from_name(product).map(|product| (SigningKey::Vlek, product)),
        None => Product::from_name(name).map(|product| (SigningKey::Vcek, product)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_has_its_root_and_both_issuers() {
        let vendors = AmdRoots::vendors();
        for product in Product::ALL {
            let root = vendors.of(product).unwrap();
            assert_eq!(root.ark().common_name(), format!("ARK-{}", product.name()));
            let kinds: Vec<_> =
                root.issuers().iter().map(|issuer| issuer_kind(issuer.common_name())).collect();
            assert_eq!(kinds, [Some((SigningKey::Vcek, product)), Some((SigningKey::Vlek, product))]);
        }
    }

    #[test]
    fn certificates_of_a_caller() {
        let der = |pin: &roots::PinnedRoot| pin.der.to_vec();
        let [milan, genoa, _] = &roots::AMD;
        let both = [der(&milan.ask), der(&genoa.ark), der(&milan.ark)];
        let read = AmdRoots::from_certificates(&both).unwrap();
        assert_eq!(read.of(Product::Milan).map(|root| root.issuers().len()), Some(1));
        assert_eq!(read.of(Product::Genoa).map(|root| root.issuers().len()), Some(0));
        assert_eq!(read.of(Product::Turin), None);
        let cases: &[(&str, Vec<Vec<u8>>, Problem)] = &[
            ("none", vec![], Problem::ChainShape),
            ("no root", vec![der(&milan.ask)], Problem::ChainShape),
            ("issuer of another root", vec![der(&milan.ark), der(&genoa.ask)], Problem::ChainShape),
            ("root twice", vec![der(&milan.ark), der(&milan.ark)], Problem::ChainShape),
            ("another vendor", vec![roots::INTEL_SGX.der.to_vec()], Problem::Name),
            ("noise", vec![vec![0x30, 0]], Problem::Malformed),
        ];
        for (case, certificates, problem) in cases {
            assert_eq!(AmdRoots::from_certificates(certificates).unwrap_err(), *problem, "{case}");
        }
    }
}
