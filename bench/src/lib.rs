//! Speed and size of Proveil, as ratios of things that are measured in the same run (style.md B11; issue 2, Benchmarks).
//!
//! The binary `proveil-bench` times the core beside the bare operations, beside what existing clients use and beside `dcap-qvl`;
//! `peers`, a workspace of its own, beside verifiers that should not be in the tree of this one;
//! `proveil-bench-memory` counts what an open stream holds. `cargo xtask bench` runs both, adds other languages and artefact sizes,
//! and compares with the targets.

pub mod bare;
pub mod chunks;
pub mod gpus;
pub mod measure;
pub mod privatemode;
pub mod proxy;
pub mod recording;
pub mod replay;
pub mod row;
pub mod signatures;
pub mod snp;
pub mod tdx;
