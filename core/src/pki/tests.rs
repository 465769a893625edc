//! Home-made certificates and revocation lists, each with one defect (threats T19, T20, T21). Keys are made anew in each run.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::{Authority, Certificate, Problem, RevocationList, Serial, pem};

/// 2026-06-15T00:00:00Z.
const NOW: u64 = 1_781_481_600;
const SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const SPKI: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];
const UNKNOWN: &[u8] = &[0x2a, 0x03, 0x04];
/// Key usage bits: keyCertSign and cRLSign; digitalSignature; cRLSign alone.
const USAGE_CA: &[u8] = &[0x03, 0x02, 0x01, 0x06];
const USAGE_SIGN: &[u8] = &[0x03, 0x02, 0x07, 0x80];
const USAGE_CRL: &[u8] = &[0x03, 0x02, 0x01, 0x02];

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(u8::try_from(length).unwrap()),
        0x80..=0xff => out.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn name(common_name: &str) -> Vec<u8> {
    let value = [tlv(6, &[0x55, 4, 3]), tlv(0x0c, common_name.as_bytes())].concat();
    sequence(&[&tlv(0x31, &sequence(&[&value]))])
}

fn time(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

fn extension(oid: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&tlv(6, oid), critical, &tlv(4, content)])
}

fn basic_constraints(content: &[u8]) -> Vec<u8> {
    extension(BASIC_CONSTRAINTS, true, &sequence(&[content]))
}

fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension(AUTHORITY_KEY_ID, false, &sequence(&[&tlv(0x80, id)]))
}

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Key {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random);
        Key(pair.unwrap())
    }

    fn spki(&self) -> Vec<u8> {
        let point = [&[0][..], self.0.public_key().as_ref()].concat();
        sequence(&[SPKI, &tlv(3, &point)])
    }

    fn sign(&self, tbs: &[u8], algorithm: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), tbs).unwrap();
        sequence(&[tbs, algorithm, &tlv(3, &[&[0][..], signature.as_ref()].concat())])
    }
}

/// A certificate before signing. Fields are DER.
#[derive(Clone)]
struct Spec {
    version: Vec<u8>,
    serial: Vec<u8>,
    inner: &'static [u8],
    outer: &'static [u8],
    issuer: Vec<u8>,
    not_before: &'static str,
    not_after: &'static str,
    subject: Vec<u8>,
    extensions: Vec<Vec<u8>>,
}

impl Spec {
    fn authority(issuer: &str, subject: &str) -> Spec {
        Spec {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 2, 0x12, 0x34],
            inner: SHA256,
            outer: SHA256,
            issuer: name(issuer),
            not_before: "250101000000Z",
            not_after: "350101000000Z",
            subject: name(subject),
            extensions: vec![basic_constraints(&[1, 1, 0xff]), extension(KEY_USAGE, true, USAGE_CA)],
        }
    }

    fn leaf(issuer: &str) -> Spec {
        Spec {
            extensions: vec![basic_constraints(&[]), extension(KEY_USAGE, true, USAGE_SIGN)],
            ..Spec::authority(issuer, "leaf")
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Spec)) -> Spec {
        change(&mut self);
        self
    }

    fn signed(&self, subject: &Key, issuer: &Key) -> Vec<u8> {
        let validity = sequence(&[&time(self.not_before), &time(self.not_after)]);
        let tbs = sequence(&[
            &self.version,
            &self.serial,
            self.inner,
            &self.issuer,
            &validity,
            &self.subject,
            &subject.spki(),
            &tlv(0xa3, &sequence(&[&self.extensions.concat()])),
        ]);
        issuer.sign(&tbs, self.outer)
    }
}

fn root(key: &Key) -> Authority {
    let id = extension(SUBJECT_KEY_ID, false, &tlv(4, &[7; 20]));
    let der = Spec::authority("root", "root").with(|spec| spec.extensions.push(id)).signed(key, key);
    Authority::root(&der).unwrap()
}

