//! A small DER writer: just what certificates, CRLs and signatures need (X.690, definite lengths only).

/// One element with the given identifier octet.
pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes: Vec<u8> =
                content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0));
            out.extend(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of already encoded elements.
pub fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, &elements.concat())
}

/// SET of one already encoded element.
pub fn set(element: &[u8]) -> Vec<u8> {
    tagged(0x31, element)
}

/// Non-negative INTEGER from big-endian bytes, shortest form.
pub fn integer(big_endian: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = big_endian.iter().copied().skip_while(|byte| *byte == 0).collect();
    if content.first().is_none_or(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    tagged(0x02, &content)
}

/// BOOLEAN.
pub fn boolean(value: bool) -> Vec<u8> {
    tagged(0x01, &[if value { 0xff } else { 0 }])
}

/// ENUMERATED of one octet.
pub fn enumerated(value: u8) -> Vec<u8> {
    tagged(0x0a, &[value])
}

/// NULL.
pub fn null() -> Vec<u8> {
    tagged(0x05, &[])
}

/// OCTET STRING.
pub fn octets(content: &[u8]) -> Vec<u8> {
    tagged(0x04, content)
}

/// BIT STRING without unused bits.
pub fn bits(content: &[u8]) -> Vec<u8> {
    bits_unused(0, content)
}

/// BIT STRING whose last octet has `unused` unused low bits.
pub fn bits_unused(unused: u8, content: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[unused], content].concat())
}

/// UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// PrintableString; the caller keeps to its alphabet.
pub fn printable(text: &str) -> Vec<u8> {
    tagged(0x13, text.as_bytes())
}

/// Constructed context-specific element `[number]`.
pub fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 | number, content)
}

/// OBJECT IDENTIFIER. `arcs` has at least two members, the first two as one octet.
pub fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = Vec::new();
    if let [first, second, rest @ ..] = arcs {
        push_base128(first.saturating_mul(40).saturating_add(*second), &mut content);
        for arc in rest {
            push_base128(*arc, &mut content);
        }
    }
    tagged(0x06, &content)
}

fn push_base128(value: u32, out: &mut Vec<u8>) {
    let groups = [28u32, 21, 14, 7, 0].map(|shift| value.checked_shr(shift).unwrap_or(0) & 0x7f);
    let first = groups.iter().position(|group| *group != 0).unwrap_or(4);
    for (i, group) in groups.into_iter().enumerate().skip(first) {
        let more = if i < 4 { 0x80 } else { 0 };
        out.push(u8::try_from(group).unwrap_or(0) | more);
    }
}

/// Time of X.509: UTCTime before 2050, GeneralizedTime from then on (RFC 5280 4.1.2.5).
pub fn time(unix_s: u64) -> Vec<u8> {
    let t = super::text::utc(unix_s);
    let rest =
        format!("{:02}{:02}{:02}{:02}{:02}Z", u8::from(t.month()), t.day(), t.hour(), t.minute(), t.second());
    let year = format!("{:04}", t.year());
    if t.year() < 2050 {
        tagged(0x17, format!("{}{rest}", year.get(2..).unwrap_or_default()).as_bytes())
    } else {
        tagged(0x18, format!("{year}{rest}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let long = tagged(4, &[7; 300]);
        let cases: &[(Vec<u8>, &str)] = &[
            (integer(&[0, 0, 1]), "020101"),
            (integer(&[0x80]), "02020080"),
            (integer(&[]), "020100"),
            (integer(&[0, 0]), "020100"),
            (oid(&[1, 2, 840, 113_741, 1, 13, 1]), "06092a864886f84d010d01"),
            (oid(&[2, 23, 133, 5, 4, 1]), "0606678105050401"),
            (oid(&[1, 2, 840, 10045, 2, 1]), "06072a8648ce3d0201"),
            (time(1_772_111_040), "170d3236303232363133303430305a"),
            (time(u64::MAX), "180f39393939313233313233353935395a"),
            (bits_unused(6, &[0xc0]), "030206c0"),
            (sequence(&[&null(), &boolean(true)]), "300505000101ff"),
        ];
        for (encoded, expected) in cases {
            assert_eq!(const_hex::encode(encoded), *expected);
        }
        assert_eq!(long.get(..4), Some(&[4, 0x82, 1, 44][..]));
        assert_eq!(tagged(4, &[0; 128]).get(..3), Some(&[4, 0x81, 128][..]));
    }
}
