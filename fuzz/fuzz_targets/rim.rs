//! See `proveil_fuzz::nvidia::rim`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::nvidia::rim(data));
