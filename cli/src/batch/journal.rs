//! The output: lines are only ever added, each in one write, and a line that could not be written whole is taken back. What an earlier
//! run left is read before anything is sent: a torn last line is cut off, lines of rows that are to be sent again are left out of a
//! copy that takes the file's place in one step. So a kill at any moment leaves whole lines and at most one torn one (threats T49).

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proveil::{Code, Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lines::{Line, Lines};

/// How every line begins. A torn line that begins otherwise is somebody else's.
pub(super) const LINE_START: &str = "{\"id\":\"batch_req_";
/// A line of the output: far more than the largest answer.
const LINE_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Lines reach the disk at the latest after so many, and after so long.
const SYNC_LINES: u32 = 256;
pub(super) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A line of an earlier run.
#[derive(Deserialize)]
pub(super) struct Earlier<'a> {
    #[serde(borrow)]
    pub(super) custom_id: Cow<'a, str>,
    response: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) error: Option<Fault<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow)]
    pub(super) code: Cow<'a, str>,
}

/// The output file, which nobody else writes.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// Bytes of whole lines.
    length: u64,
    unsynced: u32,
    synced: Instant,
}

impl Journal {
    /// Opens or creates the file and locks it. A file with content is only for a run that goes on with it.
    pub(crate) fn open(path: &Path, resume: bool) -> Result<Journal> {
        let failed = |error: io::Error| unwritable(path, &error.to_string());
        let file = exclusive(path)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(unwritable(path, "no regular file"));
        }
        if metadata.len() > 0 && !resume {
            return Err(Error::new(Code::Usage)
                .at("--output")
                .found(path.display().to_string())
                .context("The output exists already: go on with it by `--resume`, or name another file."));
        }
        Ok(Journal { file, path: path.to_owned(), length: 0, unsynced: 0, synced: Instant::now() })
    }

    /// Reads what an earlier run left. `keep` says of each line whether it stays; `None` for one that cannot be of this batch, with which
    /// this fails before anything is changed.
    pub(super) fn settle(&mut self, mut keep: impl FnMut(&Earlier<'_>) -> Option<bool>) -> Result<()> {
        let mut lines = Lines::new(self.reader()?, LINE_MAX_BYTES);
        let mut left_out: Vec<(u64, u64)> = Vec::new();
        loop {
            let (start, end) = match lines.advance().map_err(|error| self.failed(&error))? {
                Line::End => break,
                Line::TooLong => return Err(self.foreign(lines.number())),
                Line::Torn if is_own(lines.bytes()) => break,
                Line::Torn => return Err(self.foreign(lines.number())),
                Line::Whole => lines.span(),
            };
            let earlier = read_line(lines.bytes()).ok_or_else(|| self.foreign(lines.number()))?;
            if !keep(&earlier).ok_or_else(|| self.foreign(lines.number()))? {
                left_out.push((start, end));
            }
            self.length = end;
        }
        if !left_out.is_empty() {
            self.leave_out(&left_out)?;
        }
        let length = self.length;
        let settled = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        settled.map_err(|error| self.failed(&error))?;
        // What counts as done from now on must be there after a power cut too.
        self.unsynced = 1;
        self.sync()
    }

    /// An error about a line that is not of this batch.
    fn foreign(&self, line: u64) -> Error {
        Error::new(Code::InvalidArgument)
            .at(self.path.display().to_string())
            .expected("lines that an earlier run wrote for this input")
            .context("Nothing was changed or sent.")
            .in_text(usize::try_from(line).unwrap_or(usize::MAX), 1)
    }

    /// Adds a line, with its end. When it cannot be written whole, nothing of it stays.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(line) {
            // Should this fail too, the next run cuts the torn line off.
            let _ =
                self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(self.failed(&error));
        }
        self.length = self.length.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        self.unsynced = self.unsynced.saturating_add(1);
        if self.unsynced >= SYNC_LINES || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Waits until all lines are on the disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.unsynced > 0 {
            self.file.sync_data().map_err(|error| self.failed(&error))?;
        }
        self.unsynced = 0;
        self.synced = Instant::now();
        Ok(())
    }

    /// Replaces the file by a copy without these parts.
    fn leave_out(&mut self, parts: &[(u64, u64)]) -> Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let new_path = PathBuf::from(name);
        // Whatever is there was left by a run that was killed at this point.
        let mut new = exclusive(&new_path)?;
        let failed = |error: io::Error| unwritable(&new_path, &error.to_string());
        new.set_len(0).map_err(failed)?;
        let mut old = self.reader()?;
        let ends = parts.iter().map(|(_, end)| *end);
        let starts = parts.iter().map(|(start, _)| *start).chain([self.length]);
        let mut length: u64 = 0;
        for (from, to) in [0].into_iter().chain(ends).zip(starts) {
            old.seek(SeekFrom::Start(from)).map_err(failed)?;
            let copied = io::copy(&mut (&old).take(to.saturating_sub(from)), &mut new);
            length = length.saturating_add(copied.map_err(failed)?);
        }
        new.sync_all().map_err(failed)?;
        fs::rename(&new_path, &self.path).map_err(failed)?;
        sync_directory(&self.path);
        (self.file, self.length, self.unsynced) = (new, length, 1);
        Ok(())
    }

    fn reader(&self) -> Result<File> {
        let reader = self.file.try_clone().and_then(|mut file| {
            file.rewind()?;
            Ok(file)
        });
        reader.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        unwritable(&self.path, &error.to_string())
    }
}

