//! What an open stream holds in memory, and what sealing a large upload takes. A program of its own, because counting allocations would
//! slow the other measurements.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use proveil_bench::privatemode::{Lcg, SECRET_ID, secret};
use proveil_bench::recording::{EVENTS_PER_PIECE, Recording, ServerKeys};
use proveil_bench::row::{Row, Target};
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{Content, Hex, MessageSize, PlanOptions, plan};
use proveil_core::seal::MessageCipher;
use proveil_core::seal::gcm_stream::FieldCipher;

/// Counts bytes. Growing counts the old and the new memory at once, as when it cannot be done in place.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STREAMS: usize = 100;
const KIB: f64 = 1024.0;
/// Bytes of a file; with the form around it just below the limit of 50 MiB.
const UPLOAD: usize = (50 << 20) - 4096;

fn main() {
    let rows = [stream(), upload()].map(|row| row.to_json());
    println!("{}", serde_json::Value::from(rows.to_vec()));
}

fn stream() -> Row {
    let recording = Recording::make(EVENTS_PER_PIECE, ServerKeys::Repeated);
    let mut piece = recording.events.concat();
    // Each stream stops inside an event: the start of the first one again.
    piece.extend_from_slice(&recording.events[0][..200]);
    let mut streams = Vec::with_capacity(STREAMS);
    let before = HELD.load(Ordering::Relaxed);
    for _ in 0..STREAMS {
        let mut opener = recording.open();
        for _ in 0..4 {
            opener.push(&piece, &mut Vec::new()).expect("an honest answer");
            // Ends the event that was cut: it is the first one once more.
            opener.push(&recording.events[0][200..], &mut Vec::new()).expect("an honest answer");
        }
        opener.push(&recording.events[0][..200], &mut Vec::new()).expect("an honest answer");
        streams.push(opener);
    }
    let bytes = HELD.load(Ordering::Relaxed) - before;
    Row::new(
        "stream.memory",
        bytes as f64 / STREAMS as f64 / KIB,
        "KiB",
        Target::AtMost(64.0),
        format!("held by each of {STREAMS} openers that wait inside an event, after 132 events"),
    )
}

fn upload() -> Row {
    let mut body = Vec::with_capacity(UPLOAD + 4096);
    body.extend_from_slice(b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--B\r\n");
    body.extend_from_slice(b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n");
    body.resize(body.len() + UPLOAD, b'-');
    body.extend_from_slice(b"\r\n--B--\r\n");
    let before = HELD.load(Ordering::Relaxed) - body.capacity();
    PEAK.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
    let mut random = Lcg(1);
    let content = Content::Multipart { content_type: "multipart/form-data; boundary=B", body: &body };
    let plan = plan(ApiEndpoint::Transcriptions, content, &PlanOptions::default(), &mut random)
        .expect("a good form");
    let mut cipher = FieldCipher::new(&secret(), SECRET_ID, &mut random).expect("a good id");
    let size = MessageSize { id_bytes: SECRET_ID.len() };
    let sealed = plan.write_chunks(size, |plaintext, hex, out| match hex {
        Hex::Now => cipher.seal_into(plaintext, &mut random, out).map(|()| 0..0),
        Hex::Later => cipher.seal_deferred(plaintext, &mut random, out),
    });
    let sealed = sealed.expect("numbers").expect("a large file");
    let sent: usize = sealed.pieces().map(|piece| black_box(piece).len()).sum();
    assert!(sent == sealed.wire_len() && sent > 2 * UPLOAD);
    let peak = PEAK.load(Ordering::Relaxed) - before;
    Row::new(
        "privatemode.upload_memory",
        peak as f64 / UPLOAD as f64,
        "x",
        Target::AtMost(2.5),
        "most memory while a 50 MiB file in a form is sealed and sent, the caller's copy included; in hex it is twice as long",
    )
}
