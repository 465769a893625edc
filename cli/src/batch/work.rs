//! The run: keeps a few rows under way, writes each line as its row is complete, and says how far it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proveil::{Code, Error, Result};
use tokio::task::JoinSet;

use super::index::{Counts, Index};
use super::input::{Request, Row, Rows};
use super::journal::{Journal, SYNC_EVERY};
use super::row::{Answer, Sender, concerns_all, line};
use super::summary::{Ending, may_pass};
use crate::args::OnError;
use crate::failure::Stop;
use crate::manifest;
use crate::output::Output;

/// Where progress is no line that is drawn again: rows between two lines.
const NOTE_EVERY: u64 = 100;
/// Where it is.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR_WIDTH: u64 = 16;

/// A batch.
pub(crate) struct Work {
    pub(crate) sender: Sender,
    pub(crate) index: Index,
    pub(crate) journal: Journal,
    pub(crate) concurrency: usize,
    pub(crate) on_error: OnError,
    pub(crate) output: Output,
}

/// A row that came to its end.
struct Ended {
    place: usize,
    custom_id: String,
    result: Result<Answer>,
}

/// A batch that is being worked on.
pub(crate) struct Run {
    sender: Arc<Sender>,
    index: Index,
    journal: Journal,
    concurrency: usize,
    on_error: OnError,
    output: Output,
    counts: Counts,
    bar: Bar,
}

impl Work {
    /// Takes over what the output has already. Every row is done that has a line, but for errors: those that may pass are sent again,
    /// with `retry_failed` all.
    pub(crate) fn begin(self, retry_failed: bool) -> Result<Run> {
        let Work { sender, mut index, mut journal, concurrency, on_error, output } = self;
        let mut counts = Counts::default();
        journal.settle(|earlier| {
            let place = index.find(&earlier.custom_id)?;
            let code = earlier.error.as_ref().map(|fault| fault.code.as_ref());
            if code.is_some_and(|code| retry_failed || may_pass(code)) {
                return Some(false);
            }
            if !index.set_done(place) {
                return None;
            }
            match code {
                Some(code) => counts.fail(code),
                None => counts.done = counts.done.saturating_add(1),
            }
            Some(true)
        })?;
        counts.skipped = counts.lines();
        let bar = Bar { output, rows: index.rows(), since: Instant::now(), fresh: 0, drawn: None };
        Ok(Run { sender: Arc::new(sender), index, journal, concurrency, on_error, output, counts, bar })
    }
}

impl Run {
    pub(crate) fn rows(&self) -> u64 {
        self.index.rows()
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until every line is on the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.journal.sync()
    }

    /// Sends all rows that are not done. `proven` is told when the first endpoint is. An error is one that concerns every row; those
    /// under way are dropped and stay to be done.
    pub(crate) async fn send(&mut self, mut rows: Rows, proven: impl Fn()) -> Result<Ending, Stop> {
        let mut under_way = JoinSet::new();
        let result = self.send_all(&mut rows, &mut under_way, proven).await;
        // Answers that are here already are not thrown away.
        while let Some(joined) = under_way.try_join_next() {
            if let Ok(ended) = joined
                && !matches!(&ended, Ended { result: Err(error), .. } if concerns_all(error))
            {
                self.write(ended)?;
            }
        }
        if self.output.draws() && !self.output.is_quiet() {
            self.output.clear_progress();
        }
        result
    }

