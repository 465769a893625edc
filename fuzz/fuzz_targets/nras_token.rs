//! See `proveil_fuzz::nvidia::nras_token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::nvidia::nras_token(data));
