//! What the fuzz targets run, and what they start from. `testkit/tests/fuzz_smoke.rs` runs the same functions in every test run.

pub mod bodies;
pub mod bundle;
pub mod documents;
pub mod entries;
pub mod nvidia;
pub mod seeds;
