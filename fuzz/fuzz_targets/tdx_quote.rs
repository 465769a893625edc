//! See `proveil_fuzz::entries::tdx_quote`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::entries::tdx_quote(data));
