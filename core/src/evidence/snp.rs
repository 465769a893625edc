//! Certificates and revocation list for one SEV-SNP report (`protocols/attestation.md` 1.5): the table beside an extended report, files,
//! and the addresses of AMD's key distribution service.

use crate::claims::{Product, TcbParts};
use crate::error::{Code, Error, Result};
use crate::http::{BaseUrl, HttpRequest, Method};
use crate::limits::{CERTIFICATE_MAX_BYTES, CHAIN_MAX_BYTES, CRL_MAX_BYTES};
use crate::pki::{Certificate, pem};
use crate::wire::der::{self, Der};
use crate::wire::{Reader, hex};

/// AMD's key distribution service.
const KDS: &str = "https://kdsintf.amd.com";
/// The check that failures of this module name.
const FORMAT: &str = "snp.endorsements.format";
/// Length of one entry of a certificate table.
const ENTRY_LEN: usize = 24;
/// Entries that a table may have. AMD names four kinds, clouds add one or two.
const TABLE_MAX_ENTRIES: usize = 16;

/// Kinds of table entries that are used, by GUID in the byte order of RFC 4122, as firmware tools write it.
const GUIDS: [([u8; 16], Slot); 4] = [
    (guid(b"63da758de6644564adc5f4b93be8accd"), Slot::Vcek),
    (guid(b"a8074bc2a25a483eaae639c045a0b8a1"), Slot::Vlek),
    (guid(b"4ab7b379bbac4fe4a02f05aef327c782"), Slot::Issuer),
    (guid(b"c0b406a4a803495297433fb6014cd0ae"), Slot::Root),
];

const fn guid(hex: &[u8; 32]) -> [u8; 16] {
    let Ok(bytes) = const_hex::const_decode_to_array(hex) else { panic!("not a GUID") };
    bytes
}

/// Tag `[0]` constructed: the version of a certificate.
const CERTIFICATE_TAG: u8 = 0xa0;

/// Where a certificate belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Vcek,
    Vlek,
    Issuer,
    Root,
}

/// Certificates and revocation list as received, DER. Nothing in them is verified.
///
/// Issuer and root are never trusted for being here. When they are given, they must be the trusted ones or lead to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnpEndorsements {
    /// Certificate of the chip's key.
    pub vcek: Option<Vec<u8>>,
    /// Certificate of the cloud provider's key.
    pub vlek: Option<Vec<u8>>,
    /// Certificate of the issuer (ASK or ASVK).
    pub issuer: Option<Vec<u8>>,
    /// Certificate of the root (ARK).
    pub root: Option<Vec<u8>>,
    /// Revocation list of the root.
    pub crl: Option<Vec<u8>>,
}

impl SnpEndorsements {
    /// Nothing given.
    pub fn new() -> SnpEndorsements {
        SnpEndorsements::default()
    }

    /// Reads the certificate table that comes with an extended report. Kinds that are not used here are skipped. Fails with
    /// `collateral_malformed` when an entry leaves the table, overlaps another or repeats its GUID.
    pub fn from_certificate_table(table: &[u8]) -> Result<SnpEndorsements> {
        let mut endorsements = SnpEndorsements::new();
        for (slot, certificate) in read_table(table)? {
            endorsements.put(slot, certificate)?;
        }
        Ok(endorsements)
    }

    /// Reads files in any order: each one certificate or revocation list in DER, PEM with any of these certificates, PEM with a
    /// revocation list, or a certificate table. Certificates are told apart by their names. Fails with `collateral_malformed`, also
    /// for two different certificates of one kind.
    pub fn from_files<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Result<SnpEndorsements> {
        let mut endorsements = SnpEndorsements::new();
        for file in files {
            endorsements.add_file(file)?;
        }
        Ok(endorsements)
    }

