//! Lines of a file, one at a time, however large the file is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use zeroize::Zeroizing;

/// What stands at one place of the file.
pub(super) enum Line {
    /// With its line end.
    Whole,
    /// The last one, without.
    Torn,
    TooLong,
    End,
}

/// A file that is read from its start.
pub(super) struct Lines {
    reader: BufReader<File>,
    limit: u64,
    /// Prompts and answers.
    buffer: Zeroizing<Vec<u8>>,
    /// Of the line that was read last, from 1.
    number: u64,
    /// Bytes before that line, and with it.
    start: u64,
    end: u64,
}

impl Lines {
    /// Lines of at most `limit` bytes, line ends included.
    pub(super) fn new(file: File, limit: u64) -> Lines {
        Lines {
            reader: BufReader::new(file),
            limit,
            buffer: Zeroizing::default(),
            number: 0,
            start: 0,
            end: 0,
        }
    }

    pub(super) fn advance(&mut self) -> io::Result<Line> {
        self.buffer.clear();
        self.start = self.end;
        let read = self.reader.by_ref().take(self.limit).read_until(b'\n', &mut self.buffer)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.end = self.end.saturating_add(read);
        if read == 0 {
            return Ok(Line::End);
        }
        self.number = self.number.saturating_add(1);
        Ok(match self.buffer.last() {
            Some(b'\n') => Line::Whole,
            _ if read >= self.limit => Line::TooLong,
            _ => Line::Torn,
        })
    }

    /// The line that was read last, without its end.
    pub(super) fn bytes(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Where the line begins and where the next one does, in bytes.
    pub(super) const fn span(&self) -> (u64, u64) {
        (self.start, self.end)
    }
}