    async fn send_all(
        &mut self,
        rows: &mut Rows,
        under_way: &mut JoinSet<Ended>,
        proven: impl Fn(),
    ) -> Result<Ending, Stop> {
        let mut first = true;
        let mut more = true;
        // Rows before this one were read.
        let mut next: usize = 0;
        loop {
            while more && under_way.len() < self.concurrency {
                let Some(Row { custom_id, request }) = rows.advance()? else {
                    more = false;
                    break;
                };
                let place = next;
                next = next.saturating_add(1);
                if self.index.find(&custom_id) != Some(place) {
                    return Err(rows.at_line(changed(), 1).into());
                }
                if self.index.is_done(place) {
                    // So that Ctrl-C is heard among a million of these.
                    if place.is_multiple_of(1024) {
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                match request {
                    Err(error) => {
                        if self.take(Ended { place, custom_id, result: Err(error) })? {
                            return Ok(Ending::Stopped);
                        }
                        // A file of nothing but mistakes can be stopped too.
                        tokio::task::yield_now().await;
                    }
                    Ok(request) => {
                        if first && self.prove(&request).await? {
                            proven();
                            first = false;
                        }
                        let sender = self.sender.clone();
                        under_way.spawn(async move {
                            Ended { place, custom_id, result: sender.answer(&request).await }
                        });
                    }
                }
            }
            match tokio::time::timeout(SYNC_EVERY, under_way.join_next()).await {
                Err(_) => self.journal.sync()?,
                Ok(None) if more => {}
                Ok(None) => break,
                Ok(Some(joined)) => {
                    let ended = joined.map_err(|_| Error::new(Code::Panic).at("row"))?;
                    if self.take(ended)? {
                        return Ok(Ending::Stopped);
                    }
                }
            }
        }
        if self.index.rows() != u64::try_from(next).unwrap_or(u64::MAX) {
            return Err(rows.at_line(changed(), 1).into());
        }
        Ok(Ending::Complete)
    }

    /// Verifies before the first row is sent, and shows the verdict. False when the row itself is wrong, which it is told later.
    async fn prove(&self, request: &Request) -> Result<bool, Stop> {
        let client = self.sender.client();
        match client.ready(&request.model).await {
            Ok(endpoint) => {
                self.output.headline(endpoint.report().verdict(), endpoint.report().headline());
                Ok(true)
            }
            Err(error) if concerns_all(&error) => {
                manifest::explain(client, &request.model, &error, &self.output).await;
                Err(error.into())
            }
            Err(_) => Ok(false),
        }
    }

    /// Writes the line of a row; true when nothing more is to be sent.
    fn take(&mut self, ended: Ended) -> Result<bool, Stop> {
        let failed = match ended.result {
            Err(error) if concerns_all(&error) => return Err(error.into()),
            Err(_) => true,
            Ok(_) => false,
        };
        self.write(ended)?;
        Ok(failed && self.on_error == OnError::Stop)
    }

    fn write(&mut self, ended: Ended) -> Result<()> {
        let Ended { place, custom_id, result } = ended;
        self.journal.append(&line(&custom_id, &result)?)?;
        self.index.set_done(place);
        match result {
            Ok(_) => self.counts.done = self.counts.done.saturating_add(1),
            Err(error) => self.counts.fail(&error.code().text()),
        }
        self.bar.step(&self.counts);
        Ok(())
    }
}

fn changed() -> Error {
    Error::new(Code::FileUnreadable).context("The input was changed while it was read.")
}

/// How far it is, on standard error.
struct Bar {
    output: Output,
    rows: u64,
    since: Instant,
    /// Rows of this run that came to their end.
    fresh: u64,
    drawn: Option<Instant>,
}

impl Bar {
    fn step(&mut self, counts: &Counts) {
        self.fresh = self.fresh.saturating_add(1);
        let due = if self.output.draws() {
            self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY)
        } else {
            self.fresh.is_multiple_of(NOTE_EVERY)
        };
        if due && !self.output.is_quiet() {
            self.drawn = Some(Instant::now());
            let text = text(self.rows, self.fresh, counts, self.since.elapsed());
            self.output.progress(if self.output.draws() {
                &text
            } else {
                text.split_once("] ").map_or(&text, |it| it.1)
            });
        }
    }
}

/// At most 78 characters.
fn text(rows: u64, fresh: u64, counts: &Counts, elapsed: Duration) -> String {
    let failed = counts.failures();
    let ended = counts.done.saturating_add(failed);
    let filled = ended.saturating_mul(BAR_WIDTH).checked_div(rows).unwrap_or(BAR_WIDTH).min(BAR_WIDTH);
    let bar: String = (0..BAR_WIDTH).map(|place| if place < filled { '#' } else { '.' }).collect();
    let left = u128::from(rows.saturating_sub(ended)).saturating_mul(elapsed.as_millis());
    let left_s = left.checked_div(u128::from(fresh)).unwrap_or(0) / 1000;
    format!("[{bar}] {ended}/{rows} rows, {failed} failed, about {} left", span(left_s))
}

fn span(seconds: u128) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let mut counts = Counts { done: 3, ..Counts::default() };
        counts.fail("PV-101");
        let said = text(8, 2, &counts, Duration::from_secs(100));
        assert_eq!(said, "[########........] 4/8 rows, 1 failed, about 3 min left");
        assert_eq!(
            text(0, 0, &Counts::default(), Duration::ZERO),
            format!("[{}] 0/0 rows, 0 failed, about 0 s left", "#".repeat(16))
        );
        let longest = text(
            u64::from(u32::MAX),
            1,
            &Counts { done: u64::from(u32::MAX) - 1, ..counts },
            Duration::from_secs(1),
        );
        assert!(longest.chars().count() <= 78, "{longest}");
        assert_eq!([119, 120, 7200, 86400].map(span), ["119 s", "2 min", "2 h", "24 h"]);
    }
}
