//! The certificate of a signing key: its chain to a trusted root and the profile that AMD gives it (`protocols/attestation.md` 1.4, 1.6).

use super::checks;
use super::roots::{AmdRoot, AmdRoots, issuer_kind};
use crate::attest::TrustRoots;
use crate::claims::{Product, Revocation, SigningKey, SnpSigner, TcbParts, VekFacts};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::{KdsRequests, SnpEndorsements};
use crate::pki::{Authority, Certificate, Problem, PublicKey, RevocationList};
use crate::wire::der::{self, Der};

/// AMD's arc for these certificates, 1.3.6.1.4.1.3704.1, encoded.
const ARC: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01];
/// Tag of IA5String.
const IA5_STRING: u8 = 0x16;
/// Tags of UTF8String and PrintableString.
const NAME_TAGS: [u8; 2] = [0x0c, 0x13];
/// What every name has before its common name: last byte of the attribute's OID (2.5.4.x) and value.
const NAME_TAIL: [(u8, &str); 5] =
    [(11, "Engineering"), (6, "US"), (7, "Santa Clara"), (8, "CA"), (10, "Advanced Micro Devices")];
/// Last byte of the OID of the common name.
const COMMON_NAME: u8 = 3;

/// The certificate of a signing key that led to a trusted root at a given time. Kept, it serves every report of the same chip (or
/// provider) and TCB inside [`VerifiedVek::validity`].
#[derive(Clone, Debug)]
pub struct VerifiedVek {
    pub(super) product: Product,
    pub(super) kind: SigningKey,
    pub(super) key: [u8; 97],
    pub(super) tcb: TcbParts,
    facts: VekFacts,
    pinned: bool,
    list: Option<List>,
    root: AmdRoot,
}

/// A revocation list that is signed by the root and does not name the issuer.
#[derive(Clone, Debug)]
struct List {
    this_update: u64,
    next_update: u64,
    number: Vec<u8>,
}

impl VerifiedVek {
    /// Verifies the certificate for reports that are signed with `kind`, at the time `at` (seconds).
    ///
    /// Fails with `collateral_missing`, `snp_chain`, `snp_revoked`, `collateral_malformed` or `collateral_signature`.
    pub fn verify(
        endorsements: &SnpEndorsements,
        kind: SigningKey,
        roots: &TrustRoots,
        at: u64,
    ) -> Result<VerifiedVek> {
        let vek = VerifiedVek::undated(endorsements, kind, roots, at)?;
        vek.check_dates(at)?;
        Ok(vek)
    }

    /// The same without the validity of leaf, pinned issuer and root, which a report is judged by after its signature: so a certificate
    /// of another machine is called that, and not expired.
    pub(super) fn undated(
        endorsements: &SnpEndorsements,
        kind: SigningKey,
        roots: &TrustRoots,
        at: u64,
    ) -> Result<VerifiedVek> {
        let (wanted, other) = match kind {
            SigningKey::Vlek => (&endorsements.vlek, &endorsements.vcek),
            SigningKey::Vcek | SigningKey::None => (&endorsements.vcek, &endorsements.vlek),
        };
        // One of the wrong kind is judged too, so that the failure says that the kinds differ.
        let leaf = wanted.as_ref().or(other.as_ref()).ok_or_else(|| {
            let name = if kind == SigningKey::Vlek { "VLEK" } else { "VCEK" };
            Error::new(Code::CollateralMissing).at(checks::VEK_MISSING).expected(name)
        })?;
        let leaf = Certificate::parse(leaf).map_err(chain_error)?;
        let amd = roots.amd();
        let link = Link::find(endorsements, &leaf, amd, at)?;
        leaf.issued_by(&link.issuer).map_err(chain_error)?;
        let profile = Profile::read(&leaf, &link.issuer)?;
        if profile.product != link.root.product() {
            return Err(profile_error("Issuer and root are of different products."));
        }
        let list = link.list(endorsements.crl.as_deref())?;
        let ark = link.root.ark();
        let facts = VekFacts {
            signer: profile.signer,
            certificate_sha256: crypto::sha256(&[leaf.der()]),
            not_before: leaf.not_before().max(link.issuer.not_before()).max(ark.not_before()),
            not_after: leaf.not_after().min(link.issuer.not_after()).min(ark.not_after()),
            revocation: Revocation::Unknown,
            list_expires_at: None,
            list_number: None,
        };
        Ok(VerifiedVek {
            product: profile.product,
            kind: profile.kind,
            key: profile.key,
            tcb: profile.tcb,
            facts,
            pinned: link.pinned,
            list,
            root: link.root.clone(),
        })
    }

