//! Text forms that several parts need: PEM, dates, ordered JSON objects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::wire::json::Json;
use time::OffsetDateTime;

/// One DER structure as PEM with the given label, 64 characters a line, ending in a newline.
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for (i, character) in STANDARD.encode(der).chars().enumerate() {
        if i > 0 && i.is_multiple_of(64) {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}

/// Certificates as one PEM text, in the given order.
pub fn pem_chain<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    certificates.into_iter().map(|der| pem("CERTIFICATE", der)).collect()
}

/// Unix seconds as broken-down UTC; values past the year 9999 become its last second.
pub(crate) fn utc(unix_s: u64) -> OffsetDateTime {
    const LAST: i64 = 253_402_300_799;
    let seconds = i64::try_from(unix_s).unwrap_or(LAST).min(LAST);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Unix seconds as `2026-06-10T00:56:35Z`.
pub fn rfc3339(unix_s: u64) -> String {
    let t = utc(unix_s);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

/// A JSON object with its members in the given order.
pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A JSON string.
pub fn string(text: impl Into<String>) -> Json {
    Json::String(text.into())
}

/// A JSON number.
pub(crate) fn number(value: u64) -> Json {
    Json::Number(value.into())
}

/// A JSON string of lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> Json {
    Json::String(const_hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(rfc3339(1_781_056_027), "2026-06-10T01:47:07Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(pem("X", &[0; 49]).lines().map(str::len).collect::<Vec<_>>(), [17, 64, 4, 15]);
        assert_eq!(pem("X", &[0; 48]).lines().map(str::len).collect::<Vec<_>>(), [17, 64, 15]);
    }
}
