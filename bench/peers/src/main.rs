//! Measures the core beside other verifiers, in one process with them, and prints the rows as JSON. Built with one of its two features.

#[cfg(feature = "pure-rust")]
mod manifests;
mod reports;

use proveil_bench::row::Row;

fn main() {
    let mut rows: Vec<Row> = reports::rows();
    #[cfg(feature = "pure-rust")]
    rows.extend(manifests::rows());
    let rows: Vec<serde_json::Value> = rows.iter().map(Row::to_json).collect();
    println!("{}", serde_json::Value::Array(rows));
}
