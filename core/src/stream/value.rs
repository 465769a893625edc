//! Single JSON values as an event's members read them. Whatever has another type is noticed, not lost.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member that carries text.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// Any other type.
    Other,
}

/// A member name, borrowed unless it is written with escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A [`Field`].
pub(super) struct Text;

/// A non-negative integer; `None` for any other value.
pub(super) struct Integer;

/// A text or an integer as text; empty for any other value.
pub(super) struct Scalar;

/// What one of the seeds makes of each kind of value. The defaults say "something else".
trait Make<'de>: Sized {
    type Value;
    fn other(self) -> Self::Value;
    fn null(self) -> Self::Value {
        self.other()
    }
    fn text(self, _: Cow<'de, str>) -> Self::Value {
        self.other()
    }
    fn integer(self, _: u64) -> Self::Value {
        self.other()
    }
}

impl<'de> Make<'de> for Text {
    type Value = Field<'de>;

    fn other(self) -> Field<'de> {
        Field::Other
    }

    fn null(self) -> Field<'de> {
        Field::Absent
    }

    fn text(self, text: Cow<'de, str>) -> Field<'de> {
        Field::Text(text)
    }
}

impl Make<'_> for Integer {
    type Value = Option<u64>;

    fn other(self) -> Option<u64> {
        None
    }

    fn integer(self, value: u64) -> Option<u64> {
        Some(value)
    }
}

impl<'de> Make<'de> for Scalar {
    type Value = String;

    fn other(self) -> String {
        String::new()
    }

    fn text(self, text: Cow<'de, str>) -> String {
        text.into_owned()
    }

    fn integer(self, value: u64) -> String {
        value.to_string()
    }
}

/// Gives every kind of value to a [`Make`].
struct Any<M>(M);

impl<'de, M: Make<'de>> Visitor<'de> for Any<M> {
    type Value = M::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<M::Value, E> {
        Ok(self.0.null())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<M::Value, E> {
        Ok(self.0.text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<M::Value, E> {
        Ok(self.0.text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<M::Value, E> {
        Ok(self.0.integer(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<M::Value, E> {
        Ok(self.0.other())
    }

    fn visit_f64<E>(self, _: f64) -> Result<M::Value, E> {
        Ok(self.0.other())
    }

    fn visit_bool<E>(self, _: bool) -> Result<M::Value, E> {
        Ok(self.0.other())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<M::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0.other())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.0.other())
    }
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Field<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        deserializer.deserialize_any(Any(self))
    }
}

impl<'de> DeserializeSeed<'de> for Integer {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(Any(self))
    }
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(Any(self))
    }
}