    /// Adds one file; see [`SnpEndorsements::from_files`].
    pub fn add_file(&mut self, file: &[u8]) -> Result<()> {
        if file.starts_with(b"-----BEGIN X509 CRL") {
            let text = std::str::from_utf8(file).map_err(|_| malformed("A revocation list is not text."))?;
            let der = pem::crl(text).map_err(|problem| malformed(&problem.to_string()))?;
            return self.put_crl(&der);
        }
        if file.starts_with(b"-----BEGIN") {
            let chain = pem::certificates(file).map_err(|problem| malformed(&problem.to_string()))?;
            return chain.iter().try_for_each(|der| self.put_named(der));
        }
        if file.first() == Some(&der::SEQUENCE) {
            return match first_tag(file) {
                Some(CERTIFICATE_TAG) => self.put_named(file),
                Some(der::INTEGER) => self.put_crl(file),
                _ => Err(malformed("A file is neither a certificate nor a revocation list.")),
            };
        }
        read_table(file)?.into_iter().try_for_each(|(slot, certificate)| self.put(slot, certificate))
    }

    fn put_named(&mut self, der: &[u8]) -> Result<()> {
        let certificate = Certificate::parse(der).map_err(|problem| malformed(&problem.to_string()))?;
        let slot = match certificate.common_name() {
            Some("SEV-VCEK") => Slot::Vcek,
            Some("SEV-VLEK") => Slot::Vlek,
            Some(name) if name.starts_with("SEV-") => Slot::Issuer,
            Some(name) if name.starts_with("ARK-") => Slot::Root,
            name => {
                return Err(
                    malformed("A certificate has none of AMD's names.").found(name.unwrap_or_default())
                );
            }
        };
        self.put(slot, der)
    }

    fn put(&mut self, slot: Slot, der: &[u8]) -> Result<()> {
        if der.len() > CERTIFICATE_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("SNP certificate"));
        }
        let place = match slot {
            Slot::Vcek => &mut self.vcek,
            Slot::Vlek => &mut self.vlek,
            Slot::Issuer => &mut self.issuer,
            Slot::Root => &mut self.root,
        };
        match place {
            Some(other) if other.as_slice() != der => Err(malformed("Two certificates of one kind differ.")),
            _ => {
                *place = Some(der.to_vec());
                Ok(())
            }
        }
    }

    fn put_crl(&mut self, der: &[u8]) -> Result<()> {
        if der.len() > CRL_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("SNP revocation list"));
        }
        match &self.crl {
            Some(other) if other.as_slice() != der => Err(malformed("Two revocation lists differ.")),
            _ => {
                self.crl = Some(der.to_vec());
                Ok(())
            }
        }
    }
}

/// Tag of the first value in the signed part of one signed object that takes up the whole file: `[0]` in a version 3 certificate, INTEGER
/// in a revocation list.
fn first_tag(file: &[u8]) -> Option<u8> {
    let mut whole = Der::new(file);
    let signed = whole.inside(der::SEQUENCE)?.inside(der::SEQUENCE)?;
    if whole.is_empty() { signed.peek() } else { None }
}

/// Takes a table apart: entries of GUID, offset and length, ended by one of zeros; offsets are from the start of the table.
fn read_table(table: &[u8]) -> Result<Vec<(Slot, &[u8])>> {
    if table.len() > CHAIN_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("SNP certificate table"));
    }
    let mut reader = Reader::new(table);
    let mut entries: Vec<([u8; 16], std::ops::Range<usize>)> = Vec::new();
    loop {
        let (guid, offset, length) = entry(&mut reader).ok_or_else(|| malformed("The table has no end."))?;
        if guid == [0; 16] && offset == 0 && length == 0 {
            break;
        }
        if entries.len() >= TABLE_MAX_ENTRIES {
            return Err(malformed("The table has too many entries."));
        }
        if entries.iter().any(|(other, _)| *other == guid) {
            return Err(malformed("The table names a kind twice.").found(hex::encode(&guid)));
        }
        let end = offset.checked_add(length).filter(|end| *end <= table.len());
        entries.push((guid, offset..end.ok_or_else(|| malformed("An entry leaves the table."))?));
    }
    let header = entries.len().saturating_add(1).saturating_mul(ENTRY_LEN);
    let mut found = Vec::new();
    for (i, (guid, range)) in entries.iter().enumerate() {
        let overlaps = |other: &std::ops::Range<usize>| range.start < other.end && other.start < range.end;
        if range.start < header || entries.iter().take(i).any(|(_, other)| overlaps(other)) {
            return Err(malformed("Entries of the table overlap."));
        }
        let Some((_, slot)) = GUIDS.iter().find(|(known, _)| known == guid) else { continue };
        let certificate = table.get(range.clone()).filter(|certificate| !certificate.is_empty());
        found.push((*slot, certificate.ok_or_else(|| malformed("An entry of the table is empty."))?));
    }
    Ok(found)
}

