//! Timing: thread CPU time, interleaved slices, low percentile.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Slices per side; the 10th percentile of them is reported.
const SLICES: usize = 61;
/// CPU time that one slice should take.
const SLICE_NS: u64 = 2_000_000;

/// CPU time of this thread, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Wall time, in nanoseconds, for work that several threads share.
fn wall_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Nanoseconds per call of two pieces of work, timed in turns so that both see the same machine.
pub fn compare<A, B>(mut a: impl FnMut() -> A, mut b: impl FnMut() -> B) -> (f64, f64) {
    interleave(thread_cpu_ns, &mut || drop(black_box(a())), &mut || drop(black_box(b())))
}

/// The same by wall time.
pub fn compare_wall<A, B>(mut a: impl FnMut() -> A, mut b: impl FnMut() -> B) -> (f64, f64) {
    interleave(wall_ns, &mut || drop(black_box(a())), &mut || drop(black_box(b())))
}

/// Nanoseconds per call of one piece of work.
pub fn time<A>(a: impl FnMut() -> A) -> f64 {
    compare(a, || ()).0
}

fn interleave(clock: fn() -> u64, a: &mut dyn FnMut(), b: &mut dyn FnMut()) -> (f64, f64) {
    let rounds = [calibrate(clock, a), calibrate(clock, b)];
    let mut slices = [Vec::with_capacity(SLICES), Vec::with_capacity(SLICES)];
    for _ in 0..SLICES {
        slices[0].push(slice(clock, a, rounds[0]));
        slices[1].push(slice(clock, b, rounds[1]));
    }
    let [a, b] = slices.map(low_percentile);
    (a, b)
}

fn calibrate(clock: fn() -> u64, work: &mut dyn FnMut()) -> u32 {
    let mut rounds = 1_u32;
    loop {
        let start = clock();
        for _ in 0..rounds {
            work();
        }
        if clock() - start >= SLICE_NS || rounds >= 1 << 20 {
            return rounds;
        }
        rounds *= 2;
    }
}

fn slice(clock: fn() -> u64, work: &mut dyn FnMut(), rounds: u32) -> f64 {
    let start = clock();
    for _ in 0..rounds {
        work();
    }
    (clock() - start) as f64 / f64::from(rounds)
}

fn low_percentile(mut slices: Vec<f64>) -> f64 {
    slices.sort_by(f64::total_cmp);
    slices[slices.len() / 10]
}
