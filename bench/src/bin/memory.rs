//! What an open stream holds in memory. A program of its own, because counting allocations would slow the other measurements.

use proveil_bench::recording::{EVENTS_PER_PIECE, Recording, ServerKeys};
use proveil_bench::row::{Row, Target};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const STREAMS: usize = 100;
const KIB: f64 = 1024.0;

fn main() {
    let recording = Recording::make(EVENTS_PER_PIECE, ServerKeys::Repeated);
    let mut piece = recording.events.concat();
    // Each stream stops inside an event: the start of the first one again.
    piece.extend_from_slice(&recording.events[0][..200]);
    let mut streams = Vec::with_capacity(STREAMS);
    let mut region = Region::new(ALLOCATOR);
    for _ in 0..STREAMS {
        let mut opener = recording.open();
        for _ in 0..4 {
            opener.push(&piece, &mut Vec::new()).expect("an honest answer");
            // Ends the event that was cut: it is the first one once more.
            opener.push(&recording.events[0][200..], &mut Vec::new()).expect("an honest answer");
        }
        opener.push(&recording.events[0][..200], &mut Vec::new()).expect("an honest answer");
        streams.push(opener);
    }
    let held = region.change_and_reset();
    let bytes = held.bytes_allocated - held.bytes_deallocated;
    let row = Row::new(
        "stream.memory",
        bytes as f64 / STREAMS as f64 / KIB,
        "KiB",
        Target::AtMost(64.0),
        format!("held by each of {STREAMS} openers that wait inside an event, after 132 events"),
    );
    println!("{}", row.to_json());
}
