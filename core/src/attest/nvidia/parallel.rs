//! Work on many devices at once. A device costs three signature checks of about 250 us each, a thread about 30 us: so threads are worth it
//! on every machine with a second core, and cost next to nothing on one without.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most threads, this one included. Eight GPUs take 3 ms on two; more threads would win less than a network answer's jitter, and cost
/// machines that have no core to spare.
const THREADS_MAX: usize = 2;

/// Does `work` on every item, in order of the items, with a state of its own for each thread. What comes after a failure may be left out:
/// the result ends with the first failure, or has one entry for each item.
pub(super) fn each<T: Sync, S: Clone + Send, R: Send, E: Send>(
    items: &[T],
    state: &S,
    work: impl Fn(&T, &mut S) -> Result<R, E> + Sync,
) -> Result<Vec<R>, (Vec<R>, E)> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::default();
    let run = |mut state: S| {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { break };
            let result = work(item, &mut state);
            if result.is_err() {
                // Whatever lies before this item has been taken by now; what lies behind it decides nothing.
                next.fetch_max(items.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    std::thread::scope(|scope| {
        let run = &run;
        for _ in 1..THREADS_MAX.min(items.len()) {
            let state = state.clone();
            // Without another thread, this one does all of it.
            if std::thread::Builder::new().spawn_scoped(scope, move || run(state)).is_err() {
                break;
            }
        }
        run(state.clone());
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    let mut out = Vec::with_capacity(items.len());
    for (_, result) in done {
        match result {
            Ok(value) => out.push(value),
            Err(error) => return Err((out, error)),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results come in the order of the items, and the failure is the first one, whichever thread met it.
    #[test]
    fn as_if_one_after_the_other() {
        let items: Vec<usize> = (0..200).collect();
        let doubled = each(&items, &0, |item, _| Ok::<_, usize>(item * 2)).unwrap();
        assert_eq!(doubled, (0..400).step_by(2).collect::<Vec<_>>());
        for failing in [0, 1, 7, 199] {
            let (before, first) =
                each(&items, &0, |item, _| if *item >= failing { Err(*item) } else { Ok(*item) })
                    .unwrap_err();
            assert_eq!((before.len(), first), (failing, failing));
        }
        assert_eq!(each(&[] as &[usize], &0, |item, _| Ok::<_, ()>(*item)), Ok(Vec::new()));
    }
}
