//! What the simulator received: the provider's view, for assertions and for the demo.

use std::collections::VecDeque;

/// Requests that are kept, and bytes of their bodies; older ones are forgotten.
const KEPT: usize = 1_000;
const KEPT_BYTES: usize = 256 * 1024 * 1024;

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
        self.0.push_back(request);
        let mut bytes: usize = 0;
        let fits = |request: &&RecordedRequest| {
            let opened: usize = request.sealed.iter().map(|(_, opened)| opened.len()).sum();
            bytes = bytes.saturating_add(request.body.len()).saturating_add(opened);
            bytes <= KEPT_BYTES
        };
        // The last one is kept whatever its size.
        let kept = self.0.iter().rev().take(KEPT).take_while(fits).count().max(1);
        self.0.drain(..self.0.len().saturating_sub(kept));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, length: usize) -> RecordedRequest {
        RecordedRequest {
            method: "POST".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: vec![0; length],
            status: 200,
            opened: None,
            sealed: Vec::new(),
        }
    }

    #[test]
    fn forgets_the_oldest_by_number_and_by_bytes() {
        let mut recorded = Recorded::default();
        let targets = |recorded: &Recorded| recorded.requests().map(|r| r.target.clone()).collect::<Vec<_>>();
        for index in 0..=KEPT {
            recorded.push(request(&index.to_string(), 1));
        }
        assert_eq!(
            (targets(&recorded).len(), targets(&recorded).first().map(String::as_str)),
            (KEPT, Some("1"))
        );
        recorded.push(request("half", KEPT_BYTES / 2));
        assert_eq!(targets(&recorded).len(), KEPT);
        recorded.push(request("another half", KEPT_BYTES / 2));
        assert_eq!(targets(&recorded), ["half", "another half"]);
        recorded.push(request("too much", KEPT_BYTES + 1));
        assert_eq!(targets(&recorded), ["too much"]);
    }
}
