//! What sealing a large upload costs in memory, counted at the allocator.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::provider::privatemode::{Content, MessageSize, PlanOptions, plan};
use support::TestRandom;

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

const UPLOAD_BYTES: usize = 50 * 1024 * 1024 - 4096;

/// The most memory that planning and writing takes besides the body that it borrows, for each byte of the upload.
fn memory_per_byte(endpoint: ApiEndpoint, content: Content<'_>) -> f64 {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let plan = plan(endpoint, content, &PlanOptions::default(), &mut TestRandom(1, 0)).unwrap();
    let size = MessageSize { id_bytes: 44 };
    let sealed = plan.write(size, |plaintext, out| {
        out.resize(out.len() + size.sealed(plaintext.len()), b'0');
        Ok(())
    });
    assert!(sealed.unwrap().len() > 2 * UPLOAD_BYTES);
    let bytes = |count: usize| f64::from(u32::try_from(count).unwrap());
    bytes(PEAK.load(Ordering::Relaxed) - before) / bytes(UPLOAD_BYTES)
}

/// A sealed byte is two characters, so that nothing below 2 is possible. One test, because the allocator counts for all threads.
#[test]
fn uploads_take_the_memory_of_their_sealed_form() {
    let mut body = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n".to_vec();
    body.extend_from_slice(
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
    );
    body.resize(body.len() + UPLOAD_BYTES, b'-');
    body.extend_from_slice(b"\r\n--B--\r\n");
    let content = Content::Multipart { content_type: "multipart/form-data; boundary=B", body: &body };
    assert!(memory_per_byte(ApiEndpoint::Transcriptions, content) < 2.01);

    let mut form = Form::new();
    form.value("model", b"m").unwrap();
    form.file("file", "a.wav", &body[..UPLOAD_BYTES]).unwrap();
    assert!(memory_per_byte(ApiEndpoint::Transcriptions, Content::Form(form)) < 2.01);

    let unstructured = ApiEndpoint::parse("/unstructured/general/v0/general").unwrap();
    let content = Content::Raw { content_type: "application/pdf", body: &body[..UPLOAD_BYTES] };
    assert!(memory_per_byte(unstructured, content) < 2.01);

    let json = format!("{{\"model\":\"m\",\"messages\":[\"{}\"],\"a\":1}}", "x".repeat(UPLOAD_BYTES));
    assert!(memory_per_byte(ApiEndpoint::ChatCompletions, Content::Json(json.as_bytes())) < 2.01);
}
