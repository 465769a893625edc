//! An answer that stops in the middle until it is told to go on, so that a test can act in between without a clock.

use std::convert::Infallible;
use std::sync::mpsc;

use tokio::sync::oneshot;

/// The test's end of an answer that is held. Dropping it lets the answer go on.
pub struct HeldAnswer {
    _go: oneshot::Sender<()>,
    gone: mpsc::Receiver<Infallible>,
}

impl HeldAnswer {
    /// Waits until the client has given the answer up: its connection is closed.
    pub fn wait_until_abandoned(&self) {
        // Nothing is ever sent: this ends when the answer's end is dropped, which `self` keeps it from doing in any other way.
        let Err(mpsc::RecvError) = self.gone.recv();
    }
}

/// The answer's end.
#[derive(Debug)]
pub(super) struct Hold {
    go: oneshot::Receiver<()>,
    _gone: mpsc::Sender<Infallible>,
}

impl Hold {
    /// Both ends.
    pub(super) fn new() -> (HeldAnswer, Hold) {
        let (sender, go) = oneshot::channel();
        let (alive, gone) = mpsc::channel();
        (HeldAnswer { _go: sender, gone }, Hold { go, _gone: alive })
    }

    /// Waits until the answer may go on.
    pub(super) async fn wait(self) {
        let Hold { go, _gone } = self;
        // An error is how a dropped sender shows.
        let _ = go.await;
    }
}
