//! Chunks of an answer: one at a time, under a repeated key, in a burst, and without the opening.

use std::ops::ControlFlow;

use proveil_core::endpoint::Event;
use proveil_core::stream::json::parse_chunk;
use proveil_core::stream::sse::Framer;
use secp256k1::SecretKey;

use crate::bare;
use crate::measure::{compare, compare_wall, time};
use crate::recording::{Recording, ServerKeys};
use crate::row::Row;
use crate::row::Target::{AtLeast, AtMost};

/// Chunks of one pass, which is one answer with an opener of its own.
const PASS: usize = 64;
/// The same where a chunk is a fiftieth of the work.
const LONG_PASS: usize = 2_048;
/// Chunks of a burst.
const BURST: usize = 200;

/// Opens every event of an answer, one push for each; gives the bytes of text.
fn open_all(recording: &Recording, events: &mut Vec<Event>) -> usize {
    let mut opener = recording.open();
    let mut bytes = 0;
    for event in &recording.events {
        opener.push(event, events).expect("an honest answer");
        for event in events.drain(..) {
            if let Event::Text { text, .. } = event {
                bytes += text.len();
            }
        }
    }
    bytes
}

/// One chunk with a server key of its own.
pub fn fresh_key() -> Vec<Row> {
    let recording = Recording::make(PASS, ServerKeys::Fresh);
    let secret = SecretKey::from_secret_bytes(*recording.key().expose()).expect("a valid key");
    let (mut events, mut scratch) = (Vec::new(), Vec::new());
    let bytes: usize =
        recording.envelopes.iter().map(|sealed| bare::open(&secret, sealed, &mut scratch)).sum();
    assert_eq!(open_all(&recording, &mut events), bytes, "both sides open the same");
    let bare = compare(
        || open_all(&recording, &mut events),
        || recording.envelopes.iter().map(|sealed| bare::open(&secret, sealed, &mut scratch)).sum::<usize>(),
    )
    .per(PASS);

    let theirs = k256_013::SecretKey::from_slice(recording.key().expose()).expect("a valid key");
    let data: Vec<&[u8]> = recording.events.iter().map(|event| event[6..].trim_ascii()).collect();
    let others = || data.iter().map(|data| bare::open_as_others(&theirs, data).len()).sum::<usize>();
    assert_eq!(others(), bytes, "both sides open the same");
    let others = compare(|| open_all(&recording, &mut events), others).per(PASS);
    vec![
        Row::new(
            "chunk.fresh_key_over_bare",
            bare.ratio(),
            "x",
            AtMost(1.06),
            format!(
                "{} B event to text {:.2} us; bare point parse, multiplication, HKDF, AES-GCM {:.2} us",
                recording.events[0].len(),
                bare.ours / 1e3,
                bare.other / 1e3
            ),
        ),
        Row::new(
            "chunk.faster_than_k256_stack",
            others.speedup(),
            "x",
            AtLeast(1.4),
            format!(
                "SSE bytes to text {:.2} us; framed data by serde_json::Value, hex, k256 0.13, hkdf 0.12, aes-gcm 0.10 {:.2} us",
                others.ours / 1e3,
                others.other / 1e3
            ),
        ),
    ]
}

/// One chunk under a server key that was seen before.
pub fn repeated_key() -> Vec<Row> {
    let recording = Recording::make(LONG_PASS, ServerKeys::Repeated);
    let secret = SecretKey::from_secret_bytes(*recording.key().expose()).expect("a valid key");
    let key = bare::key_of(&secret, &recording.envelopes[0]);
    let (mut events, mut scratch) = (Vec::new(), Vec::new());
    let pair = compare(
        || open_all(&recording, &mut events),
        || {
            let lengths =
                recording.envelopes.iter().map(|sealed| bare::open_under(&key, sealed, &mut scratch));
            lengths.sum::<usize>()
        },
    )
    .per(LONG_PASS);
    vec![
        Row::new(
            "chunk.repeated_key",
            pair.ours / 1e3,
            "us",
            AtMost(0.8),
            format!("{} B event to text, server key known", recording.events[0].len()),
        ),
        Row::note(
            "chunk.repeated_key_over_aes_gcm",
            pair.ratio(),
            "x",
            format!("the same; AES-256-GCM of its field with key expansion {:.3} us", pair.other / 1e3),
        ),
    ]
}

/// Many chunks in one push.
pub fn burst() -> Vec<Row> {
    let recording = Recording::make(BURST, ServerKeys::Fresh);
    let piece = recording.events.concat();
    let open = |workers| {
        let mut opener = recording.open();
        opener.set_workers(workers);
        let mut events = Vec::with_capacity(BURST);
        opener.push(&piece, &mut events).expect("an honest answer");
        assert_eq!(events.len(), BURST);
        events
    };
    let pair = compare_wall(|| open(2), || open(1));
    vec![
        Row::new(
            "chunk.burst_on_two_cores",
            pair.speedup(),
            "x",
            AtLeast(1.8),
            format!(
                "{BURST} events in one push, wall time: two workers {:.2} ms; one {:.2} ms",
                pair.ours / 1e6,
                pair.other / 1e6
            ),
        ),
        Row::note(
            "chunk.burst_ceiling",
            two_threads_of_bare_work(&recording),
            "x",
            "the bare operations of the same burst, half on each of two threads: what this machine's two cores give at that moment",
        ),
    ]
}

/// How much faster two threads do the bare operations of a burst than one.
fn two_threads_of_bare_work(recording: &Recording) -> f64 {
    let secret = SecretKey::from_secret_bytes(*recording.key().expose()).expect("a valid key");
    let open = |envelopes: &[Vec<u8>]| {
        let mut scratch = Vec::new();
        envelopes.iter().map(|sealed| bare::open(&secret, sealed, &mut scratch)).sum::<usize>()
    };
    let (first, second) = recording.envelopes.split_at(BURST / 2);
    let both = || {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| open(second));
            open(first) + other.join().expect("it does not panic")
        })
    };
    compare_wall(both, || open(&recording.envelopes)).speedup()
}

/// One event before anything of it is opened.
pub fn framing_and_json() -> Vec<Row> {
    let recording = Recording::make(LONG_PASS, ServerKeys::Repeated);
    let pair = compare(
        || {
            let mut framer = Framer::new();
            let mut choices = 0;
            for event in &recording.events {
                let each = |event: proveil_core::stream::sse::Event<'_>| {
                    choices += parse_chunk(event.data).expect("an honest event").choices.iter().count();
                    ControlFlow::Continue(())
                };
                framer.push(event, each).expect("an honest stream");
            }
            choices
        },
        || {
            let values = recording.events.iter().map(|event| serde_json::from_slice(&event[6..]));
            values.filter(|value: &Result<serde_json::Value, _>| value.is_ok()).count()
        },
    )
    .per(LONG_PASS);
    let framing = time(|| {
        let mut framer = Framer::new();
        let mut bytes = 0;
        for event in &recording.events {
            let each = |event: proveil_core::stream::sse::Event<'_>| {
                bytes += event.data.len();
                ControlFlow::Continue(())
            };
            framer.push(event, each).expect("an honest stream");
        }
        bytes
    }) / LONG_PASS as f64;
    vec![
        Row::new(
            "event.framing_and_json",
            pair.ours / 1e3,
            "us",
            AtMost(0.8),
            format!("{} B event framed ({:.3} us) and read", recording.events[0].len(), framing / 1e3),
        ),
        Row::note(
            "event.framing_and_json_over_value",
            pair.ratio(),
            "x",
            format!("the same; serde_json::Value of the framed data {:.3} us", pair.other / 1e3),
        ),
    ]
}