fn entry(reader: &mut Reader<'_>) -> Option<([u8; 16], usize, usize)> {
    let guid = *reader.array()?;
    let mut number = || reader.u32_le().and_then(|number| usize::try_from(number).ok());
    Some((guid, number()?, number()?))
}

fn malformed(context: &str) -> Error {
    Error::new(Code::CollateralMalformed).at(FORMAT).context(context)
}

/// Relative addresses at AMD's key distribution service, `https://kdsintf.amd.com`, which limits the rate of requests. A chip's
/// certificate never changes, so one answer per chip and TCB is enough for good; these addresses name the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdsRequests {
    /// The chip's certificate, DER. Absent for a cloud provider's key, whose certificate the service does not hand out.
    pub vcek: Option<String>,
    /// Issuer and root, PEM.
    pub cert_chain: String,
    /// Revocation list of the root, DER.
    pub crl: String,
}

impl KdsRequests {
    /// For a chip with this hardware identity (64 bytes, on Turin 8) at these patch levels.
    pub fn chip(product: Product, hwid: &[u8], tcb: &TcbParts) -> KdsRequests {
        let TcbParts { fmc, bootloader, tee, snp, microcode } = *tcb;
        let fmc = if product == Product::Turin { format!("fmcSPL={fmc:02}&") } else { String::new() };
        let vcek = format!(
            "/vcek/v1/{}/{}?{fmc}blSPL={bootloader:02}&teeSPL={tee:02}&snpSPL={snp:02}&ucodeSPL={microcode:02}",
            product.name(),
            hex::encode(hwid),
        );
        KdsRequests { vcek: Some(vcek), ..KdsRequests::of_kind("vcek", product) }
    }

    /// For a cloud provider's key.
    pub fn provider(product: Product) -> KdsRequests {
        KdsRequests::of_kind("vlek", product)
    }

