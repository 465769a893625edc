//! See `proveil_fuzz::entries::sse_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::entries::sse_answer(data));
