use proveil_core::endpoint::Event;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// Decrypted answer text.
    Content = 1,
    /// Decrypted reasoning text.
    Reasoning = 2,
    /// The choice ended; `text` is the reason (unauthenticated).
    Finish = 3,
    /// `text` is token usage as JSON (unauthenticated).
    Usage = 4,
    /// `text` is an opened JSON document: a whole answer, or the data of one event of a stream.
    Document = 5,
}

impl EventKind {
    /// `content`, `reasoning`, `finish`, `usage` or `document`.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Content => "content",
            EventKind::Reasoning => "reasoning",
            EventKind::Finish => "finish",
            EventKind::Usage => "usage",
            EventKind::Document => "document",
        }
    }
}

/// An [`Event`] with the same members whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatEvent {
    /// What it is.
    pub kind: EventKind,
    /// `choices[].index`; 0 for usage.
    pub choice: u32,
    /// Text, reason or JSON.
    pub text: String,
    /// Of a document that is the data of a named event of a stream: that name (unauthenticated); else empty.
    pub name: String,
}

impl From<Event> for FlatEvent {
    fn from(event: Event) -> FlatEvent {
        use proveil_core::endpoint::TextField;
        let mut given = String::new();
        let (kind, choice, text) = match event {
            Event::Text { choice, field: TextField::Content, text } => (EventKind::Content, choice, text),
            Event::Text { choice, field: TextField::Reasoning, text } => (EventKind::Reasoning, choice, text),
            Event::Finish { choice, reason } => (EventKind::Finish, choice, reason),
            Event::Usage { json } => (EventKind::Usage, 0, json),
            Event::Document { name, json } => {
                given = name;
                (EventKind::Document, 0, json)
            }
        };
        FlatEvent { kind, choice, text, name: given }
    }
}
