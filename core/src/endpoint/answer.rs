//! What comes out of an opened answer, the same for every provider.

use crate::error::Result;
use crate::http::ResponseHead;

/// Which text a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextField {
    /// The answer itself (`content`).
    Content,
    /// The model's reasoning (`reasoning_content` or `reasoning`).
    Reasoning,
}

impl TextField {
    /// `content` or `reasoning`.
    pub const fn name(self) -> &'static str {
        match self {
            TextField::Content => "content",
            TextField::Reasoning => "reasoning",
        }
    }
}

/// One thing that an answer says. [`Event::Text`] and the sealed parts of [`Event::Document`] came out of sealed fields; the others can
/// travel in clear and be altered on the way, and are typed so that they cannot be taken for text (threats I2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Decrypted text of a choice: a complete piece of UTF-8.
    Text {
        /// `choices[].index`.
        choice: u32,
        /// Which text.
        field: TextField,
        /// The plaintext.
        text: String,
    },
    /// The choice ended (unauthenticated).
    Finish {
        /// `choices[].index`.
        choice: u32,
        /// `stop`, `length`, ... as received, at most 64 characters, control characters replaced.
        reason: String,
    },
    /// An opened JSON document as the provider's API has it: a whole answer, or the data of one event of a stream. In a chat whose answer
    /// comes as texts: one that says more than texts, before the texts in it. What was sealed in it is authentic; the few members that
    /// travel in clear (`id`, `usage`, `type`) are not.
    Document {
        /// Name of the stream's event; empty for a whole answer and for events without a name.
        name: String,
        /// One JSON value.
        json: String,
    },
    /// Token usage as compact JSON (unauthenticated).
    Usage {
        /// One JSON object with integer members only.
        json: String,
    },
}

/// What is known about an answer that reached its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's id of the answer (unauthenticated), when it named one.
    pub id: Option<String>,
    /// Number of sealed fields that opened; zero for an empty answer (`e2ee_observed = false`).
    pub sealed_fields: u64,
    /// Raw bytes of the body.
    pub body_bytes: u64,
    /// Bytes after the end mark, which were ignored.
    pub ignored_bytes: u64,
    /// SHA-256 of the request body as sent; zeros when the answer is opened without its request.
    pub request_sha256: [u8; 32],
    /// SHA-256 of the response body as received, ignored bytes included: what a server signs is everything it sent.
    pub response_sha256: [u8; 32],
}

/// A provider's incremental decoder of one answer. Object-safe; owned by an `Opener`.
pub(crate) trait Answer: Send {
    /// Takes status and headers; fails when this cannot be a sealed answer. A non-2xx answer is not a failure yet: its body is
    /// collected and reported by `finish`.
    fn head(&mut self, head: &ResponseHead) -> Result<()>;

    /// Takes the next bytes of the body and appends what they say to `out`. Up to `workers` threads may be used for a burst.
    /// After an error the answer is dead: everything of the offending event is withheld, earlier events stay in `out`.
    fn push(&mut self, bytes: &[u8], workers: usize, out: &mut Vec<Event>) -> Result<()>;

    /// The body ended. Fails with `truncated` when the protocol's end mark was not seen.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<Receipt>;
}
