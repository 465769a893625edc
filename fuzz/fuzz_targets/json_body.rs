//! See `proveil_fuzz::bodies::json_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::bodies::json_body(data));
