//! Strict DER (X.690 section 10): definite lengths in their shortest form, tag numbers below 31.
//!
//! Read value by value, without recursion, so that nesting costs nothing that the caller did not ask for (threats T45).

/// Tag of INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// Tag of OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// Tag of ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Tag of SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;

/// One value: its tag byte, its content, and both with the length between them.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// Tag byte: class, constructed bit and number.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    /// The whole encoding.
    pub encoded: &'a [u8],
}

/// A cursor over consecutive DER values. `None` means that the input is not DER or not what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    /// Starts at the first value.
    pub const fn new(bytes: &'a [u8]) -> Der<'a> {
        Der { rest: bytes }
    }

    /// True after the last value.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Tag byte of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value of any type.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let (&tag, after_tag) = self.rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, after_first) = after_tag.split_first()?;
        let (length, after_length) = match first {
            0x00..=0x7f => (usize::from(first), after_first),
            0x81..=0x83 => {
                let (digits, rest) = after_first.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .try_fold(0usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?;
                let shortest = if digits.len() == 1 { length >= 0x80 } else { digits.first() != Some(&0) };
                if !shortest {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = after_length.split_at_checked(length)?;
        let encoded = self.rest.get(..self.rest.len().checked_sub(rest.len())?)?;
        self.rest = rest;
        Some(Value { tag, content, encoded })
    }

    /// Content of the next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.peek() != Some(tag) {
            return None;
        }
        self.value().map(|value| value.content)
    }

    /// The values inside the next value, which must have this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.expect(tag).map(Der::new)
    }

    /// The next value, an INTEGER or ENUMERATED from 0 to 2^63-1 in its shortest form.
    pub fn unsigned(&mut self, tag: u8) -> Option<u64> {
        let content = self.expect(tag)?;
        let (&first, more) = content.split_first()?;
        let padded = first == 0 && more.first().is_some_and(|next| next & 0x80 == 0);
        if first & 0x80 != 0 || padded || content.len() > 8 {
            return None;
        }
        Some(content.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }
}

/// One value of at most 65,535 bytes with a tag byte, in its shortest form.
pub fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_the_shortest_form() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        let padded = [&[0x04, 0x82, 0x00, 0x80][..], &[7; 128]].concat();
        let cases: &[(&[u8], Option<usize>)] = &[
            (&[0x30, 0x00], Some(0)),
            (&[0x04, 0x01, 0xff], Some(1)),
            (&long, Some(128)),
            (&padded, None),
            (&[0x04, 0x81, 0x01, 0xff], None),
            (&[0x04, 0x80, 0x00, 0x00], None),
            (&[0x04, 0x84, 0, 0, 0, 1, 0xff], None),
            (&[0x1f, 0x81, 0x01, 0x00], None),
            (&[0x04, 0x02, 0xff], None),
            (&[0x04], None),
            (&[], None),
        ];
        for (bytes, length) in cases {
            assert_eq!(Der::new(bytes).value().map(|value| value.content.len()), *length, "{bytes:02x?}");
        }
    }

    #[test]
    fn integers() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (&[2, 1, 0], Some(0)),
            (&[2, 2, 0, 0x80], Some(128)),
            (&[2, 1, 0x80], None),
            (&[2, 2, 0, 0x7f], None),
            (&[2, 0], None),
            (&[2, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8], None),
        ];
        for (bytes, value) in cases {
            assert_eq!(Der::new(bytes).unsigned(INTEGER), *value, "{bytes:02x?}");
        }
    }

    #[test]
    fn written_values_are_read_again() {
        for length in [0, 1, 127, 128, 255, 256, 65_535] {
            let content = vec![7; length];
            let bytes = encode(SEQUENCE, &content);
            let mut reader = Der::new(&bytes);
            assert_eq!(reader.expect(SEQUENCE), Some(content.as_slice()), "{length}");
            assert!(reader.is_empty());
        }
    }
}
