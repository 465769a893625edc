//! PEM text (RFC 7468) with one kind of block and nothing between blocks but white space.

use super::Problem;
use crate::limits::{CERTIFICATE_MAX_BYTES, CHAIN_MAX_BYTES, CHAIN_MAX_CERTIFICATES};
use crate::wire::base64;

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
        let compact: String = body.chars().filter(|c| !matches!(c, '\n' | '\r' | ' ' | '\t')).collect();
        blocks.push(base64::decode(&compact).ok_or(Problem::Malformed)?);
        rest = trim_start(after);
    }
    Ok(blocks)
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
            (ONE.replace("AQID", "AQ!D"), Err(Problem::Malformed)),
            (ONE.replace("-----END", "----END"), Err(Problem::Malformed)),
            (ONE.replace("CERTIFICATE", "X509 CRL"), Err(Problem::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(certificates(text.as_bytes()).map(|list| list.len()), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_bundle_of_ten_thousand_certificates_costs_nothing() {
        let bundle = ONE.repeat(10_000);
        assert_eq!(certificates(bundle.as_bytes()), Err(Problem::Malformed));
    }
}
