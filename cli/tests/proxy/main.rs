//! `proveil proxy` as a separate program in front of simulated providers, spoken to over sockets as its callers do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod abuse;
mod access;
mod answers;
mod failures;
mod operation;
mod overload;
mod stage;
mod standing;
