//! Privatemode (issue 4, Benchmarks): bodies and streams beside the AES-GCM, hexadecimal and JSON scanning that they contain, the key
//! exchange beside the crate's calls, the attestation document beside its signature checks.

mod bare;
mod bodies;
mod exchange;
mod recording;
mod stream;

pub use recording::{Fields, Lcg, SECRET_ID, answer, chat_request, secret};

use crate::row::Row;

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut rows = bodies::rows();
    rows.extend(stream::rows());
    rows.extend(exchange::rows());
    rows
}
