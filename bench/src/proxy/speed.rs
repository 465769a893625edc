//! CPU time and latency of the proxy beside the bare pass-through.

use std::ops::Range;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use secp256k1::SecretKey;

use super::caller::Caller;
use super::child::Process;
use super::relay::{Answer, Pace};
use super::stage::{Binary, Provider, Stage};
use crate::bare;
use crate::recording::{Recording, ServerKeys};
use crate::row::Row;
use crate::row::Target::{AtLeast, AtMost};

/// Connections at once.
const CALLERS: usize = 8;
/// Turns of each side.
const ROUNDS: usize = 8;
/// Between the events of a stream: a quick model.
const PAUSE: Duration = Duration::from_millis(2);
/// Streams of which the fastest but one counts.
const BURSTS: usize = 60;
/// Choices that together give an answer of more than 200 pieces.
const CHOICES: u32 = 2;
/// No bound on the pieces of a choice.
const ALL: u32 = 10_000;
/// Requests of each side of which the median counts.
const PLAIN: usize = 400;
/// Answers to requests before anything is measured.
const WARM_UP: usize = 3;

const TARGETS: [(&str, crate::row::Target); 4] = [
    ("proxy.venice_event_over_bare", AtMost(1.2)),
    ("proxy.venice_burst_over_openings", AtMost(1.6)),
    ("proxy.privatemode_throughput", AtLeast(0.7)),
    ("proxy.json_latency_over_bare", AtMost(1.5)),
];

/// All rows of this module.
pub(super) fn rows(binary: Option<&Binary>) -> Vec<Row> {
    let Some(binary) = binary else {
        return TARGETS.map(|(name, target)| Row::absent(name, "x", target, super::UNBUILT)).into();
    };
    let mut rows = venice(binary);
    rows.extend(privatemode(binary));
    rows
}

fn venice(binary: &Binary) -> Vec<Row> {
    let stage = Stage::start(binary, Provider::Venice, &[]);
    let forwarder = stage.forwarder();
    let mut both = Both::new(&stage, &forwarder, CHOICES);
    let opening = Opening::new();
    let paced = both.in_turns(Pace::Each(PAUSE), &opening);
    let burst = both.in_turns(Pace::AtOnce, &opening);
    let answer = stage.relay.last();
    let pieces = answer.parts.len();
    let contained = paced.opening_us + paced.bare_us;
    let burst_contained = burst.opening_us + burst.bare_us;
    let [(name, target), (burst_name, burst_target), ..] = TARGETS;
    let (wall, openings) = one_burst(&stage, &mut both, &opening);
    vec![
        Row::new(
            name,
            paced.ours_us / contained,
            "x",
            target,
            format!(
                "CPU time of the proxy per event, {CALLERS} Venice streams at once, {pieces} events of about {} B each, one every {} ms, \
                 {:.1} us; one bare opening {:.1} us and one event through the bare pass-through {:.1} us. Contained on our side only: \
                 the request's verification look-up and sealing, the answer's SHA-256 for its receipt, the new event",
                answer.bytes() / pieces,
                PAUSE.as_millis(),
                paced.ours_us,
                paced.opening_us,
                paced.bare_us
            ),
        ),
        Row::note(
            "proxy.venice_event_in_burst",
            burst.ours_us / burst_contained,
            "x",
            format!(
                "the same with each answer in one write: {:.1} us; one opening {:.1} us and pass-through {:.1} us",
                burst.ours_us, burst.opening_us, burst.bare_us
            ),
        ),
        Row::new(
            burst_name,
            wall / openings,
            "x",
            burst_target,
            format!(
                "wall time from the answer's bytes leaving the upstream in one write to its last byte at the caller, {:.2} ms; its {} \
                 openings by the bare operations on one core {:.2} ms. The fastest but one of {BURSTS} each, in turns",
                wall / 1e3,
                sealed_pieces(&answer),
                openings / 1e3
            ),
        ),
    ]
}

fn privatemode(binary: &Binary) -> Vec<Row> {
    let stage = Stage::start(binary, Provider::Privatemode, &[]);
    let forwarder = stage.forwarder();
    let mut both = Both::new(&stage, &forwarder, CHOICES);
    let opening = Opening::new();
    let paced = both.in_turns(Pace::Each(PAUSE), &opening);
    let burst = both.in_turns(Pace::AtOnce, &opening);
    let answer = stage.relay.last();
    let [.., (name, target), (latency_name, latency_target)] = TARGETS;
    let (ours, bare) = plain_latency(&stage, &mut both);
    let size = stage.relay.last().bytes();
    vec![
        Row::new(
            name,
            paced.bare_us / paced.ours_us,
            "x",
            target,
            format!(
                "events per CPU time over those of the bare pass-through: {CALLERS} Privatemode streams at once, {} events of about {} B \
                 each, one every {} ms; {:.1} us an event, bare {:.1} us",
                answer.parts.len(),
                answer.bytes() / answer.parts.len(),
                PAUSE.as_millis(),
                paced.ours_us,
                paced.bare_us
            ),
        ),
        Row::note(
            "proxy.privatemode_in_burst",
            burst.bare_us / burst.ours_us,
            "x",
            format!(
                "the same with each answer in one write, which the pass-through copies as one: {:.1} us an event, bare {:.1} us",
                burst.ours_us, burst.bare_us
            ),
        ),
        Row::new(
            latency_name,
            ours / bare,
            "x",
            latency_target,
            format!(
                "median time that the proxy adds to a Privatemode chat request without streaming, sealed both ways, answer of {size} B: \
                 {:.0} us; the bare pass-through adds {:.0} us. {PLAIN} requests each, in turns; from the caller's first byte to its last, \
                 without the time between the request's arrival at the upstream and its answer",
                ours, bare
            ),
        ),
    ]
}