#[test]
fn defects_of_authorities() {
    let (root_key, key) = (Key::new(), Key::new());
    let root = root(&root_key);
    let good = || Spec::authority("root", "ca");
    let cases: &[(&str, Spec, Result<(), Problem>)] = &[
        ("none", good(), Ok(())),
        ("right key id", good().with(|s| s.extensions.push(authority_key_id(&[7; 20]))), Ok(())),
        ("no key usage", good().with(|s| s.extensions.truncate(1)), Ok(())),
        ("issuer name", good().with(|s| s.issuer = name("r00t")), Err(Problem::Name)),
        ("key id", good().with(|s| s.extensions.push(authority_key_id(&[8; 20]))), Err(Problem::Name)),
        ("no name", good().with(|s| s.subject = sequence(&[])), Err(Problem::Name)),
        ("no CA flag", good().with(|s| s.extensions[0] = basic_constraints(&[])), Err(Problem::Usage)),
        ("no constraints", good().with(|s| drop(s.extensions.remove(0))), Err(Problem::Usage)),
        (
            "usage",
            good().with(|s| s.extensions[1] = extension(KEY_USAGE, true, USAGE_CRL)),
            Err(Problem::Usage),
        ),
        ("expired", good().with(|s| s.not_after = "260101000000Z"), Err(Problem::Expired)),
        ("early", good().with(|s| s.not_before = "270101000000Z"), Err(Problem::NotYetValid)),
        (
            "unknown critical extension",
            good().with(|s| s.extensions.push(extension(UNKNOWN, true, &[5, 0]))),
            Err(Problem::Extension),
        ),
        ("unknown extension", good().with(|s| s.extensions.push(extension(UNKNOWN, false, &[5, 0]))), Ok(())),
        (
            "extension twice",
            good().with(|s| s.extensions.push(extension(KEY_USAGE, true, USAGE_CA))),
            Err(Problem::Extension),
        ),
        ("version 1", good().with(|s| s.version.clear()), Err(Problem::Malformed)),
        ("long serial", good().with(|s| s.serial = tlv(2, &[1; 21])), Err(Problem::Malformed)),
        ("outer algorithm", good().with(|s| s.outer = SHA384), Err(Problem::Algorithm)),
        (
            "hash of another curve",
            good().with(|s| (s.inner, s.outer) = (SHA384, SHA384)),
            Err(Problem::Algorithm),
        ),
    ];
    for (defect, spec, expected) in cases {
        let der = spec.signed(&key, &root_key);
        let result = Certificate::parse(&der).and_then(|parsed| Authority::below(&root, &parsed, NOW));
        assert_eq!(result.map(|_| ()), *expected, "{defect}");
    }
    let der = good().signed(&key, &root_key);
    assert_eq!(Certificate::parse(&[&der[..], &[0]].concat()).unwrap_err(), Problem::Malformed);
    for length in 0..der.len() {
        assert!(Certificate::parse(&der[..length]).is_err(), "cut at {length}");
    }
    assert_eq!(Certificate::parse(&vec![0x30; 20_000]).unwrap_err(), Problem::Malformed);
    // A root with the same name and another key.
    let lookalike = good().signed(&key, &Key::new());
    let parsed = Certificate::parse(&lookalike).unwrap();
    assert_eq!(Authority::below(&root, &parsed, NOW).unwrap_err(), Problem::Signature);
    assert_eq!(Authority::root(&der).unwrap_err(), Problem::Name, "an intermediate is no root");
}

#[test]
fn path_length_is_counted() {
    let keys = [Key::new(), Key::new(), Key::new()];
    let limited = basic_constraints(&[1, 1, 0xff, 2, 1, 1]);
    let root_der =
        Spec::authority("0", "0").with(|s| s.extensions[0] = limited.clone()).signed(&keys[0], &keys[0]);
    let root = Authority::root(&root_der).unwrap();
    let first_der = Spec::authority("0", "1").with(|s| s.extensions[0] = limited).signed(&keys[1], &keys[0]);
    let first = Authority::below(&root, &Certificate::parse(&first_der).unwrap(), NOW).unwrap();
    let second_der = Spec::authority("1", "2").signed(&keys[2], &keys[1]);
    let second = Certificate::parse(&second_der).unwrap();
    assert_eq!(Authority::below(&first, &second, NOW).unwrap_err(), Problem::Usage);
    let leaf_der = Spec::leaf("1").signed(&keys[2], &keys[1]);
    assert_eq!(Certificate::parse(&leaf_der).unwrap().issued_by(&first), Ok(()));
}

#[test]
fn leaves_sign_data_only() {
    let (root_key, key) = (Key::new(), Key::new());
    let root = root(&root_key);
    let cases: &[(&str, Spec, Result<(), Problem>)] = &[
        ("leaf", Spec::leaf("root"), Ok(())),
        ("no key usage", Spec::leaf("root").with(|s| s.extensions.truncate(1)), Ok(())),
        ("authority", Spec::authority("root", "leaf"), Err(Problem::Usage)),
        (
            "authority without key usage",
            Spec::authority("root", "leaf").with(|s| s.extensions.truncate(1)),
            Err(Problem::Usage),
        ),
        (
            "signs certificates",
            Spec::leaf("root").with(|s| s.extensions[1] = extension(KEY_USAGE, true, USAGE_CA)),
            Err(Problem::Usage),
        ),
    ];
    for (case, spec, expected) in cases {
        let der = spec.signed(&key, &root_key);
        let leaf = Certificate::parse(&der).unwrap();
        assert_eq!(leaf.issued_by(&root).and_then(|()| leaf.end_entity()), *expected, "{case}");
    }
}

/// A revocation list before signing.
#[derive(Clone)]
struct List {
    version: Vec<u8>,
    inner: &'static [u8],
    issuer: Vec<u8>,
    this_update: &'static str,
    next_update: Option<&'static str>,
    entries: Vec<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
}

impl List {
    fn good() -> List {
        let entry = |serial: &[u8]| sequence(&[&tlv(2, serial), &time("260601000000Z")]);
        List {
            version: vec![2, 1, 1],
            inner: SHA256,
            issuer: name("root"),
            this_update: "260601000000Z",
            next_update: Some("260701000000Z"),
            entries: vec![entry(&[0x7f]), entry(&[0, 0xff, 1]), entry(&[5])],
            extensions: vec![extension(CRL_NUMBER, false, &[2, 1, 9]), authority_key_id(&[7; 20])],
        }
    }

