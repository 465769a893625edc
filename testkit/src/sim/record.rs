//! What the simulator received: the provider's view, for assertions and for the demo.

use std::collections::VecDeque;

/// Requests that are kept; older ones are forgotten.
const KEPT: usize = 1_000;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// Path with query.
    pub target: String,
    /// Header names (lowercase) and values; the value of `authorization` is replaced.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte: what the provider sees.
    pub body: Vec<u8>,
    /// Status of the answer.
    pub status: u16,
    /// What the enclave saw after opening; `None` outside encrypted requests.
    pub opened: Option<Vec<OpenedMessage>>,
    /// Every sealed part that the enclave opened, in the order of the counters: name of the member or form part (`body` for a whole
    /// body) and plaintext. Only of a provider that seals part by part.
    pub sealed: Vec<(String, Vec<u8>)>,
}

/// One message after the enclave opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedMessage {
    /// Role; outside chats, the name of the member or form part.
    pub role: String,
    /// Content, decrypted.
    pub content: String,
}

/// What was received so far, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Recorded(VecDeque<RecordedRequest>);

impl Recorded {
    pub(super) fn push(&mut self, request: RecordedRequest) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    /// All requests, oldest first.
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &RecordedRequest> {
        self.0.iter()
    }

    /// Requests whose path (without query) is this.
    pub fn to_path<'a>(&'a self, path: &'a str) -> impl DoubleEndedIterator<Item = &'a RecordedRequest> {
        self.0.iter().filter(move |request| request.target.split('?').next() == Some(path))
    }

    /// The last chat request.
    pub fn last_chat(&self) -> Option<&RecordedRequest> {
        self.to_path(super::server::CHAT_PATH).next_back()
    }

    /// Contents that the enclave opened, in order.
    pub fn prompts(&self) -> Vec<&str> {
        let opened = self.0.iter().filter_map(|request| request.opened.as_deref());
        opened.flatten().map(|message| message.content.as_str()).collect()
    }

    /// True when `text` appears in the clear in anything received: target, headers or body.
    pub fn saw_in_clear(&self, text: &str) -> bool {
        let needle = text.as_bytes();
        self.0.iter().any(|request| {
            request.target.contains(text)
                || request.headers.iter().any(|(_, value)| value.contains(text))
                || request.body.windows(needle.len().max(1)).any(|window| window == needle)
        })
    }
}
