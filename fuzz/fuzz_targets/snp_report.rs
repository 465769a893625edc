//! See `proveil_fuzz::entries::snp_report`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proveil_fuzz::entries::snp_report(data));
