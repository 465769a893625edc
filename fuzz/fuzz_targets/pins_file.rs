//! See `proveil_fuzz::documents::pins_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::documents::pins_file(data));
