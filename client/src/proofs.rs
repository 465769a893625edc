//! Proofs that were made and still hold, one per model; and verifications under way, shared by all who wait for the same one.
//!
//! One cache belongs to one client and so to one provider, address, policy, API key and set of roots: nothing here can mix those
//! (threats I9, T56). A proof is used until the endpoint's own `not_after` by the wall clock or the same span by the monotonic one,
//! whichever comes first (T22). In the last part of its life it is renewed in the background, so that nobody waits: by the next one who
//! asks for it, or else by a task of its own, once, if it was asked for at all. So a client that nobody uses asks once more and then no more.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use proveil_core::endpoint::VerifiedEndpoint;
use proveil_core::{Class, Result};

use crate::clock::Clock;

/// The last fifth of a proof's life, at most this long, is for renewing it.
const REFRESH_WINDOW_MAX: Duration = Duration::from_secs(300);
/// Pause after a renewal that could not be made.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// What a cached proof says about its own life, in seconds since 1970-01-01T00:00:00Z.
pub(crate) trait Proof: Send + Sync + 'static {
    fn checked_at(&self) -> u64;
    fn not_after(&self) -> u64;
}

impl Proof for VerifiedEndpoint {
    fn checked_at(&self) -> u64 {
        self.report().checked_at()
    }

    fn not_after(&self) -> u64 {
        VerifiedEndpoint::not_after(self)
    }
}

/// A verification that was started but is not polled yet.
pub(crate) type Load<P> = Pin<Box<dyn Future<Output = Result<P>> + Send>>;
type Running<P> = Pin<Box<dyn Future<Output = Result<Arc<P>>> + Send>>;

/// One verification and all who wait for it. When the last of them gives up, it is dropped and its connection closes.
type Flight<P> = Shared<Running<P>>;

pub(crate) struct ProofCache<P: Proof> {
    slots: Mutex<HashMap<String, Slot<P>>>,
    clock: Arc<dyn Clock>,
    flights: AtomicU64,
}

struct Slot<P: Proof> {
    held: Option<Held<P>>,
    flight: Option<(u64, WeakShared<Running<P>>)>,
}

struct Held<P> {
    proof: Arc<P>,
    /// Monotonic.
    expires: Duration,
    /// Monotonic.
    refresh_from: Duration,
    /// Renews it if nobody else does.
    timer: Option<Timer>,
}

/// A task that ends with what it is for: a proof that was replaced, or a client that was dropped.
struct Timer(tokio::task::AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone, Copy)]
struct Now {
    unix_s: u64,
    monotonic: Duration,
}

enum Found<P: Proof> {
    Held(Arc<P>),
    Wait(Flight<P>),
}

impl<P: Proof> Default for Slot<P> {
    fn default() -> Slot<P> {
        Slot { held: None, flight: None }
    }
}

impl<P: Proof> Slot<P> {
    fn flight(&self) -> Option<Flight<P>> {
        self.flight.as_ref().and_then(|(_, flight)| flight.upgrade())
    }
}

impl<P: Proof> Held<P> {
    fn new(proof: Arc<P>, now: Now) -> Held<P> {
        let life = Duration::from_secs(proof.not_after().saturating_sub(now.unix_s));
        let window = life.checked_div(5).unwrap_or_default().min(REFRESH_WINDOW_MAX);
        let expires = now.monotonic.saturating_add(life);
        Held { proof, expires, refresh_from: expires.saturating_sub(window), timer: None }
    }

    fn is_fresh(&self, now: Now) -> bool {
        now.monotonic < self.expires
            && now.unix_s < self.proof.not_after()
            && now.unix_s >= self.proof.checked_at()
    }
}

