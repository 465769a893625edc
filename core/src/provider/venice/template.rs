//! Events that differ from the one before in their sealed text only.
//!
//! Servers send an answer as many events with the same members, and reading one in full costs more than opening its text under a key
//! that is known. So the last event that held one sealed text and nothing else is remembered. JSON in which a string without
//! escapes is replaced by another one reads the same in every other respect, and an envelope is hex digits: what was concluded about
//! the event before holds for this one.

use crate::endpoint::TextField;
use crate::stream::Field;
use crate::stream::json::{Choice, Chunk};

/// Longest event that is remembered, without its text.
const MAX_BYTES: usize = 4 * 1024;

/// An event around its sealed text.
pub(super) struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where the text belongs.
    pub(super) choice: u32,
    pub(super) field: TextField,
}

impl Template {
    /// Remembers an event whose only effect is one sealed text, in place of what was remembered before.
    pub(super) fn remember(
        slot: &mut Option<Template>,
        data: &[u8],
        chunk: &Chunk<'_>,
        choice: u32,
        field: TextField,
    ) {
        let place = only_text(chunk).and_then(|text| split_around(data, text.as_bytes()));
        let Some((before, after)) = place.filter(|(a, b)| a.len().saturating_add(b.len()) <= MAX_BYTES)
        else {
            *slot = None;
            return;
        };
        let template = slot.get_or_insert(Template { before: Vec::new(), after: Vec::new(), choice, field });
        (template.choice, template.field) = (choice, field);
        for (kept, part) in [(&mut template.before, before), (&mut template.after, after)] {
            kept.clear();
            kept.extend_from_slice(part);
        }
    }

    /// The text of an event that is otherwise the same; the caller checks that it is an envelope.
    pub(super) fn text_of<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        data.strip_prefix(self.before.as_slice())?.strip_suffix(self.after.as_slice())
    }
}

/// The text of the only field that has one.
fn only_text<'a>(chunk: &'a Chunk<'_>) -> Option<&'a str> {
    let mut texts = chunk.choices.iter().flat_map(texts).filter(|text| !text.is_empty());
    let text = texts.next()?;
    texts.next().is_none().then_some(text)
}

fn texts<'a>(choice: &'a Choice<'_>) -> impl Iterator<Item = &'a str> {
    let delta = &choice.delta;
    [&delta.content, &delta.reasoning_content, &delta.reasoning].into_iter().filter_map(|field| match field {
        Field::Text(text) => Some(text.as_ref()),
        Field::Absent | Field::Other => None,
    })
}

/// What lies before and after `part`, if it is a part of `whole` and not a copy of one.
fn split_around<'a>(whole: &'a [u8], part: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let (before, rest) = whole.split_at_checked(start)?;
    rest.strip_prefix(part).map(|after| (before, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::json::parse_chunk;

    fn template(data: &str) -> Option<Template> {
        let mut slot = None;
        let chunk = parse_chunk(data.as_bytes()).unwrap();
        Template::remember(&mut slot, data.as_bytes(), &chunk, 0, TextField::Content);
        slot
    }

    #[test]
    fn events_that_are_alike() {
        let event = |text: &str| {
            format!("{{\"id\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\",\"x\":0}}}}]}}")
        };
        let template = template(&event("0badcafe")).unwrap();
        let text = |data: &str| template.text_of(data.as_bytes()).map(<[u8]>::to_vec);
        for same in ["04", "0badcafe", ""] {
            assert_eq!(text(&event(same)).unwrap(), same.as_bytes());
        }
        let other_id = event("04").replace("\"c\"", "\"d\"");
        let longer = event("04").replace(",\"x\":0", ",\"x\":0,\"y\":1");
        // Shorter than what was remembered, though it begins and ends like it.
        let overlapping = event("").replace("\"\"", "\"");
        for other in [other_id, longer, overlapping, String::new()] {
            assert_eq!(text(&other), None, "{other}");
        }
    }

    #[test]
    fn events_that_are_not_remembered() {
        let long = "x".repeat(MAX_BYTES);
        for data in [
            "{\"choices\":[]}".to_owned(),
            "{\"choices\":[{\"delta\":{\"content\":\"\"}}]}".to_owned(),
            // Two texts, or one that is not in the data as it reads.
            "{\"choices\":[{\"delta\":{\"content\":\"04\",\"reasoning\":\"04\"}}]}".to_owned(),
            "{\"choices\":[{\"delta\":{\"content\":\"\\u0030\"}}]}".to_owned(),
            format!("{{\"model\":\"{long}\",\"choices\":[{{\"delta\":{{\"content\":\"04\"}}}}]}}"),
        ] {
            assert!(template(&data).is_none(), "{data}");
        }
    }
}
