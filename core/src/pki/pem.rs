//! PEM text (RFC 7468) with one kind of block and nothing between blocks but white space.

use zeroize::Zeroizing;

use super::Problem;
use crate::limits::{CERTIFICATE_MAX_BYTES, CHAIN_MAX_BYTES, CHAIN_MAX_CERTIFICATES};
use crate::secret::Secret;
use crate::wire::base64;
use crate::wire::der::{self, Der};

const CERTIFICATE: &str = "CERTIFICATE";
const CRL: &str = "X509 CRL";

/// The DER certificates of a chain in the given order: 1 to 10 of at most 16 KiB, 64 KiB in all. NUL bytes after the last block
/// are ignored, since quoting libraries and GPU drivers hand over C strings.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    if text.len() > CHAIN_MAX_BYTES {
        return Err(Problem::Malformed);
    }
    let text = std::str::from_utf8(text).map_err(|_| Problem::Malformed)?.trim_end_matches('\0');
    let certificates = blocks(text, CERTIFICATE, CHAIN_MAX_CERTIFICATES)?;
    if certificates.is_empty() {
        return Err(Problem::ChainShape);
    }
    if certificates.iter().any(|der| der.len() > CERTIFICATE_MAX_BYTES) {
        return Err(Problem::Malformed);
    }
    Ok(certificates)
}

/// The DER of a text with exactly one `X509 CRL` block.
pub fn crl(text: &str) -> Result<Vec<u8>, Problem> {
    blocks(text, CRL, 1)?.pop().ok_or(Problem::Malformed)
}

/// The private scalar of a text with exactly one `PRIVATE KEY` (PKCS#8, RFC 5958) or `EC PRIVATE KEY` (RFC 5915) block on the curve
/// P-256. Encrypted keys and other curves give `None`.
pub fn p256_private_key(text: &[u8]) -> Option<Secret<32>> {
    /// id-ecPublicKey 1.2.840.10045.2.1
    const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    if text.len() > CERTIFICATE_MAX_BYTES {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(mut found) = blocks(text, "EC PRIVATE KEY", 1) {
        return sec1_key(&Zeroizing::new(found.pop()?), true);
    }
    let der = Zeroizing::new(blocks(text, "PRIVATE KEY", 1).ok()?.pop()?);
    let mut outer = Der::new(&der);
    let mut info = outer.inside(der::SEQUENCE).filter(|_| outer.is_empty())?;
    if info.unsigned(der::INTEGER)? > 1 {
        return None;
    }
    let mut algorithm = info.inside(der::SEQUENCE)?;
    if algorithm.expect(der::OID)? != EC_PUBLIC_KEY || algorithm.expect(der::OID)? != PRIME256V1 {
        return None;
    }
    sec1_key(info.expect(der::OCTET_STRING)?, false)
}

/// prime256v1 1.2.840.10045.3.1.7
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// `ECPrivateKey`: version 1, 32 bytes, then the curve (which must be named when `standalone`) and the public key.
fn sec1_key(der: &[u8], standalone: bool) -> Option<Secret<32>> {
    let mut outer = Der::new(der);
    let mut key = outer.inside(der::SEQUENCE).filter(|_| outer.is_empty())?;
    if key.unsigned(der::INTEGER)? != 1 {
        return None;
    }
    let mut scalar: [u8; 32] = key.expect(der::OCTET_STRING)?.try_into().ok()?;
    let scalar = Secret::take(&mut scalar);
    let right_curve = match key.inside(0xa0) {
        Some(mut curve) => curve.expect(der::OID)? == PRIME256V1,
        None => !standalone,
    };
    right_curve.then_some(scalar)
}

fn blocks(text: &str, label: &str, max: usize) -> Result<Vec<Vec<u8>>, Problem> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut blocks = Vec::new();
    let mut rest = trim_start(text);
    while !rest.is_empty() {
        if blocks.len() >= max {
            return Err(Problem::ChainShape);
        }
        let body = rest.strip_prefix(&begin).ok_or(Problem::Malformed)?;
        let (body, after) = body.split_once(&end).ok_or(Problem::Malformed)?;
        blocks.push(base64::decode(&compact(body)).ok_or(Problem::Malformed)?);
        rest = trim_start(after);
    }
    Ok(blocks)
}