    /// The requests, to AMD's service or a mirror of it: issuer and root, the revocation list, and the chip's certificate, if there is
    /// one to ask for. Each answer is a file for [`SnpEndorsements::add_file`].
    pub fn http(&self, mirror: Option<&BaseUrl>) -> (HttpRequest, HttpRequest, Option<HttpRequest>) {
        let base = mirror.map_or(KDS, BaseUrl::as_str);
        let request = |path: &String, purpose: &'static str, limit: usize| {
            HttpRequest::new(Method::Get, format!("{base}{path}"), purpose, limit)
                .header("accept-encoding", "identity")
        };
        (
            request(&self.cert_chain, "AMD issuer certificates", CHAIN_MAX_BYTES),
            request(&self.crl, "AMD revocation list", CRL_MAX_BYTES),
            self.vcek.as_ref().map(|path| request(path, "AMD chip certificate", CERTIFICATE_MAX_BYTES)),
        )
    }

    fn of_kind(kind: &str, product: Product) -> KdsRequests {
        let base = format!("/{kind}/v1/{}", product.name());
        KdsRequests { vcek: None, cert_chain: format!("{base}/cert_chain"), crl: format!("{base}/crl") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of the given entries: GUID digits, offset, length, then the data.
    fn table(entries: &[(&[u8; 32], u32, u32)], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (digits, offset, length) in entries {
            out.extend(guid(digits));
            out.extend(offset.to_le_bytes());
            out.extend(length.to_le_bytes());
        }
        out.extend([0; ENTRY_LEN]);
        out.extend(data);
        out
    }

    const VCEK: &[u8; 32] = b"63da758de6644564adc5f4b93be8accd";
    const VLEK: &[u8; 32] = b"a8074bc2a25a483eaae639c045a0b8a1";
    const ASK: &[u8; 32] = b"4ab7b379bbac4fe4a02f05aef327c782";
    const ARK: &[u8; 32] = b"c0b406a4a803495297433fb6014cd0ae";
    const EXTRA: &[u8; 32] = b"ecae0c0f950243b1afa20ae2e0d565b6";

    #[test]
    fn tables_by_guid() {
        let all = [(VCEK, 144, 1), (VLEK, 145, 1), (ASK, 146, 1), (ARK, 147, 1), (EXTRA, 148, 9)];
        let read = SnpEndorsements::from_certificate_table(&table(&all, b"abcd.........padding")).unwrap();
        let expected = SnpEndorsements {
            vcek: Some(b"a".to_vec()),
            vlek: Some(b"b".to_vec()),
            issuer: Some(b"c".to_vec()),
            root: Some(b"d".to_vec()),
            crl: None,
        };
        assert_eq!(read, expected);
        assert_eq!(SnpEndorsements::from_files([&table(&all, b"abcd.........")[..]]), Ok(expected));
        assert_eq!(SnpEndorsements::from_certificate_table(&[0; 24]), Ok(SnpEndorsements::new()));
    }

    #[test]
    fn defects_of_tables() {
        let many = [(EXTRA, 0, 0); 17].map(|(guid, ..)| (guid, 500, 1));
        let cases: &[(&str, Vec<u8>)] = &[
            ("leaves the table", table(&[(VCEK, 48, 5)], b"abcd")),
            ("offset past the end", table(&[(VCEK, 60, 0)], b"abcd")),
            ("sum overflows", table(&[(VCEK, u32::MAX, u32::MAX)], b"abcd")),
            ("in the header", table(&[(VCEK, 40, 12)], b"abcd")),
            ("in an entry", table(&[(VCEK, 0, 24)], b"abcd")),
            ("overlap", table(&[(VCEK, 72, 3), (ASK, 74, 2)], b"abcd")),
            ("same range", table(&[(VCEK, 72, 3), (EXTRA, 72, 3)], b"abcd")),
            ("twice", table(&[(VCEK, 72, 2), (VCEK, 74, 2)], b"abcd")),
            ("unknown twice", table(&[(EXTRA, 72, 2), (EXTRA, 74, 2)], b"abcd")),
            ("empty", table(&[(VCEK, 48, 0)], b"abcd")),
            ("no end", table(&[(VCEK, 48, 4)], b"")[..24].to_vec()),
            ("half an end", table(&[], b"")[..23].to_vec()),
            ("nothing", Vec::new()),
            ("too many", table(&many, &[1; 999])),
        ];
        for (defect, bytes) in cases {
            let error = SnpEndorsements::from_certificate_table(bytes).unwrap_err();
            assert_eq!(error.code(), Code::CollateralMalformed, "{defect}");
        }
        let long = table(&[], &vec![0; CHAIN_MAX_BYTES]);
        assert_eq!(SnpEndorsements::from_certificate_table(&long).unwrap_err().code(), Code::LimitExceeded);
        let large = table(&[(VCEK, 48, 20_000)], &[1; 20_000]);
        assert_eq!(SnpEndorsements::from_certificate_table(&large).unwrap_err().code(), Code::LimitExceeded);
    }

    #[test]
    fn addresses() {
        let tcb = TcbParts { fmc: 1, bootloader: 2, tee: 0, snp: 14, microcode: 209 };
        let milan = KdsRequests::chip(Product::Milan, &[0xab; 64], &tcb);
        let expected =
            format!("/vcek/v1/Milan/{}?blSPL=02&teeSPL=00&snpSPL=14&ucodeSPL=209", "ab".repeat(64));
        assert_eq!(milan.vcek.as_deref(), Some(expected.as_str()));
        assert_eq!(
            (milan.cert_chain.as_str(), milan.crl.as_str()),
            ("/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl")
        );
        let turin = KdsRequests::chip(Product::Turin, &[0xab; 8], &tcb).vcek.unwrap();
        assert!(turin.starts_with("/vcek/v1/Turin/abababababababab?fmcSPL=01&blSPL=02"), "{turin}");
        let provider = KdsRequests::provider(Product::Genoa);
        assert_eq!((provider.vcek, provider.crl.as_str()), (None, "/vlek/v1/Genoa/crl"));
    }
}
