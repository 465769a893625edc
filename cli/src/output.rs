//! The only place that writes to the terminal. Results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use proveil::Verdict;
use serde_json::Value;

/// Colours of the verdict line.
const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Back to the start of the line, which is then empty.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Lines that this program breaks itself.
const WIDTH: usize = 78;

/// How this run writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    /// Not even warnings.
    silent: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Output {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Output {
            json,
            quiet,
            silent: false,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal() && !dumb,
            colour: !set("NO_COLOR") && !dumb,
        }
    }

    /// The same without warnings, for somebody who finds what they are about himself.
    pub(crate) const fn silent(mut self) -> Output {
        self.silent = true;
        self
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress is a line that is drawn again and again.
    pub(crate) const fn draws(&self) -> bool {
        self.stderr_is_terminal
    }

    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A result in whole lines.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.for_stdout(text).as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// A result whose first line is a verdict.
    pub(crate) fn verdict(&self, verdict: Verdict, text: &str) -> io::Result<()> {
        let Some((first, rest)) = text.split_once('\n').filter(|_| self.colour && self.stdout_is_terminal)
        else {
            return self.result(text);
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{}{}{PLAIN}", colour_of(verdict), printable(first))?;
        out.write_all(printable(rest.trim_end()).as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// One JSON document.
    pub(crate) fn document(&self, document: &Value) -> io::Result<()> {
        // Maps with text keys cannot fail to serialise.
        let text = serde_json::to_string_pretty(document).unwrap_or_default();
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// A piece of an answer. On a terminal, control characters of the model are made visible instead of obeyed (threats T55).
    pub(crate) fn piece(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.for_stdout(text).as_bytes())?;
        out.flush()
    }

    /// A piece of reasoning, on standard error.
    pub(crate) fn aside(&self, text: &str) {
        if self.colour && self.stderr_is_terminal {
            self.error_text(&format!("{DIM}{}{PLAIN}", printable(text)));
        } else {
            self.error_text(&printable(text));
        }
    }

    /// The verdict line of a command whose result is something else.
    pub(crate) fn headline(&self, verdict: Verdict, text: &str) {
        if self.quiet || self.json {
            return;
        }
        if self.colour && self.stderr_is_terminal {
            self.error_text(&format!("{}{}{PLAIN}\n", colour_of(verdict), printable(text)));
        } else {
            self.message(text);
        }
    }

    /// An error or a note.
    pub(crate) fn message(&self, text: &str) {
        self.error_text(&format!("{}\n", printable(text)));
    }

    /// Something that weakens or slows down, but does not stop.
    pub(crate) fn warn(&self, text: &str) {
        if !self.silent {
            self.message(&format!("warning: {text}"));
        }
    }

    /// What is being waited for. On a terminal the line is taken away again by [`Output::clear_progress`].
    pub(crate) fn progress(&self, text: &str) {
        if self.stderr_is_terminal {
            self.error_text(&format!("{CLEAR_LINE}{}", printable(text)));
        } else {
            self.message(text);
        }
    }

    pub(crate) fn clear_progress(&self) {
        if self.stderr_is_terminal {
            self.error_text(CLEAR_LINE);
        }
    }

    fn error_text(&self, text: &str) {
        // Nobody can be told that standard error is closed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn for_stdout<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.stdout_is_terminal { printable(text).into() } else { text.into() }
    }
}

const fn colour_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => GREEN,
        Verdict::Refused => RED,
        Verdict::Indeterminate => YELLOW,
    }
}

/// The text with control characters and text-direction tricks made visible; line ends and tabs stay.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The text in lines of at most 78 characters, broken at spaces.
pub(crate) fn wrap(text: &str) -> String {
    wrap_to(text, WIDTH)
}

/// The text in lines of at most so many characters, broken at spaces.
pub(crate) fn wrap_to(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column: usize = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column.saturating_add(length) >= width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column = column.saturating_add(1);
        }
        out.push_str(word);
        column = column.saturating_add(length);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_are_not_obeyed() {
        let text = "a\u{1b}[2J\u{9b}31m\r\u{202e}b\n\tc\u{7}\u{e4}";
        assert_eq!(super::printable(text), "a\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}b\n\tc\u{fffd}\u{e4}");
    }
}
