//! What is counted, for Prometheus. Labels are fixed names: routes, providers, codes; never a model id, a caller, a key or a prompt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use proveil::core::openai::ApiEndpoint;
use proveil::{Code, Error, Provider, Result};

use super::state::Proxy;

/// Seconds until an answer begins or ends; models take their time.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// Requests after which what was measured goes into its buckets, however soon that is.
const TIDY_EVERY: u64 = 1024;

/// Counters of one proxy.
pub(super) struct Metrics {
    handle: PrometheusHandle,
    open: Mutex<HashMap<String, usize>>,
    streams_per_client: usize,
    requests: AtomicU64,
}

impl Metrics {
    pub(super) fn new(streams_per_client: usize) -> Result<Metrics> {
        let internal = || Error::new(Code::Internal).at("metrics");
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|_| internal())?
            .install_recorder()
            .map_err(|_| internal())?;
        describe_counter!("proveil_requests_total", "Requests by route and status");
        describe_counter!(
            "proveil_answers_total",
            "Answers by provider, route and how they ended: complete, dropped, or a code"
        );
        describe_counter!("proveil_events_total", "Opened events of answers by provider");
        describe_counter!(
            "proveil_failovers_total",
            "Requests that went on to the next model of an alias, by provider and code"
        );
        describe_counter!("proveil_verifications_total", "Verifications by provider and outcome");
        describe_counter!("proveil_reloads_total", "Reloads of files by result");
        describe_gauge!("proveil_answers_open", "Answers that are being written");
        describe_gauge!("proveil_connections_open", "Connections of callers");
        describe_gauge!("proveil_ready", "1 while /readyz says so");
        describe_gauge!("proveil_endpoints_verified", "Endpoints whose proof holds");
        describe_gauge!(
            "proveil_proof_not_after_seconds",
            "When the newest proof of a provider ends, in Unix time"
        );
        describe_histogram!("proveil_request_seconds", "Seconds until the head of an answer, by route");
        describe_histogram!("proveil_answer_seconds", "Seconds until the end of an answer, by provider");
        Ok(Metrics { handle, open: Mutex::default(), streams_per_client, requests: AtomicU64::new(0) })
    }

    /// Puts what was measured into its buckets. Until then every single measurement is kept, so this is called again and again also where
    /// nobody asks for metrics.
    pub(super) fn tidy(&self) {
        self.handle.run_upkeep();
    }

    /// In Prometheus' text form.
    pub(super) fn render(&self) -> String {
        self.tidy();
        self.handle.render()
    }

    /// A request was answered, in whatever way.
    pub(super) fn request(&self, route: &'static str, status: u16, since: Instant) {
        counter!("proveil_requests_total", "route" => route, "status" => status.to_string()).increment(1);
        histogram!("proveil_request_seconds", "route" => route).record(since.elapsed());
        if self.requests.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.tidy();
        }
    }

    pub(super) fn failover(&self, provider: Provider, error: &Error) {
        counter!("proveil_failovers_total", "provider" => provider.name(), "code" => error.code().text())
            .increment(1);
    }

    pub(super) fn verification(&self, provider: Provider, outcome: &'static str, not_after: Option<u64>) {
        counter!("proveil_verifications_total", "provider" => provider.name(), "outcome" => outcome)
            .increment(1);
        if let Some(not_after) = not_after.and_then(|seconds| u32::try_from(seconds).ok()) {
            gauge!("proveil_proof_not_after_seconds", "provider" => provider.name())
                .set(f64::from(not_after));
        }
    }

    pub(super) fn ready(&self, ready: bool, verified: usize) {
        gauge!("proveil_ready").set(if ready { 1.0 } else { 0.0 });
        gauge!("proveil_endpoints_verified").set(u32::try_from(verified).map_or(f64::MAX, f64::from));
    }

    pub(super) fn reload(&self, worked: bool) {
        counter!("proveil_reloads_total", "result" => if worked { "ok" } else { "failed" }).increment(1);
    }

    /// A connection, until the value is dropped.
    pub(super) fn connection() -> Connected {
        gauge!("proveil_connections_open").increment(1.0);
        Connected
    }

    fn enter(&self, caller: &str) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(caller.to_owned()).or_default();
        if *count >= self.streams_per_client {
            return Err(
                Error::new(Code::TooManyStreams).expected(format!("at most {}", self.streams_per_client))
            );
        }
        *count = count.saturating_add(1);
        Ok(())
    }

    fn leave(&self, caller: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(caller);
            }
        }
    }
}

/// An open connection.
pub(super) struct Connected;

impl Drop for Connected {
    fn drop(&mut self) {
        gauge!("proveil_connections_open").decrement(1.0);
    }
}

/// An answer that is being made: counted for its caller until it is dropped, also when the caller goes away.
pub(super) struct Answering {
    proxy: Arc<Proxy>,
    provider: &'static str,
    route: &'static str,
    caller: String,
    since: Instant,
    events: u64,
    end: &'static str,
}

impl Answering {
    /// Fails with `too_many_streams`.
    pub(super) fn new(
        proxy: &Arc<Proxy>,
        provider: Provider,
        endpoint: &ApiEndpoint,
        caller: String,
    ) -> Result<Answering> {
        proxy.metrics.enter(&caller)?;
        gauge!("proveil_answers_open").increment(1.0);
        Ok(Answering {
            proxy: proxy.clone(),
            provider: provider.name(),
            route: route_name(endpoint),
            caller,
            since: Instant::now(),
            events: 0,
            end: "dropped",
        })
    }

    pub(super) fn event(&mut self) {
        self.events = self.events.saturating_add(1);
    }

    pub(super) fn complete(&mut self) {
        self.end = "complete";
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.end = error.code().slug();
        if let Some(json) = error.report_json() {
            self.proxy.reports.add(json.to_owned());
        }
        tracing::warn!(
            provider = self.provider,
            route = self.route,
            code = error.code().text(),
            "answer failed"
        );
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        gauge!("proveil_answers_open").decrement(1.0);
        counter!("proveil_events_total", "provider" => self.provider).increment(self.events);
        counter!("proveil_answers_total", "provider" => self.provider, "route" => self.route, "end" => self.end).increment(1);
        histogram!("proveil_answer_seconds", "provider" => self.provider).record(self.since.elapsed());
        self.proxy.metrics.leave(&self.caller);
    }
}

/// A fixed name for every route, so that a caller cannot make up labels.
pub(super) const fn route_name(endpoint: &ApiEndpoint) -> &'static str {
    match endpoint {
        ApiEndpoint::ChatCompletions => "chat_completions",
        ApiEndpoint::Completions => "completions",
        ApiEndpoint::Embeddings => "embeddings",
        ApiEndpoint::Transcriptions => "transcriptions",
        ApiEndpoint::Messages => "messages",
        ApiEndpoint::Unstructured(_) => "unstructured",
        ApiEndpoint::Models => "models",
    }
}