/// The text without line ends and blanks. Chains are most of what an answer makes us read, so it goes by lines.
fn compact(body: &str) -> String {
    let is_blank = |c: char| matches!(c, '\r' | ' ' | '\t');
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let line = line.trim_matches(is_blank);
        if memchr::memchr3(b'\r', b' ', b'\t', line.as_bytes()).is_none() {
            out.push_str(line);
        } else {
            out.extend(line.chars().filter(|c| !is_blank(*c)));
        }
        rest = after.get(1..).unwrap_or_default();
    }
    out
}

/// Skips line ends and blanks, and no other white space.
fn trim_start(text: &str) -> &str {
    text.trim_start_matches(['\n', '\r', ' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn blocks_and_what_may_surround_them() {
        let cases: &[(String, Result<usize, Problem>)] = &[
            (ONE.into(), Ok(1)),
            (format!("{ONE}{ONE}\0\0"), Ok(2)),
            (format!("\n{ONE}\r\n{ONE}"), Ok(2)),
            (String::new(), Err(Problem::ChainShape)),
            (ONE.repeat(11), Err(Problem::ChainShape)),
            (format!("x{ONE}"), Err(Problem::Malformed)),
            (format!("{ONE}\0{ONE}"), Err(Problem::Malformed)),
            (format!("{ONE}text"), Err(Problem::Malformed)),
            (ONE.replace("AQID", " A\r\nQ I\tD\t"), Ok(1)),
            (ONE.replace("AQID", "AQ\u{b}ID"), Err(Problem::Malformed)),
            (ONE.replace("AQID", "AQ\u{a0}ID"), Err(Problem::Malformed)),
            (ONE.replace("AQID", "AQ!D"), Err(Problem::Malformed)),
            (ONE.replace("-----END", "----END"), Err(Problem::Malformed)),
            (ONE.replace("CERTIFICATE", "X509 CRL"), Err(Problem::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(certificates(text.as_bytes()).map(|list| list.len()), *expected, "{text:?}");
        }
    }

    #[test]
    fn private_keys() {
        // 0x01..0x20 as the scalar, made by hand after RFC 5915 and RFC 5958.
        let scalar: Vec<u8> = (1..=32).collect();
        let wrap = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let curve = wrap(0x06, PRIME256V1);
        let p384 = wrap(0x06, &[0x2b, 0x81, 0x04, 0x00, 0x22]);
        let sec1 = |curve: &[u8]| wrap(0x30, &[&[2, 1, 1], wrap(4, &scalar).as_slice(), curve].concat());
        let ec = wrap(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
        let pkcs8 = |curve: &[u8], inner: &[u8]| {
            let algorithm = wrap(0x30, &[ec.as_slice(), curve].concat());
            wrap(0x30, &[&[2, 1, 0], algorithm.as_slice(), &wrap(4, inner)].concat())
        };
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64::encode(der))
        };
        let named = wrap(0xa0, &curve);
        let good = pem("PRIVATE KEY", &pkcs8(&curve, &sec1(&[])));
        let cases = [
            (good.clone(), true),
            (pem("PRIVATE KEY", &pkcs8(&curve, &sec1(&named))), true),
            (pem("EC PRIVATE KEY", &sec1(&named)), true),
            (pem("EC PRIVATE KEY", &sec1(&[])), false),
            (pem("EC PRIVATE KEY", &sec1(&wrap(0xa0, &p384))), false),
            (pem("PRIVATE KEY", &pkcs8(&p384, &sec1(&[]))), false),
            (pem("PRIVATE KEY", &[pkcs8(&curve, &sec1(&[])), vec![0]].concat()), false),
            (pem("ENCRYPTED PRIVATE KEY", &pkcs8(&curve, &sec1(&[]))), false),
            (format!("{good}{good}"), false),
            (String::new(), false),
        ];
        for (text, accepted) in cases {
            let key = p256_private_key(text.as_bytes());
            assert_eq!(key.is_some(), accepted, "{text}");
            assert!(key.is_none_or(|key| key.expose().as_slice() == scalar));
        }
    }

    #[test]
    fn a_bundle_of_ten_thousand_certificates_costs_nothing() {
        let bundle = ONE.repeat(10_000);
        assert_eq!(certificates(bundle.as_bytes()), Err(Problem::Malformed));
    }
}