/// Microseconds per event.
#[derive(Default)]
struct PerEvent {
    ours_us: f64,
    bare_us: f64,
    opening_us: f64,
}

/// Both sides with their callers.
struct Both<'a> {
    stage: &'a Stage,
    forwarder: &'a Process,
    ours: Vec<Caller>,
    bare: Vec<Caller>,
    request: String,
}

impl<'a> Both<'a> {
    fn new(stage: &'a Stage, forwarder: &'a Process, choices: u32) -> Both<'a> {
        let url = forwarder.text("url");
        let request = stage.provider.request(true, choices, ALL);
        let ours = (0..CALLERS).map(|_| stage.call()).collect();
        let bare = (0..CALLERS).map(|_| Caller::connect(&url)).collect();
        Both { stage, forwarder, ours, bare, request }
    }

    /// CPU time per event of each side and of one bare opening, in turns, all turns together.
    fn in_turns(&mut self, pace: Pace, opening: &Opening) -> PerEvent {
        // Without pauses an answer is little work, and the clock counts in steps of ten milliseconds.
        let (streams, bare_streams) = if pace == Pace::AtOnce { (4, 100) } else { (1, 1) };
        self.stage.relay.set_pace(pace);
        all(&mut self.ours, &self.request, WARM_UP);
        all(&mut self.bare, &self.request, WARM_UP);
        let mut sum = PerEvent::default();
        for _ in 0..ROUNDS {
            let before = self.stage.proxy.cpu_us();
            all(&mut self.ours, &self.request, streams);
            sum.ours_us += self.stage.proxy.cpu_us() - before;
            let before = self.forwarder.cpu_us();
            all(&mut self.bare, &self.request, bare_streams);
            sum.bare_us += self.forwarder.cpu_us() - before;
            sum.opening_us += opening.time_us(opening.pieces());
        }
        let pieces = self.stage.relay.last().parts.len();
        let events = |streams: usize| (ROUNDS * CALLERS * streams * pieces) as f64;
        let openings = (ROUNDS * opening.pieces().len()) as f64;
        PerEvent {
            ours_us: sum.ours_us / events(streams),
            bare_us: sum.bare_us / events(bare_streams),
            opening_us: sum.opening_us / openings,
        }
    }
}

/// So many answers for each caller, all callers at once.
fn all(callers: &mut [Caller], request: &str, streams: usize) {
    std::thread::scope(|scope| {
        for caller in callers {
            scope.spawn(move || {
                for _ in 0..streams {
                    let body = caller.post(request).body;
                    assert!(body.ends_with(b"data: [DONE]\n\n"), "a whole answer");
                }
            });
        }
    });
}

/// Bare openings of chunks.
struct Opening {
    recording: Recording,
    secret: SecretKey,
}

impl Opening {
    fn new() -> Opening {
        let recording = Recording::make(512, ServerKeys::Fresh);
        let secret = SecretKey::from_secret_bytes(*recording.key().expose()).expect("a valid key");
        Opening { recording, secret }
    }

    fn pieces(&self) -> Range<usize> {
        0..self.recording.envelopes.len()
    }

    /// CPU time of this thread for these pieces, in microseconds.
    fn time_us(&self, pieces: Range<usize>) -> f64 {
        let mut scratch = Vec::new();
        let before = thread_us();
        for sealed in &self.recording.envelopes[pieces] {
            std::hint::black_box(bare::open(&self.secret, sealed, &mut scratch));
        }
        thread_us() - before
    }
}

fn thread_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Pieces of an answer that are sealed: all but the first event, the ends of the choices, the usage and the end mark.
fn sealed_pieces(answer: &Answer) -> usize {
    let sealed = |part: &&bytes::Bytes| memchr::memmem::find(part, b"content\":\"04").is_some();
    answer.parts.iter().filter(sealed).count()
}

/// Wall time of one stream that comes in one write, and of its openings, in microseconds.
fn one_burst(stage: &Stage, both: &mut Both<'_>, opening: &Opening) -> (f64, f64) {
    stage.relay.set_pace(Pace::AtOnce);
    let pieces = 0..sealed_pieces(&stage.relay.last());
    let caller = &mut both.ours[0];
    let (mut walls, mut openings) = (Vec::new(), Vec::new());
    for _ in 0..BURSTS {
        let at = caller.post(&both.request).at;
        let (_, released) = stage.relay.times();
        walls.push(us(at - released));
        openings.push(opening.time_us(pieces.clone()));
    }
    (second(walls), second(openings))
}

/// The median of what each side adds to a request that is no stream, in microseconds.
fn plain_latency(stage: &Stage, both: &mut Both<'_>) -> (f64, f64) {
    let request = stage.provider.request(false, 1, ALL);
    let added = |caller: &mut Caller| {
        let since = Instant::now();
        let at = caller.post(&request).at;
        let (arrived, released) = stage.relay.times();
        us(at - since) - us(released - arrived)
    };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for turn in 0..PLAIN + WARM_UP {
        let (first, second) = (added(&mut both.ours[0]), added(&mut both.bare[0]));
        if turn >= WARM_UP {
            ours.push(first);
            bare.push(second);
        }
    }
    (median(ours), median(bare))
}

fn us(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

fn second(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[1]
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
