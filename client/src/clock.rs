//! Time as the client sees it: the wall clock that evidence is judged by, and a clock that cannot be set (threats T22).

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proveil_core::{Code, Error, Result};

/// Both clocks. Tests inject their own.
pub(crate) trait Clock: Send + Sync {
    /// Seconds since 1970-01-01T00:00:00Z; `clock_wrong` before that.
    fn unix_s(&self) -> Result<u64>;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Ends after this time by the monotonic clock.
    fn wait(&self, span: Duration) -> Wait;
}

/// A wait that outlives the borrow of its clock.
pub(crate) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The operating system's clocks.
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix_s(&self) -> Result<u64> {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
        elapsed.map(|elapsed| elapsed.as_secs()).map_err(|_| Error::new(Code::ClockWrong))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&self, span: Duration) -> Wait {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
pub(crate) struct ManualClock(std::sync::Mutex<(u64, Duration)>, std::sync::Arc<tokio::sync::Notify>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn at(unix_s: u64) -> ManualClock {
        ManualClock(std::sync::Mutex::new((unix_s, Duration::ZERO)), std::sync::Arc::default())
    }

    /// Both clocks move on.
    pub(crate) fn advance(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = (now.0.saturating_add(seconds), now.1.saturating_add(Duration::from_secs(seconds)));
    }

    /// Ends all waits that began before.
    pub(crate) fn ring(&self) {
        self.1.notify_waiters();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall(&self, unix_s: u64) {
        self.0.lock().unwrap().0 = unix_s;
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn unix_s(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().0)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }

    /// Until the test says so.
    fn wait(&self, _: Duration) -> Wait {
        let bell = self.1.clone();
        Box::pin(async move { bell.notified().await })
    }
}
