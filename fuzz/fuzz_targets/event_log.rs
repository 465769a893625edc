//! See `proveil_fuzz::entries::event_log`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::entries::event_log(data));
