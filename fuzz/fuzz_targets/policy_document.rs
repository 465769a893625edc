//! See `proveil_fuzz::documents::policy_document`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::documents::policy_document(data));
