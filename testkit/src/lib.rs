//! Evidence forge and simulated providers.
//!
//! [`forge`] makes a whole throw-away world of trust at each start: roots, certificates, collateral, quotes, event logs and GPU
//! reports that have the exact form of real ones but lead to roots that nobody else trusts. [`sim`] serves it as a provider's API
//! on loopback, honest or with any [`sim::Defect`] of threats.md section 4 switched on.
//!
//! Used by the command line (`demo`, `simulate`) and by tests; never linked into the client or a language package. The source
//! contains no key and no certificate: all are drawn from the seed that the caller gives.

#![forbid(unsafe_code)]

pub mod forge;
pub mod sim;
