//! What servers say about a failure, in a stream or as a body (protocols/venice.md 6.1).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{Member, Object, Within, into_string, read, skip};
use super::value::{Field, Scalar, Text};

/// What a server says about a failure, in any of its forms (protocols/venice.md 6.1). Not authenticated: show it as the server's
/// words only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The message; empty when there is none.
    pub message: String,
    /// `type`, or else `code`; empty when there is none.
    pub kind: String,
}

/// Reads an error body or event: `{"error":"text"}`, `{"error":{...}}`, `{"object":"error","message":...}`, `{"detail":...}`.
/// `None` when it is none of these.
pub fn parse_error(body: &[u8]) -> Option<ServerError> {
    let mut draft = ErrorDraft::default();
    let error = read(body, &mut draft).then(|| draft.into_error());
    error.filter(|error| !error.message.is_empty() || !error.kind.is_empty())
}

#[derive(Default)]
struct ErrorDraft<'a> {
    nested: Option<ServerError>,
    is_error: bool,
    message: Field<'a>,
    detail: Field<'a>,
    kind: Kind,
}

impl<'de> Object<'de> for ErrorDraft<'de> {
    const NAMES: &'static [&'static str] = &["error", "object", "message", "detail", "type", "code"];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.nested = map.next_value_seed(ErrorSeed)?,
            Member::Known(1) => {
                self.is_error = matches!(map.next_value_seed(Text)?, Field::Text(text) if text == "error");
            }
            Member::Known(2) => self.message = map.next_value_seed(Text)?,
            Member::Known(3) => self.detail = map.next_value_seed(Text)?,
            Member::Known(4) => self.kind.of_type = into_string(map.next_value_seed(Text)?),
            Member::Known(5) => self.kind.of_code = map.next_value_seed(Scalar)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl ErrorDraft<'_> {
    fn into_error(self) -> ServerError {
        if let Some(nested) = self.nested {
            return nested;
        }
        let message = if self.is_error { into_string(self.message) } else { into_string(self.detail) };
        let kind = if self.is_error { self.kind.text() } else { String::new() };
        ServerError { message, kind }
    }
}

#[derive(Default)]
struct Kind {
    of_type: String,
    of_code: String,
}

impl Kind {
    fn text(self) -> String {
        if self.of_type.is_empty() { self.of_code } else { self.of_type }
    }
}

/// The object inside `error`.
#[derive(Default)]
struct InnerError<'a> {
    message: Field<'a>,
    kind: Kind,
}

impl<'de> Object<'de> for InnerError<'de> {
    const NAMES: &'static [&'static str] = &["message", "type", "code"];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.message = map.next_value_seed(Text)?,
            Member::Known(1) => self.kind.of_type = into_string(map.next_value_seed(Text)?),
            Member::Known(2) => self.kind.of_code = map.next_value_seed(Scalar)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The value of `error`: a text, an object, `null` for none; anything else is an error without words.
pub(super) struct ErrorSeed;

impl<'de> DeserializeSeed<'de> for ErrorSeed {
    type Value = Option<ServerError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ErrorSeed {
    type Value = Option<ServerError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(ServerError { message: text.to_owned(), kind: String::new() }))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(ServerError::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut inner = InnerError::default();
        Within(&mut inner).visit_map(map)?;
        Ok(Some(ServerError { message: into_string(inner.message), kind: inner.kind.text() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_every_form() {
        let said =
            |message: &str, kind: &str| Some(ServerError { message: message.into(), kind: kind.into() });
        for (text, expected) in [
            ("{\"error\":\"m\"}", said("m", "")),
            ("{\"error\":\"m\",\"details\":{}}", said("m", "")),
            ("{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":5,\"param\":null}}", said("m", "t")),
            ("{\"error\":{\"message\":\"m\",\"code\":502}}", said("m", "502")),
            ("{\"object\":\"error\",\"message\":\"m\",\"type\":\"t\"}", said("m", "t")),
            ("{\"detail\":\"m\"}", said("m", "")),
            ("{\"detail\":[1]}", None),
            ("{\"message\":\"m\"}", None),
            ("{}", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(parse_error(text.as_bytes()), expected, "{text}");
        }
    }
}
