//! Which members are sealed, and in which order (privatemode.md 6.1, 6.2): the enclave's side, written from the document.

use proveil_core::wire::json::{raw_members, write_string};
use serde_json::value::RawValue;

use super::cipher::{Message, NONCE_LEN, OpenError, Session};

/// Members of a request that stay readable, by endpoint.
pub const CHAT_REQUEST: &[&str] =
    &["model", "stream_options", "max_tokens", "max_completion_tokens", "n", "stream"];
/// Those of an answer to it, and of each event of one.
pub const CHAT_RESPONSE: &[&str] = &["id", "usage"];
/// Embeddings.
pub const EMBEDDINGS_REQUEST: &[&str] = &["model"];
/// Embeddings.
pub const EMBEDDINGS_RESPONSE: &[&str] = &["id", "usage"];
/// Messages.
pub const MESSAGES_REQUEST: &[&str] = &["model", "stream"];
/// Messages.
pub const MESSAGES_RESPONSE: &[&str] = &["id", "type", "usage"];
/// Parts of the form of a transcription.
pub const TRANSCRIPTION_REQUEST: &[&str] =
    &["model", "stream", "stream_include_usage", "stream_continuous_usage_stats"];
/// Transcriptions.
pub const TRANSCRIPTION_RESPONSE: &[&str] = &["duration", "usage"];
/// Elements of a document.
pub const UNSTRUCTURED_RESPONSE: &[&str] = &[];

/// One member of an object, or element of an array under its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name, unescaped.
    pub name: String,
    /// Text of the value.
    pub value: String,
    /// True when the value is a message.
    pub sealed: bool,
}

/// The top level of a JSON text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Members or elements.
    pub members: Vec<Member>,
    is_array: bool,
}

/// What the name counts as in the order: each `.`, `?` and `*` after a backslash.
fn sort_key(name: &str) -> Vec<u8> {
    let escape = |byte| matches!(byte, b'.' | b'?' | b'*').then_some(b'\\').into_iter().chain([byte]);
    name.bytes().flat_map(escape).collect()
}

impl Document {
    /// Takes the top level of an object or array apart; `None` for anything else, and for members named twice.
    pub fn parse(text: &str) -> Option<Document> {
        if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) {
            let named = (0usize..).zip(elements).map(|(index, raw)| (index.to_string(), raw.get()));
            return Some(Document::of(named, true));
        }
        let members = raw_members(text).ok()?;
        Some(Document::of(members.into_iter().map(|(name, raw)| (name.into_owned(), raw.get())), false))
    }

    fn of<'a>(members: impl Iterator<Item = (String, &'a str)>, is_array: bool) -> Document {
        let member = |(name, value): (String, &str)| Member { name, value: value.to_owned(), sealed: false };
        Document { members: members.map(member).collect(), is_array }
    }

    /// The members that do not stay readable, in the order of the counters.
    fn in_order(&mut self, plain: &[&str]) -> Vec<&mut Member> {
        let mut chosen: Vec<&mut Member> =
            self.members.iter_mut().filter(|member| !plain.contains(&member.name.as_str())).collect();
        chosen.sort_by_cached_key(|member| sort_key(&member.name));
        chosen
    }

    /// The first message, which says secret and nonce; `None` when nothing is sealed.
    pub fn first_message(&mut self, plain: &[&str]) -> Option<Result<Message, OpenError>> {
        self.in_order(plain).first().map(|member| Message::parse(&member.value))
    }

    /// Texts of the values of the members that do not stay readable, in the order of the counters.
    pub fn texts(&mut self, plain: &[&str]) -> Vec<String> {
        self.in_order(plain).into_iter().map(|member| member.value.clone()).collect()
    }

    /// Opens every sealed member in place and returns names and plaintexts in the order of the counters.
    pub fn open(
        &mut self,
        plain: &[&str],
        session: &mut Session,
    ) -> Result<Vec<(String, Vec<u8>)>, OpenError> {
        let mut opened = Vec::new();
        for member in self.in_order(plain) {
            let bytes = session.open(&member.value)?;
            member.value = String::from_utf8(bytes.clone()).map_err(|_| OpenError::Failed)?;
            opened.push((member.name.clone(), bytes));
        }
        Ok(opened)
    }

    /// Seals every member that does not stay readable, each under the next iv.
    pub fn seal(
        &mut self,
        plain: &[&str],
        session: &mut Session,
        mut next_iv: impl FnMut() -> [u8; NONCE_LEN],
    ) -> Result<(), OpenError> {
        for member in self.in_order(plain) {
            member.value = session.seal(member.value.as_bytes(), next_iv())?.to_text();
            member.sealed = true;
        }
        Ok(())
    }

    /// The sealed members in the order of the counters.
    pub fn sealed(&mut self) -> Vec<&mut Member> {
        let mut sealed = self.in_order(&[]);
        sealed.retain(|member| member.sealed);
        sealed
    }

    /// The text, without white space between members.
    pub fn to_text(&self) -> String {
        let (open, close) = if self.is_array { ('[', ']') } else { ('{', '}') };
        let mut out = String::from(open);
        for (i, member) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            if !self.is_array {
                write_string(&member.name, &mut out);
                out.push(':');
            }
            out.push_str(&member.value);
        }
        out.push(close);
        out
    }
}
