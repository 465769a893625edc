//! See `proveil_fuzz::entries::attestation_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::entries::attestation_answer(data));
