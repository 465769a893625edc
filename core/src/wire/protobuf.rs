//! Protocol Buffers messages (proto3 wire format), read field by field.
//!
//! Groups, field number 0, numbers of more than 64 bits and lengths that leave the message are refused. What a field means, and whether it
//! may come twice, is the caller's to say.

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Number(u64),
    /// Wire type 2: bytes, a text or a message.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5. No message read here has such a field.
    Fixed,
}

/// The input is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A cursor over the fields of a message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// Starts at the first field.
    pub const fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { rest: bytes }
    }

    /// Number and value of the next field; `None` after the last one.
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint().ok_or(Malformed)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        if number == 0 || number >= 1 << 29 {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            0 => self.varint().map(Value::Number),
            1 => self.take(8).map(|_| Value::Fixed),
            2 => self.varint().and_then(|n| self.take(usize::try_from(n).ok()?)).map(Value::Bytes),
            5 => self.take(4).map(|_| Value::Fixed),
            _ => None,
        };
        Ok(Some((number, value.ok_or(Malformed)?)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length)?;
        self.rest = tail;
        Some(head)
    }

    /// Seven bits a byte, lowest first, ten bytes at most.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, tail) = self.rest.split_first()?;
            self.rest = tail;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = Result<Vec<(u32, Value<'a>)>, Malformed>;

    fn read(bytes: &[u8]) -> Fields<'_> {
        let mut message = Message::new(bytes);
        let mut fields = Vec::new();
        while let Some(field) = message.field()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn fields_and_what_is_none() {
        let most = [&[0x08][..], &[0xff; 9], &[1]].concat();
        let more = [&[0x08][..], &[0xff; 9], &[2]].concat();
        let cases: &[(&[u8], Fields<'_>)] = &[
            (&[], Ok(vec![])),
            (&[0x08, 0x96, 0x01], Ok(vec![(1, Value::Number(150))])),
            (&[0x12, 2, 7, 8, 0x12, 0], Ok(vec![(2, Value::Bytes(&[7, 8])), (2, Value::Bytes(&[]))])),
            (&[0x0d, 0, 0, 0, 0], Ok(vec![(1, Value::Fixed)])),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0, 0], Ok(vec![(1, Value::Fixed)])),
            (&most, Ok(vec![(1, Value::Number(u64::MAX))])),
            (&more, Err(Malformed)),
            (&[0x08, 0x80], Err(Malformed)),
            (&[0x08], Err(Malformed)),
            (&[0x12, 3, 7, 8], Err(Malformed)),
            (&[0x0d, 0, 0, 0], Err(Malformed)),
            (&[0x00, 0], Err(Malformed)),
            (&[0x0b, 0x0c], Err(Malformed)),
            (&[0x0e, 0], Err(Malformed)),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0], Err(Malformed)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes), *expected, "{bytes:02x?}");
        }
    }
}
