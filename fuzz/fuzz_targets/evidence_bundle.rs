//! See `proveil_fuzz::bundle::evidence_bundle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::bundle::evidence_bundle(data));
