//! Timing: thread CPU time, interleaved slices, low percentile.
//!
//! Other load on the machine makes a slice longer, never shorter, and both sides of a comparison are timed in turns. So the low
//! percentile of each is close to what the work costs, and their ratio is steadier than either.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Slices per side; the 10th percentile of them is reported.
const SLICES: usize = 201;
/// Time that one slice should take.
const SLICE_NS: u64 = 2_000_000;
/// Calls of the shortest work in one slice.
const ROUNDS_MAX: u32 = 1 << 20;

/// Nanoseconds per call of two pieces of work.
#[derive(Clone, Copy)]
pub struct Pair {
    /// The first.
    pub ours: f64,
    /// The second.
    pub other: f64,
}

impl Pair {
    /// How many times the other's time ours is.
    pub fn ratio(self) -> f64 {
        self.ours / self.other
    }

    /// How many times faster ours is.
    pub fn speedup(self) -> f64 {
        self.other / self.ours
    }

    /// Both divided: for work that is a pass over several items.
    pub fn per(self, items: usize) -> Pair {
        Pair { ours: self.ours / items as f64, other: self.other / items as f64 }
    }
}

/// Times two pieces of work in turns, in CPU time of this thread.
pub fn compare<A, B>(mut ours: impl FnMut() -> A, mut other: impl FnMut() -> B) -> Pair {
    interleave(thread_cpu_ns, &mut || drop(black_box(ours())), &mut || drop(black_box(other())))
}

/// The same by wall time, for work that several threads share.
pub fn compare_wall<A, B>(mut ours: impl FnMut() -> A, mut other: impl FnMut() -> B) -> Pair {
    interleave(wall_ns, &mut || drop(black_box(ours())), &mut || drop(black_box(other())))
}

/// The same in CPU time of all threads.
pub fn compare_process<A, B>(mut ours: impl FnMut() -> A, mut other: impl FnMut() -> B) -> Pair {
    interleave(process_cpu_ns, &mut || drop(black_box(ours())), &mut || drop(black_box(other())))
}

/// Nanoseconds per call of one piece of work, in CPU time of this thread.
pub fn time<A>(mut work: impl FnMut() -> A) -> f64 {
    let work: &mut dyn FnMut() = &mut || drop(black_box(work()));
    let rounds = calibrate(thread_cpu_ns, work);
    low_percentile((0..SLICES).map(|_| slice(thread_cpu_ns, work, rounds)).collect())
}

/// CPU time of this thread for one pass of some work: the second fastest of several.
pub fn second_fastest<A>(passes: usize, mut work: impl FnMut() -> A) -> f64 {
    let work: &mut dyn FnMut() = &mut || drop(black_box(work()));
    let mut times: Vec<f64> = (0..passes).map(|_| slice(thread_cpu_ns, work, 1)).collect();
    times.sort_by(f64::total_cmp);
    times[1]
}

fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn process_cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn wall_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn interleave(clock: fn() -> u64, ours: &mut dyn FnMut(), other: &mut dyn FnMut()) -> Pair {
    let rounds = [calibrate(clock, ours), calibrate(clock, other)];
    let mut slices = [Vec::with_capacity(SLICES), Vec::with_capacity(SLICES)];
    for _ in 0..SLICES {
        slices[0].push(slice(clock, ours, rounds[0]));
        slices[1].push(slice(clock, other, rounds[1]));
    }
    let [ours, other] = slices.map(low_percentile);
    Pair { ours, other }
}

/// Calls that fill a slice.
fn calibrate(clock: fn() -> u64, work: &mut dyn FnMut()) -> u32 {
    let mut rounds = 1_u32;
    loop {
        let start = clock();
        for _ in 0..rounds {
            work();
        }
        if clock() - start >= SLICE_NS || rounds >= ROUNDS_MAX {
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
