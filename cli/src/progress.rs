//! Says what is being waited for, once it takes longer than half a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proveil::{Notice, Observer};

use crate::output::Output;

/// Shorter waits are not worth a line.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What goes on, as told by the client.
#[derive(Clone)]
pub(crate) struct Progress {
    output: Output,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    waiting: Option<(Instant, &'static str)>,
    /// What the visible line says.
    shown: Option<&'static str>,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Progress {
        Progress { output, state: Arc::default() }
    }

    /// To be handed to the client.
    pub(crate) fn observer(&self) -> Observer {
        let progress = self.clone();
        Arc::new(move |notice| match notice {
            Notice::Sending(purpose) => progress.set(Some(purpose)),
            Notice::Retrying { why } => progress.note(&format!("trying again: {why}")),
            Notice::Warning(text) => progress.note(&format!("warning: {text}")),
            Notice::ManifestChanged { old_sha256, new_sha256, difference } => progress.note(&format!(
                "the deployment's manifest changed from {old_sha256} (-) to {new_sha256} (+):\n{difference}"
            )),
            _ => {}
        })
    }

    /// Looks after the line until it is dropped.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// There is nothing to wait for any more.
    pub(crate) fn done(&self) {
        self.set(None);
    }

    fn set(&self, purpose: Option<&'static str>) {
        let mut state = self.lock();
        state.waiting = purpose.map(|purpose| (Instant::now(), purpose));
        if state.shown.take().is_some() {
            self.output.clear_progress();
        }
    }

    fn look(&self) {
        let mut state = self.lock();
        if let Some((since, purpose)) = state.waiting
            && since.elapsed() >= PATIENCE
            && state.shown != Some(purpose)
            && !self.output.is_quiet()
        {
            self.output.progress(&format!("waiting for: {purpose}"));
            state.shown = Some(purpose);
        }
    }

    fn note(&self, text: &str) {
        let mut state = self.lock();
        if state.shown.take().is_some() {
            self.output.clear_progress();
        }
        if !self.output.is_quiet() || text.starts_with("warning") {
            self.output.message(text);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
