//! Answers that the provider makes in the API's own shape: passed on document by document, as they were opened.

use proveil::{Code, Error, Event, Result};

use super::dialect::Dialect;
use super::{Chunks, Whole};

/// Documents as events, or the one document that an answer is.
pub(crate) struct Documents {
    dialect: Dialect,
    whole: Option<String>,
}

impl Documents {
    pub(crate) const fn new(dialect: Dialect) -> Documents {
        Documents { dialect, whole: None }
    }
}

impl Chunks for Documents {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let Event::Document { name, json } = event else { return };
        // The name travels in clear. Only Anthropic's libraries read it, and its words are of this form.
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if self.dialect == Dialect::Anthropic && !name.is_empty() && name.bytes().all(plain) {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name.as_bytes());
            out.push(b'\n');
        }
        // White space inside a document can hold line ends, which must not end the event.
        out.reserve(json.len().saturating_add(b"data: \n\n".len()));
        for line in json.as_bytes().split(|byte| matches!(byte, b'\n' | b'\r')) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        // Anthropic's streams end with an event of their own, which is among the documents.
        if self.dialect == Dialect::OpenAi {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.extend_from_slice(self.dialect.event(error).as_bytes());
    }
}

impl Whole for Documents {
    fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Document { json, .. } if self.whole.is_none() => {
                self.whole = Some(json);
                Ok(())
            }
            Event::Document { .. } => {
                Err(Error::new(Code::MalformedResponse).at("answer").expected("one document"))
            }
            _ => Ok(()),
        }
    }

    fn document(&mut self) -> Result<String> {
        self.whole
            .take()
            .ok_or_else(|| Error::new(Code::MalformedResponse).at("answer").expected("one document"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_names_and_stay_whole() {
        let mut documents = Documents::new(Dialect::Anthropic);
        let mut out = Vec::new();
        let event = |name: &str, json: &str| Event::Document { name: name.to_owned(), json: json.to_owned() };
        Chunks::event(&mut documents, &event("message_start", "{\"a\":1}"), &mut out);
        Chunks::event(&mut documents, &event("", "{\n\"a\":1\r}"), &mut out);
        Chunks::end(&mut documents, &mut out).unwrap();
        let expected = "event: message_start\ndata: {\"a\":1}\n\ndata: {\ndata: \"a\":1\ndata: }\n\n";
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    /// T36, T55: a name that is no word of the API is left out.
    #[test]
    fn t36_other_names_are_left_out() {
        for (dialect, name) in
            [(Dialect::OpenAi, "message_start"), (Dialect::Anthropic, "a b"), (Dialect::Anthropic, "<b>")]
        {
            let mut out = Vec::new();
            let event = Event::Document { name: name.to_owned(), json: "{}".to_owned() };
            Chunks::event(&mut Documents::new(dialect), &event, &mut out);
            assert_eq!(out, b"data: {}\n\n", "{name}");
        }
    }

    #[test]
    fn one_document_only() {
        let mut documents = Documents::new(Dialect::OpenAi);
        let event = || Event::Document { name: String::new(), json: "{}".to_owned() };
        assert_eq!(documents.document().unwrap_err().code(), Code::MalformedResponse);
        Whole::event(&mut documents, event()).unwrap();
        assert_eq!(Whole::event(&mut documents, event()).unwrap_err().code(), Code::MalformedResponse);
        assert_eq!(documents.document().unwrap(), "{}");
    }
}
