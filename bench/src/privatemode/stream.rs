//! A stream of 2,000 events.

use memchr::memmem;
use proveil_core::endpoint::Event;
use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{AnswerOpener, Output};
use proveil_core::seal::MessageCipher;
use ring::digest;

use super::bare::{self, Sealed};
use super::recording::{Fields, Lcg, MODEL, cipher, event, secret};
use crate::measure::compare;
use crate::row::Row;
use crate::row::Target::AtMost;

/// Events of the answer, the end of the choice included.
const EVENTS: usize = 2_000;
/// Fields of the request that came before.
const REQUEST_FIELDS: usize = 4;
const TOKENS: [&str; 8] = ["The", " sky", " is", " blue", ",", " caf\u{e9}", " \u{2192}", " done"];

struct Recording {
    /// With blank lines.
    events: Vec<String>,
    /// The values of each event.
    values: Vec<Vec<Sealed>>,
}

fn record() -> Recording {
    let mut fields = Fields::new();
    let (mut events, mut values) = (Vec::new(), Vec::new());
    for number in 0..EVENTS {
        let token = (number + 1 < EVENTS).then(|| TOKENS[number % TOKENS.len()]);
        events.push(format!("data: {}\n\n", fields.seal(&event(token, number))));
    }
    let per_event = fields.sealed.len() / EVENTS;
    let mut all = fields.sealed.into_iter();
    for _ in 0..EVENTS {
        values.push(all.by_ref().take(per_event).collect());
    }
    Recording { events, values }
}

/// Opens the stream, one push for each event; gives the bytes of text.
fn open_all(recording: &Recording, head: &ResponseHead, output: Output) -> usize {
    let mut cipher = cipher(&secret());
    let mut random = Lcg(1 << 20);
    let mut request = Vec::new();
    for _ in 0..REQUEST_FIELDS {
        cipher.seal_into(b"0.7", &mut random, &mut request).expect("a short field");
    }
    let model = Some(MODEL.to_owned());
    let mut opener = AnswerOpener::new(cipher, ApiEndpoint::ChatCompletions, output, model, [0; 32]);
    opener.head(head).expect("a good head");
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut count = |events: &mut Vec<Event>| {
        for event in events.drain(..) {
            match event {
                Event::Text { text, .. } => bytes += text.len(),
                Event::Document { json, .. } => bytes += json.len(),
                _ => {}
            }
        }
    };
    for event in &recording.events {
        opener.push(event.as_bytes(), &mut events).expect("an honest answer");
        count(&mut events);
    }
    opener.push(b"data: [DONE]\n\n", &mut events).expect("an honest answer");
    opener.finish(&mut events).expect("an honest answer");
    count(&mut events);
    bytes
}

/// All rows of this module.
pub fn rows() -> Vec<Row> {
    let recording = record();
    let headers = [("content-type".to_owned(), "text/event-stream".to_owned())];
    let head = ResponseHead::new(200, headers);
    let expected: usize = (0..EVENTS - 1).map(|number| TOKENS[number % TOKENS.len()].len()).sum();
    assert_eq!(open_all(&recording, &head, Output::Texts), expected, "every token");
    let key = bare::key(&secret());
    let mut scratch = Vec::new();
    let mut bare = |scan| {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut bytes = 0;
        for (event, values) in recording.events.iter().zip(&recording.values) {
            hash.update(event.as_bytes());
            let end = memmem::find(event.as_bytes(), b"\n\n").expect("a blank line");
            bytes += bare::open(scan, &key, &event[6..end], values, &mut scratch);
        }
        std::hint::black_box(hash.finish());
        bytes
    };
    let mut compare = |output: Output, scan: bare::Scan| {
        compare(|| open_all(&recording, &head, output), || bare(scan)).per(EVENTS)
    };
    let mut both = |output: Output| (compare(output, bare::Scan::Library), compare(output, bare::Scan::Own));
    let (texts, own_texts) = both(Output::Texts);
    let (documents, own_documents) = both(Output::Documents);
    let what = |pair: crate::measure::Pair, what: &str| {
        format!(
            "{} B event with {} sealed members to {what}, one push each, {:.2} us; line end, the receipt's SHA-256, scans, hex and \
             AES-GCM {:.2} us",
            recording.events[0].len(),
            recording.values[0].len(),
            pair.ours / 1e3,
            pair.other / 1e3
        )
    };
    vec![
        Row::new(
            "privatemode.event_over_bare",
            texts.ratio(),
            "x",
            AtMost(1.3),
            what(texts, "its text and usage"),
        ),
        Row::new(
            "privatemode.document_event_over_bare",
            documents.ratio(),
            "x",
            AtMost(1.3),
            what(documents, "the whole opened document"),
        ),
        Row::note(
            "privatemode.event_own_scan",
            own_texts.ratio(),
            "x",
            what(own_texts, "its text and usage, beside this library's own scanner"),
        ),
        Row::note(
            "privatemode.document_event_own_scan",
            own_documents.ratio(),
            "x",
            what(own_documents, "the whole opened document, beside this library's own scanner"),
        ),
    ]
}
