//! `proveil batch`: answers into a file; what came of it on standard output.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proveil::{Code, Error, Notice, Observer, Provider};

use super::on_network;
use crate::args;
use crate::batch::{Ending, Journal, Rows, Sender, Summary, Work, survey};
use crate::config;
use crate::failure::Stop;
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Batch, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let provider = Provider::parse(&args.provider)?;
    for (name, path) in [("INPUT", &args.input), ("--output", &args.output)] {
        if path == Path::new("-") {
            let why = "A batch is gone on with by its files, so standard input and output will not do.";
            return Err(Error::new(Code::Usage).at(name).context(why).into());
        }
    }
    let settings = config::load(file)?;
    let progress = Progress::new(*output);
    let proven = Arc::new(AtomicBool::new(false));
    let observer = observer(progress.observer(), proven.clone(), *output);
    let client = inputs::client(provider, &args.connection, Some(&args.rules), &settings, observer, output)?;
    let index = survey(Rows::open(&args.input, provider)?)?;
    let journal = Journal::open(&args.output, args.resume)?;
    let sender = Sender::new(client, provider, args.max_retries, args.emulate_tools);
    let concurrency = usize::try_from(args.concurrency).unwrap_or(1);
    let work = Work { sender, index, journal, concurrency, on_error: args.on_error, output: *output };
    let mut run = work.begin(args.retry_failed)?;
    let rows = Rows::open(&args.input, provider)?;
    let sent = on_network(
        &progress,
        run.send(rows, || {
            progress.done();
            proven.store(true, Ordering::Relaxed);
        }),
    );
    let synced = run.sync();
    let summary = |ending| Summary {
        ending,
        rows: run.rows(),
        counts: run.counts(),
        provider: provider.name(),
        input: &args.input,
        output: &args.output,
    };
    let ending = match sent {
        Ok(ending) => ending,
        Err(Stop::Interrupted) => Ending::Interrupted,
        Err(stop) => {
            if run.counts().lines() > 0 && !output.is_json() {
                output.message(&summary(Ending::Stopped).text());
            }
            return Err(stop);
        }
    };
    synced?;
    let summary = summary(ending);
    if output.is_json() {
        output.document(&summary.document())?;
    } else {
        output.result(&summary.text())?;
    }
    Ok(summary.exit())
}

/// Until the first endpoint is proven, what is being waited for; then how far the rows are says enough.
fn observer(inner: Observer, proven: Arc<AtomicBool>, output: Output) -> Observer {
    Arc::new(move |notice| {
        if !proven.load(Ordering::Relaxed) {
            return inner(notice);
        }
        if !matches!(notice, Notice::Sending(_) | Notice::Retrying { .. }) {
            output.clear_progress();
            inner(notice);
        }
    })
}