#[cfg(unix)]
impl Drop for Journal {
    /// Ends the lock here and not where the last copy of the descriptor is closed: a process started meanwhile may have one for a moment.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.file, rustix::fs::FlockOperation::Unlock);
    }
}

fn unwritable(path: &Path, found: &str) -> Error {
    Error::new(Code::FileUnwritable).at("--output").found(format!("{}: {found}", path.display()))
}

/// A line has an answer or an error, and not both.
fn read_line(bytes: &[u8]) -> Option<Earlier<'_>> {
    let earlier: Earlier<'_> = serde_json::from_slice(bytes).ok()?;
    (earlier.response.is_some() != earlier.error.is_some()).then_some(earlier)
}

/// Whether a piece of a line can be one of this program's: also what a power cut leaves of it.
fn is_own(torn: &[u8]) -> bool {
    let start = LINE_START.as_bytes();
    torn.starts_with(start) || start.starts_with(torn) || torn.iter().all(|byte| *byte == 0)
}

/// Opens a file for one process at a time. Answers are nobody else's to read.
#[cfg(unix)]
fn exclusive(path: &Path) -> Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let failed = |error: io::Error| unwritable(path, &error.to_string());
    // Nothing may be lost before the lock is had.
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(in_use(path));
    }
    // Another run may have put its copy in the place of what was opened here.
    let (opened, named) = (file.metadata().map_err(failed)?, fs::metadata(path).map_err(failed)?);
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(in_use(path));
    }
    Ok(file)
}

#[cfg(windows)]
fn exclusive(path: &Path) -> Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    /// Others may read, and the file may be replaced.
    const SHARE_READ_DELETE: u32 = 1 | 4;
    /// `ERROR_SHARING_VIOLATION`
    const SHARING_VIOLATION: i32 = 32;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).share_mode(SHARE_READ_DELETE);
    options.open(path).map_err(|error| match error.raw_os_error() {
        Some(SHARING_VIOLATION) => in_use(path),
        _ => unwritable(path, &error.to_string()),
    })
}

fn in_use(path: &Path) -> Error {
    unwritable(path, "in use").context("Another run writes it.")
}