impl<P: Proof> ProofCache<P> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> ProofCache<P> {
        ProofCache { slots: Mutex::new(HashMap::new()), clock, flights: AtomicU64::new(0) }
    }

    /// The proof for a model: the one at hand, or the one that is being made, or a new one from `load`. All who wait for the same
    /// verification get its result, also when it is an error; an error is not kept.
    pub(crate) async fn get(self: &Arc<Self>, model: &str, load: impl FnOnce() -> Load<P>) -> Result<Arc<P>> {
        match self.find(model, load)? {
            Found::Held(proof) => Ok(proof),
            Found::Wait(flight) => flight.await,
        }
    }

    /// Sees to it that a proof that is used now is renewed before it ends, also if nobody asks again. `load` starts the verification; it
    /// must not keep alive who owns this cache, and gives nothing when that is gone.
    pub(crate) fn renew_in_time(
        self: &Arc<Self>,
        model: &str,
        proof: &Arc<P>,
        load: impl FnOnce() -> Option<Load<P>> + Send + 'static,
    ) {
        let Ok(now) = self.now() else { return };
        let mut slots = self.lock();
        let held = slots.get_mut(model).and_then(|slot| slot.held.as_mut());
        let Some(held) = held.filter(|held| held.timer.is_none() && Arc::ptr_eq(&held.proof, proof)) else {
            return;
        };
        let wait = self.clock.wait(held.refresh_from.saturating_sub(now.monotonic));
        let (cache, proof, model) = (Arc::downgrade(self), Arc::downgrade(proof), model.to_owned());
        let task = tokio::spawn(async move {
            wait.await;
            if let Some(cache) = cache.upgrade() {
                cache.renew(&model, &proof, load);
            }
        });
        held.timer = Some(Timer(task.abort_handle()));
    }

    fn renew(self: &Arc<Self>, model: &str, proof: &Weak<P>, load: impl FnOnce() -> Option<Load<P>>) {
        let Ok(now) = self.now() else { return };
        let mut slots = self.lock();
        let Some(slot) = slots.get_mut(model).filter(|slot| slot.flight().is_none()) else { return };
        let is_due = slot.held.as_ref().is_some_and(|held| {
            held.is_fresh(now)
                && now.monotonic >= held.refresh_from
                && std::ptr::eq(Arc::as_ptr(&held.proof), proof.as_ptr())
        });
        if let Some(load) = is_due.then(load).flatten() {
            // In a task of its own: this one ends when the proof is replaced.
            tokio::spawn(self.launch(model, slot, load).map(drop));
        }
    }

    /// Keeps a proof that was made outside [`ProofCache::get`].
    pub(crate) fn put(&self, model: &str, proof: P) -> Result<Arc<P>> {
        let proof = Arc::new(proof);
        let held = Held::new(proof.clone(), self.now()?);
        self.lock().entry(model.to_owned()).or_default().held = Some(held);
        Ok(proof)
    }

    /// Forgets a proof that turned out to be useless, and any renewal of it that is under way: that one may have asked before the
    /// change. Does nothing if another proof took its place already.
    pub(crate) fn forget(&self, model: &str, proof: &Arc<P>) {
        let mut slots = self.lock();
        let same = |slot: &Slot<P>| slot.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.proof, proof));
        if slots.get(model).is_some_and(same) {
            slots.remove(model);
        }
    }

    /// Forgets whatever is held for a model, and any renewal under way.
    pub(crate) fn forget_all(&self, model: &str) {
        self.lock().remove(model);
    }

    fn find(self: &Arc<Self>, model: &str, load: impl FnOnce() -> Load<P>) -> Result<Found<P>> {
        let now = self.now()?;
        let mut slots = self.lock();
        slots.retain(|_, slot| {
            slot.held.as_ref().is_some_and(|held| held.is_fresh(now)) || slot.flight().is_some()
        });
        let slot = slots.entry(model.to_owned()).or_default();
        let flight = slot.flight();
        if let Some(held) = slot.held.as_ref().filter(|held| held.is_fresh(now)) {
            let proof = held.proof.clone();
            if now.monotonic >= held.refresh_from && flight.is_none() {
                tokio::spawn(self.launch(model, slot, load()).map(drop));
            }
            return Ok(Found::Held(proof));
        }
        slot.held = None;
        Ok(Found::Wait(flight.unwrap_or_else(|| self.launch(model, slot, load()))))
    }

    fn launch(self: &Arc<Self>, model: &str, slot: &mut Slot<P>, load: Load<P>) -> Flight<P> {
        let id = self.flights.fetch_add(1, Ordering::Relaxed);
        let cache = self.clone();
        let model = model.to_owned();
        let running: Running<P> = Box::pin(async move {
            let result = load.await;
            cache.settle(&model, id, result)
        });
        let flight = running.shared();
        slot.flight = flight.downgrade().map(|weak| (id, weak));
        flight
    }

    /// Takes the result of a verification, unless it was replaced meanwhile.
    fn settle(&self, model: &str, id: u64, result: Result<P>) -> Result<Arc<P>> {
        let now = self.now()?;
        let result = result.map(Arc::new);
        let mut slots = self.lock();
        let Some(slot) =
            slots.get_mut(model).filter(|slot| matches!(slot.flight, Some((own, _)) if own == id))
        else {
            return result;
        };
        slot.flight = None;
        match &result {
            Ok(proof) => slot.held = Some(Held::new(proof.clone(), now)),
            // The newest evidence says no: an older yes does not count any more.
            Err(error) if error.code().class() == Class::Verification => slot.held = None,
            Err(_) => {
                if let Some(held) = &mut slot.held {
                    held.refresh_from = now.monotonic.saturating_add(REFRESH_PAUSE);
                }
            }
        }
        result
    }

    fn now(&self) -> Result<Now> {
        Ok(Now { unix_s: self.clock.unix_s()?, monotonic: self.clock.monotonic() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot<P>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use proveil_core::{Code, Error};
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    #[derive(Debug, PartialEq)]
    struct Fake {
        number: usize,
        checked_at: u64,
        not_after: u64,
    }

    impl Proof for Fake {
        fn checked_at(&self) -> u64 {
            self.checked_at
        }
        fn not_after(&self) -> u64 {
            self.not_after
        }
    }

    const START: u64 = 1_000_000;
    const LIFE: u64 = 1000;

    /// A verifier that counts, waits for a permit and then does what it is told.
    struct World {
        clock: Arc<ManualClock>,
        cache: Arc<ProofCache<Fake>>,
        started: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
        answer: Arc<Mutex<Option<Code>>>,
        /// Who makes the verifications of timers.
        owner: Mutex<Option<Arc<()>>>,
    }

    impl World {
        fn new() -> World {
            let clock = Arc::new(ManualClock::at(START));
            World {
                cache: Arc::new(ProofCache::new(clock.clone())),
                clock,
                started: Arc::default(),
                gate: Arc::new(Semaphore::new(0)),
                answer: Arc::default(),
                owner: Mutex::new(Some(Arc::new(()))),
            }
        }

        /// As a client does for a request.
        async fn use_it(&self, model: &str) -> Arc<Fake> {
            let proof = self.get(model).await.unwrap();
            let owner = self.owner.lock().unwrap().as_ref().map(Arc::downgrade).unwrap();
            let (load, started) = (self.load(), self.started.clone());
            // Made here, counted when it is used.
            started.fetch_sub(1, Ordering::SeqCst);
            self.cache.renew_in_time(model, &proof, move || {
                owner.upgrade()?;
                started.fetch_add(1, Ordering::SeqCst);
                Some(load)
            });
            proof
        }

        async fn get(&self, model: &str) -> Result<Arc<Fake>> {
            self.cache.get(model, || self.load()).await
        }

        fn load(&self) -> Load<Fake> {
            let number = self.started.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            let (gate, answer, clock) = (self.gate.clone(), self.answer.clone(), self.clock.clone());
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                if let Some(code) = *answer.lock().unwrap() {
                    return Err(Error::new(code));
                }
                let now = clock.unix_s()?;
                Ok(Fake { number, checked_at: now, not_after: now.saturating_add(LIFE) })
            })
        }

        fn fail_with(&self, code: Option<Code>) {
            *self.answer.lock().unwrap() = code;
        }

        fn started(&self) -> usize {
            self.started.load(Ordering::SeqCst)
        }

        async fn settle(&self) {
            for _ in 0..8 {
                yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_verification_and_its_error() {
        for code in [None, Some(Code::QuoteSignature)] {
            let world = World::new();
            world.fail_with(code);
            let callers = futures_util::future::join_all((0..50).map(|_| world.get("m")));
            let (results, ()) = tokio::join!(callers, async {
                world.settle().await;
                world.gate.add_permits(1);
            });
            assert_eq!(world.started(), 1);
            for result in results {
                assert_eq!(result.map_err(|error| error.code()).err(), code);
            }
            // An error is not kept, a proof is.
            world.gate.add_permits(1);
            let _ = world.get("m").await;
            assert_eq!(world.started(), if code.is_some() { 2 } else { 1 });
        }
    }

    #[tokio::test]
    async fn models_do_not_share() {
        let world = World::new();
        world.gate.add_permits(2);
        assert_ne!(world.get("m").await.unwrap(), world.get("n").await.unwrap());
        assert_eq!(world.started(), 2);
    }

    #[tokio::test]
    async fn a_proof_ends_by_either_clock() {
        // (seconds by which both clocks move, wall clock afterwards, verifications made)
        let cases = [
            (LIFE - 300, None, 1),
            (LIFE, None, 2),
            // The wall clock is set back: the monotonic one still ends the proof.
            (LIFE, Some(START + 1), 2),
            // The wall clock is before the appraisal: the proof cannot be judged.
            (1, Some(START - 1), 2),
            // The machine slept: the monotonic clock stood still.
            (1, Some(START + LIFE), 2),
        ];
        for (seconds, wall, expected) in cases {
            let world = World::new();
            world.gate.add_permits(2);
            world.get("m").await.unwrap();
            world.clock.advance(seconds);
            if let Some(wall) = wall {
                world.clock.set_wall(wall);
            }
            world.get("m").await.unwrap();
            assert_eq!(world.started(), expected, "{seconds} {wall:?}");
        }
    }

    #[tokio::test]
    async fn renewal_happens_behind_the_caller() {
        let world = World::new();
        world.gate.add_permits(1);
        world.get("m").await.unwrap();
        world.clock.advance(LIFE - 100);
        // Nobody waits although the renewal is stuck, and there is only one.
        for _ in 0..5 {
            assert_eq!(world.get("m").await.unwrap().number, 1);
            world.settle().await;
        }
        assert_eq!(world.started(), 2);
        world.gate.add_permits(1);
        world.settle().await;
        assert_eq!(world.get("m").await.unwrap().number, 2);
    }

    /// A proof that was used is renewed once without anybody asking; one that nobody used after that is not.
    #[tokio::test]
    async fn an_idle_owner_asks_once_more() {
        let world = World::new();
        world.gate.add_permits(8);
        let first = world.use_it("m").await;
        world.settle().await;
        world.clock.advance(LIFE - 200);
        world.clock.ring();
        world.settle().await;
        assert_eq!(world.started(), 2);
        let renewed = world.get("m").await.unwrap();
        assert!(!Arc::ptr_eq(&first, &renewed) && world.started() == 2, "nobody waited");
        // It was not used: whoever comes after its end waits.
        world.clock.advance(LIFE - 200);
        world.clock.ring();
        world.settle().await;
        assert_eq!(world.started(), 2);
        // Used again, its renewal ends with the owner.
        world.clock.advance(LIFE);
        world.use_it("m").await;
        assert_eq!(world.started(), 3);
        world.settle().await;
        world.clock.advance(LIFE - 200);
        world.owner.lock().unwrap().take();
        world.clock.ring();
        world.settle().await;
        assert_eq!(world.started(), 3);
    }

    #[tokio::test]
    async fn a_timer_ends_with_its_cache() {
        let world = World::new();
        world.gate.add_permits(8);
        world.use_it("m").await;
        world.settle().await;
        let (started, clock) = (world.started.clone(), world.clock.clone());
        let cache = Arc::downgrade(&world.cache);
        drop(world);
        assert!(cache.upgrade().is_none(), "no task keeps it");
        clock.advance(LIFE - 100);
        clock.ring();
        for _ in 0..8 {
            yield_now().await;
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_renewal_that_cannot_be_made_keeps_the_proof_and_a_refusal_ends_it() {
        for (code, still_held) in [(Code::AttestationUnreachable, true), (Code::QuoteSignature, false)] {
            let world = World::new();
            world.gate.add_permits(1);
            world.get("m").await.unwrap();
            world.clock.advance(LIFE - 100);
            world.fail_with(Some(code));
            world.gate.add_permits(1);
            world.get("m").await.unwrap();
            world.settle().await;
            world.gate.add_permits(1);
            assert_eq!(world.get("m").await.is_ok(), still_held, "{code:?}");
            // After a failure there is a pause; a refusal has been asked about again at once.
            assert_eq!(world.started(), if still_held { 2 } else { 3 });
        }
    }

    #[tokio::test]
    async fn giving_up_drops_the_verification_unless_somebody_else_waits() {
        let world = World::new();
        let mut first = Box::pin(world.get("m"));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(world.get("m"));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        world.gate.add_permits(1);
        second.await.unwrap();
        assert_eq!(world.started(), 1);

        let world = World::new();
        let mut only = Box::pin(world.get("m"));
        assert!(futures_util::poll!(only.as_mut()).is_pending());
        drop(only);
        world.gate.add_permits(1);
        assert_eq!(world.get("m").await.unwrap().number, 2);
    }

    #[tokio::test]
    async fn a_useless_proof_is_forgotten_once() {
        let world = World::new();
        world.gate.add_permits(1);
        let old = world.get("m").await.unwrap();
        // A renewal asked before the key changed; its result must not count.
        world.clock.advance(LIFE - 100);
        world.get("m").await.unwrap();
        world.settle().await;
        assert_eq!(world.started(), 2);
        world.cache.forget("m", &old);
        let mut waiting = Box::pin(world.get("m"));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        // The second caller that met the old key joins instead of starting over.
        world.cache.forget("m", &old);
        world.gate.add_permits(2);
        let (a, b) = tokio::join!(waiting, world.get("m"));
        assert_eq!((a.unwrap().number, b.unwrap().number), (3, 3));
        world.settle().await;
        assert_eq!(world.get("m").await.unwrap().number, 3);
        assert_eq!(world.started(), 3);
    }
}