    /// Product line of the certificate.
    pub const fn product(&self) -> Product {
        self.product
    }

    /// Facts of the certificates at a time: the list counts only while it is current.
    pub fn facts_at(&self, at: u64) -> VekFacts {
        let current = self.list.as_ref().filter(|list| list.this_update <= at && at < list.next_update);
        let revocation = match current {
            Some(_) => Revocation::List,
            None if self.pinned => Revocation::Pinned,
            None => Revocation::Unknown,
        };
        VekFacts {
            revocation,
            list_expires_at: current.map(|list| list.next_update),
            list_number: current.map(|list| list.number.clone()),
            ..self.facts.clone()
        }
    }

    /// First and last second in which it may be used.
    pub const fn validity(&self) -> (u64, u64) {
        (self.facts.not_before, self.facts.not_after)
    }

    /// The holder of the key.
    /// Addresses at AMD's service under which this certificate and those above it are handed out: equal to those of a report that the
    /// certificate is for.
    pub fn kds_requests(&self) -> KdsRequests {
        match &self.facts.signer {
            SnpSigner::Chip(hwid) => KdsRequests::chip(self.product, hwid, &self.tcb),
            SnpSigner::Provider(_) => KdsRequests::provider(self.product),
        }
    }

    pub(super) const fn signer(&self) -> &SnpSigner {
        &self.facts.signer
    }

    /// Refuses when it was verified under a root or pins that are not those of `roots`.
    pub(super) fn check_root(&self, roots: &TrustRoots) -> Result<()> {
        if roots.amd().of(self.product) == Some(&self.root) {
            return Ok(());
        }
        Err(root_error("It was verified under another root."))
    }

    /// Refuses outside of the chain's common validity, both ends included.
    pub(super) fn check_dates(&self, at: u64) -> Result<()> {
        if at < self.facts.not_before {
            return Err(chain_error(Problem::NotYetValid));
        }
        if at > self.facts.not_after {
            return Err(chain_error(Problem::Expired));
        }
        Ok(())
    }
}

/// Issuer and root of a leaf.
struct Link<'r> {
    root: &'r AmdRoot,
    issuer: Authority,
    pinned: bool,
}

impl<'r> Link<'r> {
    /// The issuer that was given, which must be pinned or lead to a trusted root; without one, the pinned issuer that the leaf names.
    fn find(
        endorsements: &SnpEndorsements,
        leaf: &Certificate<'_>,
        amd: &'r AmdRoots,
        at: u64,
    ) -> Result<Link<'r>> {
        if amd.roots().is_empty() {
            return Err(root_error("No AMD root is trusted."));
        }
        let given = endorsements.issuer.as_deref();
        let pinned = match given {
            Some(der) => amd.pinned(|issuer| issuer.der() == der),
            None => amd.pinned(|issuer| issuer.subject() == leaf.issuer()),
        };
        let link = match (pinned, given) {
            (Some((root, issuer)), _) => {
                Link::check_root(endorsements, root)?;
                Link { root, issuer: issuer.clone(), pinned: true }
            }
            (None, Some(der)) => {
                let certificate = Certificate::parse(der).map_err(chain_error)?;
                let root = amd.named(certificate.issuer());
                let root = root.ok_or_else(|| root_error("The issuer names another root."))?;
                Link::check_root(endorsements, root)?;
                let issuer = Authority::below(root.ark(), &certificate, at).map_err(chain_error)?;
                Link { root, issuer, pinned: false }
            }
            (None, None) => return Err(root_error("No trusted issuer has the name that it states.")),
        };
        Ok(link)
    }

    /// A root that was given must be the trusted one.
    fn check_root(endorsements: &SnpEndorsements, root: &AmdRoot) -> Result<()> {
        match &endorsements.root {
            Some(der) if der.as_slice() != root.ark().der() => Err(root_error("It ends at another root.")),
            _ => Ok(()),
        }
    }

    /// Judges the issuer by the root's list. A list that is not current cannot show that the issuer is not revoked, but that it is.
    fn list(&self, crl: Option<&[u8]>) -> Result<Option<List>> {
        let Some(crl) = crl else { return Ok(None) };
        let list = RevocationList::verify(crl, self.root.ark()).map_err(|problem| {
            let code = if problem == Problem::Malformed {
                Code::CollateralMalformed
            } else {
                Code::CollateralSignature
            };
            Error::new(code).at(checks::CRL_SIGNATURE).context(problem.to_string())
        })?;
        if list.revokes(self.issuer.serial()) {
            return Err(Error::new(Code::SnpRevoked).at(checks::REVOKED).found(self.issuer.common_name()));
        }
        Ok(Some(List {
            this_update: list.this_update(),
            next_update: list.next_update(),
            number: list.number().to_vec(),
        }))
    }
}