    fn with(mut self, change: impl FnOnce(&mut List)) -> List {
        change(&mut self);
        self
    }

    fn signed(&self, issuer: &Key) -> Vec<u8> {
        let entries = if self.entries.is_empty() { Vec::new() } else { sequence(&[&self.entries.concat()]) };
        let tbs = sequence(&[
            &self.version,
            self.inner,
            &self.issuer,
            &time(self.this_update),
            &self.next_update.map(time).unwrap_or_default(),
            &entries,
            &tlv(0xa0, &sequence(&[&self.extensions.concat()])),
        ]);
        issuer.sign(&tbs, SHA256)
    }
}

#[test]
fn defects_of_revocation_lists() {
    let key = Key::new();
    let root = root(&key);
    let cases: &[(&str, List, Result<(), Problem>)] = &[
        ("none", List::good(), Ok(())),
        ("empty", List::good().with(|l| l.entries.clear()), Ok(())),
        ("no key id", List::good().with(|l| l.extensions.truncate(1)), Ok(())),
        ("another issuer", List::good().with(|l| l.issuer = name("other")), Err(Problem::Name)),
        (
            "another key id",
            List::good().with(|l| l.extensions[1] = authority_key_id(&[8; 20])),
            Err(Problem::Name),
        ),
        ("version 1", List::good().with(|l| l.version.clear()), Err(Problem::Malformed)),
        ("no number", List::good().with(|l| drop(l.extensions.remove(0))), Ok(())),
        (
            "number of another kind",
            List::good().with(|l| l.extensions[0] = extension(CRL_NUMBER, false, &[4, 1, 9])),
            Err(Problem::Malformed),
        ),
        ("no extensions", List::good().with(|l| l.extensions.clear()), Err(Problem::Malformed)),
        ("no next update", List::good().with(|l| l.next_update = None), Err(Problem::Malformed)),
        ("inner algorithm", List::good().with(|l| l.inner = SHA384), Err(Problem::Algorithm)),
        (
            "delta",
            List::good().with(|l| l.extensions.push(extension(DELTA, true, &[2, 1, 1]))),
            Err(Problem::Extension),
        ),
        (
            "number twice",
            List::good().with(|l| l.extensions.push(extension(CRL_NUMBER, false, &[2, 1, 8]))),
            Err(Problem::Extension),
        ),
        ("entry", List::good().with(|l| l.entries.push(vec![5, 0])), Err(Problem::Malformed)),
        ("future", List::good().with(|l| l.this_update = "260616000000Z"), Err(Problem::NotYetValid)),
        ("expired", List::good().with(|l| l.next_update = Some("260615000000Z")), Err(Problem::Expired)),
    ];
    for (defect, list, expected) in cases {
        let result = RevocationList::verify(&list.signed(&key), &root).and_then(|list| list.current_at(NOW));
        assert_eq!(result, *expected, "{defect}");
    }
    let der = List::good().signed(&key);
    let list = RevocationList::verify(&der, &root).unwrap();
    let serials: [(&[u8], bool); 5] =
        [(&[0x7f], true), (&[0xff, 1], true), (&[0, 0, 5], true), (&[6], false), (&[], false)];
    for (serial, revoked) in serials {
        assert_eq!(list.revokes(Serial::new(serial).unwrap()), revoked, "{serial:02x?}");
    }
    assert_eq!(list.number().last(), Some(&9));
    let unnumbered = List::good().with(|l| drop(l.extensions.remove(0))).signed(&key);
    assert!(RevocationList::verify(&unnumbered, &root).unwrap().number() < list.number());
    for length in 0..der.len() {
        assert!(RevocationList::verify(&der[..length], &root).is_err(), "cut at {length}");
    }
    assert_eq!(RevocationList::verify(&[&der[..], &[0]].concat(), &root).unwrap_err(), Problem::Malformed);
    let other = List::good().signed(&Key::new());
    assert_eq!(RevocationList::verify(&other, &root).unwrap_err(), Problem::Signature);
    let usage = extension(KEY_USAGE, true, &[0x03, 0x02, 0x02, 0x04]);
    let silent = Spec::authority("root", "root").with(|s| s.extensions[1] = usage).signed(&key, &key);
    let silent = Authority::root(&silent).unwrap();
    assert_eq!(RevocationList::verify(&der, &silent).unwrap_err(), Problem::Usage);
}

/// T21: the work does not grow with what is offered.
#[test]
fn oversized_chains_are_refused_unread() {
    let key = Key::new();
    let der = Spec::authority("root", "root").signed(&key, &key);
    let block = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        crate::wire::base64::encode(&der)
    );
    assert_eq!(pem::certificates(block.repeat(10).as_bytes()).map(|chain| chain.len()), Ok(10));
    assert_eq!(pem::certificates(block.repeat(11).as_bytes()), Err(Problem::ChainShape));
    assert_eq!(pem::certificates(block.repeat(10_000).as_bytes()), Err(Problem::Malformed));
}