/// Makes a replacement last. Where that cannot be done, a power cut may bring back the lines that were left out.
fn sync_directory(path: &Path) {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let _ = File::open(parent).and_then(|dir| dir.sync_all());
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str) -> String {
        format!("{LINE_START}1\",\"custom_id\":\"{id}\",\"response\":{{\"body\":{{}}}},\"error\":null}}\n")
    }

    fn error(id: &str, code: &str) -> String {
        format!(
            "{LINE_START}1\",\"custom_id\":\"{id}\",\"response\":null,\"error\":{{\"code\":\"{code}\"}}}}\n"
        )
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(text: &str) -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            fs::write(place.path(), text).unwrap();
            place
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("out.jsonl")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }
    }

    #[test]
    fn what_a_kill_leaves_is_made_good() {
        let whole = answer("a") + &error("b", "PV-101") + &answer("c");
        let line = answer("d");
        for cut in 0..line.len() {
            let place = Place::new(&format!("{whole}{}", &line[..cut]));
            let mut journal = Journal::open(&place.path(), true).unwrap();
            let mut seen = Vec::new();
            journal
                .settle(|earlier| {
                    seen.push((earlier.custom_id.to_string(), earlier.error.is_some()));
                    Some(true)
                })
                .unwrap();
            let expected = [("a".to_owned(), false), ("b".to_owned(), true), ("c".to_owned(), false)];
            assert_eq!(seen, expected, "{cut}");
            assert_eq!(place.text(), whole);
            journal.append(line.as_bytes()).unwrap();
            assert_eq!(place.text(), format!("{whole}{line}"));
        }
        let zeros = Place::new(&format!("{whole}\0\0\0"));
        Journal::open(&zeros.path(), true).unwrap().settle(|_| Some(true)).unwrap();
        assert_eq!(zeros.text(), whole);
    }

    #[test]
    fn lines_are_left_out() {
        let all = ["a", "b", "c", "d"].map(answer);
        for mask in 0..16_u32 {
            let place = Place::new(&format!("{}{LINE_START}", all.concat()));
            fs::write(place.0.path().join("out.jsonl.new"), "left by a kill, and longer than the rest")
                .unwrap();
            let kept = |line: u64| mask & (1 << (line - 1)) != 0;
            let mut journal = Journal::open(&place.path(), true).unwrap();
            let mut line = 0;
            journal
                .settle(|_| {
                    line += 1;
                    Some(kept(line))
                })
                .unwrap();
            journal.append(b"{}\n").unwrap();
            let expected: String =
                all.iter().zip(1..).filter(|(_, line)| kept(*line)).map(|(text, _)| text.as_str()).collect();
            assert_eq!(place.text(), expected + "{}\n", "{mask}");
            // The lock went along.
            assert_eq!(Journal::open(&place.path(), true).err().unwrap().code(), Code::FileUnwritable);
        }
    }

    #[test]
    fn other_files_stay_as_they_are() {
        let both = "{\"custom_id\":\"a\",\"response\":{},\"error\":{\"code\":\"x\"}}\n";
        let cases = [
            "notes",
            "notes\n",
            "{}\n",
            both,
            &both.replace("{}", "null").replace("{\"code\":\"x\"}", "null"),
        ];
        for text in cases {
            let text = answer("a") + text;
            let place = Place::new(&text);
            let mut journal = Journal::open(&place.path(), true).unwrap();
            let error = journal.settle(|_| Some(true)).unwrap_err();
            assert_eq!((error.code(), error.place()), (Code::InvalidArgument, Some((2, 1))), "{text}");
            assert_eq!(place.text(), text);
        }
    }

    #[test]
    fn one_run_at_a_time_and_no_overwriting() {
        let place = Place::new("");
        let first = Journal::open(&place.path(), false).unwrap();
        let error = Journal::open(&place.path(), true).err().unwrap();
        assert!(error.code() == Code::FileUnwritable && error.message().contains("Another run"), "{error}");
        drop(first);
        fs::write(place.path(), answer("a")).unwrap();
        assert_eq!(Journal::open(&place.path(), false).err().unwrap().code(), Code::Usage);
        assert_eq!(place.text(), answer("a"));
        assert_eq!(Journal::open(place.0.path(), true).err().unwrap().code(), Code::FileUnwritable);
    }
}
