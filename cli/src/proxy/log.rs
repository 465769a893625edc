//! The log on standard error: what was asked for and how it ended, never a prompt, an answer, a key or a header value.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts the log. Only this program's own lines are written: libraries below it log header values.
pub(super) fn start(level: tracing::Level, json: bool) {
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::from_level(level));
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer: Box<dyn Layer<_> + Send + Sync> = if json {
        Box::new(layer.json().flatten_event(true).with_current_span(false).with_span_list(false))
    } else {
        Box::new(layer.with_ansi(false))
    };
    // A second proxy in one process would write to the first one's log.
    let _ = tracing_subscriber::registry().with(layer.with_filter(own)).try_init();
}
