//! `proveil._core`: the native half of the Python package `proveil` (style.md B5, users.md 4).
//!
//! Owns: conversion between Python and Rust values, nothing else. Every exported function runs inside the unwind guard and, where it
//! parses, computes or waits, without the interpreter lock. The Python half (`python/proveil`) adds the error classes, the
//! configuration and the iterators.

mod client;
mod convert;
mod endpoint;
mod error;
mod evidence;
mod exchange;
mod functions;
mod http;
mod opener;
mod policy;
mod report;
mod task;

use pyo3::prelude::*;

/// Native half of `proveil`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::client::{ClientHandle, StreamHandle};
    #[pymodule_export]
    use crate::endpoint::{SealedRequest, VerifiedEndpoint};
    #[pymodule_export]
    use crate::evidence::EvidenceBundle;
    #[pymodule_export]
    use crate::exchange::{Exchange, Outcome};
    #[cfg(feature = "test-entry")]
    #[pymodule_export]
    use crate::functions::_test_panic;
    #[pymodule_export]
    use crate::functions::{
        default_api_key_variable, inspect, inspect_kinds, open_field, opener_for_key, providers, seal_field,
        verify_evidence,
    };
    #[pymodule_export]
    use crate::http::HttpRequest;
    #[pymodule_export]
    use crate::opener::{Event, Opener, Receipt};
    #[pymodule_export]
    use crate::policy::{Policy, TrustRoots};
    #[pymodule_export]
    use crate::report::{Check, Report};
    #[pymodule_export]
    use crate::task::Pending;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", proveil_bindings_support::VERSION)
    }
}
