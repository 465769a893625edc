//! The local proxy (issue 5, Benchmarks): the release binary `proveil proxy` beside a bare pass-through of axum and reqwest.
//!
//! Four processes: a simulator, whose work counts for nobody; the proxy; the pass-through (`proveil-bench forward URL`); and this one,
//! which calls both and stands before both as the upstream ([`relay`]). The proxy gets the simulator's answers, the pass-through the
//! same bytes again, at the same pace. Compared is the CPU time that the two processes took, in turns in one run.

mod caller;
mod child;
mod forward;
mod memory;
mod relay;
mod speed;
mod stage;

pub use forward::forward;

use self::stage::Binary;
use crate::row::Row;

/// Why a row has no value.
const UNBUILT: &str = "measured with `--prepare`, or after it, where processes can be read in /proc";
/// Requests of the run that looks for growth.
const REQUESTS: usize = 5_000;
/// The same when time does not matter.
const REQUESTS_FULL: usize = 100_000;

/// All rows; without values when the binary has not been built. `full` makes the long run of the row that looks for growth.
pub fn rows(full: bool) -> Vec<Row> {
    let binary = Binary::find();
    let mut rows = speed::rows(binary.as_ref());
    rows.extend(memory::rows(binary.as_ref(), if full { REQUESTS_FULL } else { REQUESTS }));
    rows
}