/// What AMD's profile says about a leaf.
struct Profile {
    product: Product,
    kind: SigningKey,
    key: [u8; 97],
    tcb: TcbParts,
    signer: SnpSigner,
}

impl Profile {
    /// Judges names, purpose, key and AMD's extensions.
    fn read(leaf: &Certificate<'_>, issuer: &Authority) -> Result<Profile> {
        let (kind, product) = issuer_kind(issuer.common_name())
            .filter(|_| is_amd_name(issuer.subject(), issuer.common_name()))
            .ok_or_else(|| {
                profile_error("The issuer does not have the name of one.").found(issuer.common_name())
            })?;
        if !matches!(issuer.key(), PublicKey::Rsa4096(_)) {
            return Err(profile_error("The issuer's key is not RSA-4096."));
        }
        let name = if kind == SigningKey::Vlek { "SEV-VLEK" } else { "SEV-VCEK" };
        if !is_amd_name(leaf.subject(), name) {
            let found = leaf.common_name().unwrap_or_default();
            return Err(profile_error("It does not have the name of its kind.").expected(name).found(found));
        }
        leaf.end_entity().map_err(|problem| profile_error(&problem.to_string()))?;
        let PublicKey::P384(key) = leaf.key() else { return Err(profile_error("Its key is not P-384.")) };
        let extensions = Extensions::read(leaf)
            .ok_or_else(|| profile_error("An extension is not in AMD's form, or not one that is known."))?;
        let (tcb, signer) = extensions.check(product, kind).ok_or_else(|| {
            profile_error("An extension is missing, or is of another product or kind of key.")
        })?;
        Ok(Profile { product, kind, key: *key, tcb, signer })
    }
}

/// AMD's extensions as they stand there; each at most once.
#[derive(Default)]
struct Extensions<'a> {
    struct_version: Option<u8>,
    product_name: Option<&'a str>,
    /// By the last arc, 1 to 9: boot loader, TEE, SNP, four without a meaning, microcode, FMC.
    spl: [Option<u8>; 9],
    hwid: Option<&'a [u8]>,
    csp_id: Option<&'a str>,
}

