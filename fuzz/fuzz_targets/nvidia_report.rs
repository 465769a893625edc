//! See `proveil_fuzz::nvidia::nvidia_report`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::nvidia::nvidia_report(data));
