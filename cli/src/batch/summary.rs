//! What came of a batch, in words and as `proveil.batch/v1`.

use std::path::Path;

use proveil::Code;
use proveil::core::error::Row;
use serde_json::{Value, json};

use super::index::Counts;
use crate::failure::INTERRUPTED;

/// How a run ended that was not ended by an error about every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every row has its line.
    Complete,
    /// A row failed, and `--on-error stop` was given.
    Stopped,
    /// Ctrl-C.
    Interrupted,
}

/// Whether an error in a line may be none in another run.
pub(super) fn may_pass(code: &str) -> bool {
    row_of(code).is_some_and(|row| row.retryable)
}

fn row_of(code: &str) -> Option<&'static Row> {
    let number = code.strip_prefix("PV-")?.parse().ok()?;
    Code::from_number(number).map(Code::row)
}

/// What is said at the end.
pub(crate) struct Summary<'a> {
    pub(crate) ending: Ending,
    pub(crate) rows: u64,
    pub(crate) counts: &'a Counts,
    pub(crate) provider: &'static str,
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
}

impl Summary<'_> {
    /// The exit code: that of the gravest error in the output, an answer that cannot be trusted first.
    pub(crate) fn exit(&self) -> u8 {
        if self.ending == Ending::Interrupted {
            return INTERRUPTED;
        }
        let exits: Vec<u8> =
            self.counts.failed.keys().filter_map(|code| row_of(code)).map(|row| row.exit).collect();
        let gravest = [5, 1, 6, 4, 3, 2].into_iter().find(|exit| exits.contains(exit));
        gravest.unwrap_or(if self.counts.failed.is_empty() { 0 } else { 6 })
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "schema": "proveil.batch/v1",
            "ending": match self.ending {
                Ending::Complete => "complete",
                Ending::Stopped => "stopped",
                Ending::Interrupted => "interrupted",
            },
            "rows": self.rows,
            "done": self.counts.done,
            "failed": self.counts.failed,
            "skipped": self.counts.skipped,
            "left": self.left(),
            "output": self.output.display().to_string(),
        })
    }

    pub(crate) fn text(&self) -> String {
        let Counts { done, failed, skipped } = self.counts;
        let codes: Vec<String> = failed.iter().map(|(code, count)| format!("{count} of {code}")).collect();
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        let mut text = format!(
            "{} rows: {done} done, {} failed{codes}, {} left",
            self.rows,
            self.counts.failures(),
            self.left()
        );
        if *skipped > 0 {
            text.push_str(&format!("; {skipped} from an earlier run"));
        }
        if self.left() > 0 || self.counts.failed.keys().any(|code| may_pass(code)) {
            text.push_str(&format!("\n{}", self.resume()));
        }
        text
    }

    /// How to go on.
    pub(crate) fn resume(&self) -> String {
        format!(
            "Go on with the same options and --resume:\n  proveil batch {} {} -o {} --resume",
            self.provider,
            self.input.display(),
            self.output.display()
        )
    }

    fn left(&self) -> u64 {
        self.rows.saturating_sub(self.counts.done).saturating_sub(self.counts.failures())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let cases: [(&[&str], Ending, u8); 7] = [
            (&[], Ending::Complete, 0),
            (&["PV-105"], Ending::Complete, 2),
            (&["PV-105", "PV-501"], Ending::Complete, 6),
            (&["PV-105", "PV-501", "PV-502"], Ending::Complete, 5),
            (&["PV-502"], Ending::Interrupted, 130),
            (&["PV-105"], Ending::Stopped, 2),
            (&["of a later version"], Ending::Complete, 6),
        ];
        for (codes, ending, expected) in cases {
            let mut counts = Counts::default();
            codes.iter().for_each(|code| counts.fail(code));
            let (input, output) = (Path::new("in"), Path::new("out"));
            let summary = Summary { ending, rows: 9, counts: &counts, provider: "venice", input, output };
            assert_eq!(summary.exit(), expected, "{codes:?}");
        }
    }

    #[test]
    fn words() {
        let mut counts = Counts { done: 2, skipped: 1, ..Counts::default() };
        counts.fail("PV-105");
        let (input, output) = (Path::new("in"), Path::new("out"));
        let summary = Summary {
            ending: Ending::Interrupted,
            rows: 5,
            counts: &counts,
            provider: "venice",
            input,
            output,
        };
        assert_eq!(
            summary.text(),
            "5 rows: 2 done, 1 failed (1 of PV-105), 2 left; 1 from an earlier run\n\
             Go on with the same options and --resume:\n  proveil batch venice in -o out --resume"
        );
        assert_eq!(summary.document()["failed"], json!({ "PV-105": 1 }));
        assert_eq!(summary.document()["left"], 2);
    }

    #[test]
    fn errors_that_may_pass() {
        let cases = [
            ("PV-507", true),
            ("PV-602", true),
            ("PV-502", false),
            ("PV-105", false),
            ("PV-1", false),
            ("507", false),
            ("", false),
        ];
        for (code, expected) in cases {
            assert_eq!(may_pass(code), expected, "{code}");
        }
    }
}