impl<'a> Extensions<'a> {
    fn read(leaf: &Certificate<'a>) -> Option<Extensions<'a>> {
        let mut read = Extensions::default();
        for (oid, content) in leaf.extensions() {
            let Some(arc) = oid.strip_prefix(ARC) else { continue };
            match arc {
                [1] => read.struct_version = Some(small_integer(content)?),
                [2] => read.product_name = Some(ia5_string(content)?),
                [3, n @ 1..=9] => {
                    *read.spl.get_mut(usize::from(n.checked_sub(1)?))? = Some(small_integer(content)?);
                }
                [4] => read.hwid = Some(content),
                [5] => read.csp_id = Some(ia5_string(content)?),
                // A number that is not understood could be part of what the key stands for.
                _ => return None,
            }
        }
        Some(read)
    }

    /// Compares with product and kind; gives the TCB and the holder.
    fn check(&self, product: Product, kind: SigningKey) -> Option<(TcbParts, SnpSigner)> {
        let turin = product == Product::Turin;
        // `Milan-B0`: the stepping does not matter.
        let name = self.product_name.and_then(|name| name.split('-').next());
        if name != Some(product.name()) || self.struct_version != Some(u8::from(turin)) {
            return None;
        }
        let [bootloader, tee, snp, spl4, spl5, spl6, spl7, microcode, fmc] = self.spl;
        // Turin leaves the fourth out and has the ninth instead.
        let unused = [spl4.or(turin.then_some(0)), spl5, spl6, spl7];
        if unused.iter().any(|spl| *spl != Some(0)) || fmc.is_some() != turin {
            return None;
        }
        let tcb = TcbParts {
            fmc: fmc.unwrap_or(0),
            bootloader: bootloader?,
            tee: tee?,
            snp: snp?,
            microcode: microcode?,
        };
        let signer = match (kind, self.hwid, self.csp_id) {
            (SigningKey::Vcek, Some(hwid), None) => SnpSigner::Chip(hardware_identity(hwid, product)?),
            (SigningKey::Vlek, None, Some(csp_id)) => SnpSigner::Provider(csp_id.to_owned()),
            _ => return None,
        };
        Some((tcb, signer))
    }
}

/// The identity as bare bytes (all certificates seen) or in an OCTET STRING.
fn hardware_identity(content: &[u8], product: Product) -> Option<Vec<u8>> {
    let length = product.hwid_len();
    if content.len() == length {
        return Some(content.to_vec());
    }
    let mut outer = Der::new(content);
    let inner = outer.expect(der::OCTET_STRING)?;
    (inner.len() == length && outer.is_empty()).then(|| inner.to_vec())
}

/// One INTEGER from 0 to 255 in DER and nothing else.
fn small_integer(content: &[u8]) -> Option<u8> {
    let mut value = Der::new(content);
    let number = value.unsigned(der::INTEGER)?;
    if value.is_empty() { u8::try_from(number).ok() } else { None }
}

/// One IA5String and nothing else.
fn ia5_string(content: &[u8]) -> Option<&str> {
    let mut value = Der::new(content);
    let text = value.expect(IA5_STRING).filter(|text| text.is_ascii())?;
    if value.is_empty() { std::str::from_utf8(text).ok() } else { None }
}

/// True for a name of AMD's attributes in AMD's order with this common name.
fn is_amd_name(name: &[u8], common_name: &str) -> bool {
    let read = || {
        let mut outer = Der::new(name);
        let mut sets = outer.inside(der::SEQUENCE)?;
        for (attribute, value) in NAME_TAIL.into_iter().chain([(COMMON_NAME, common_name)]) {
            let mut set = sets.inside(0x31)?;
            let mut pair = set.inside(der::SEQUENCE)?;
            let oid = pair.expect(der::OID)?;
            let text = pair.value().filter(|text| NAME_TAGS.contains(&text.tag))?;
            let same = oid == [0x55, 0x04, attribute] && text.content == value.as_bytes();
            if !same || !pair.is_empty() || !set.is_empty() {
                return None;
            }
        }
        (sets.is_empty() && outer.is_empty()).then_some(())
    };
    read().is_some()
}

/// A chain problem with its check.
fn chain_error(problem: Problem) -> Error {
    let check = match problem {
        Problem::Malformed => checks::CHAIN_PARSE,
        Problem::ChainShape => checks::CHAIN_ROOT,
        Problem::Name | Problem::Signature => checks::CHAIN_SIGNATURE,
        Problem::Expired | Problem::NotYetValid => checks::CHAIN_EXPIRED,
        Problem::Algorithm | Problem::Extension | Problem::Usage => checks::CHAIN_PROFILE,
    };
    Error::new(Code::SnpChain).at(check).context(problem.to_string())
}

fn root_error(context: &str) -> Error {
    chain_error(Problem::ChainShape).context(context)
}

fn profile_error(context: &str) -> Error {
    Error::new(Code::SnpChain).at(checks::CHAIN_PROFILE).context(context)
}
