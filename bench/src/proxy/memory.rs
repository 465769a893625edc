//! Resident memory of the proxy's process, the program's own pages included.

use super::relay::Pace;
use super::stage::{Binary, Provider, Stage};
use crate::row::Row;
use crate::row::Target::{self, AtMost};

const MIB: f64 = (1_u64 << 20) as f64;
/// Streams that are open at once.
const STREAMS: usize = 1_000;
/// Connections of the run that looks for growth.
const CALLERS: usize = 8;
/// What each caller sends before the first look: by then every cache and every thread's own memory is there.
const WARM_UP: usize = 125;
/// Events of an open stream that were written before it waits.
const WRITTEN: usize = 6;

/// All rows of this module.
pub(super) fn rows(binary: Option<&Binary>, requests: usize) -> Vec<Row> {
    let Some(binary) = binary else {
        return [
            ("proxy.idle_memory", "MiB", 15.0),
            ("proxy.streams_memory", "MiB", 200.0),
            ("proxy.growth", "x", 1.05),
        ]
        .map(|(name, unit, most)| Row::absent(name, unit, AtMost(most), super::UNBUILT))
        .into();
    };
    let mut rows = open_streams(binary);
    rows.push(growth(binary, requests));
    rows
}

/// Idle with a proof, and with a thousand streams in the middle.
fn open_streams(binary: &Binary) -> Vec<Row> {
    let stage = Stage::start(binary, Provider::Venice, &["--streams-per-client", "1000"]);
    let idle = stage.proxy.resident_bytes() as f64 / MIB;
    stage.relay.set_pace(Pace::Held(WRITTEN));
    let request = stage.provider.request(true, 1, 8);
    let mut callers: Vec<_> = (0..STREAMS).map(|_| stage.call()).collect();
    callers.iter_mut().for_each(|caller| caller.begin(&request));
    for caller in &mut callers {
        assert!(!caller.first_chunk().is_empty(), "an event");
    }
    let open = stage.proxy.resident_bytes() as f64 / MIB;
    stage.relay.set_pace(Pace::AtOnce);
    for caller in &mut callers {
        assert!(caller.rest().ends_with(b"data: [DONE]\n\n"), "a whole answer");
    }
    vec![
        Row::new(
            "proxy.idle_memory",
            idle,
            "MiB",
            Target::AtMost(15.0),
            "resident, the program's own pages included, after the first proof of a Venice endpoint and before any request",
        ),
        Row::new(
            "proxy.streams_memory",
            open,
            "MiB",
            Target::AtMost(200.0),
            format!("the same with {STREAMS} Venice streams of one caller open, {WRITTEN} events into each"),
        ),
    ]
}

fn growth(binary: &Binary, requests: usize) -> Row {
    let stage = Stage::start(binary, Provider::Privatemode, &[]);
    let request = stage.provider.request(false, 1, 8);
    let mut callers: Vec<_> = (0..CALLERS).map(|_| stage.call()).collect();
    let mut run = |each: usize| {
        std::thread::scope(|scope| {
            for caller in &mut callers {
                let request = &request;
                scope.spawn(move || (0..each).for_each(|_| drop(caller.post(request))));
            }
        });
        stage.proxy.resident_bytes() as f64
    };
    let before = run(WARM_UP);
    let after = run(requests / CALLERS);
    Row::new(
        "proxy.growth",
        after / before,
        "x",
        Target::AtMost(1.05),
        format!(
            "resident memory after {requests} sealed Privatemode requests over that after the first {}: {:.1} and {:.1} MiB",
            WARM_UP * CALLERS,
            after / MIB,
            before / MIB
        ),
    )
}
