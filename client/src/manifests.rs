//! The log of a deployment's manifests (privatemode.md 8): which one was proven to run since when, and what changed.
//!
//! In `manifests` below the workspace folder stand `log.txt`, a line for each change, and the manifest of line `n` as `<n>.json`, byte for byte,
//! with `<n>.diff.txt`, its difference to the one before. The vendor's proxy has such a folder too, and its log is continued: only the first two
//! columns of a line, time and file, are common, and only their count is read. Without a folder the change is told and kept nowhere.
//!
//! Only manifests come here that a verification proved to be what runs. Nothing is decided by what the folder holds: it is a record, so trouble
//! with it is a warning (threats T59), and what was written before is never replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_core::attest::contrast::{describe, differences};
use proveil_core::crypto;
use proveil_core::limits::CONTRAST_MANIFEST_MAX_BYTES;
use proveil_core::wire::{hex, time};

use crate::disk;
use crate::notice::{Notice, Observer};

const FOLDER: &str = "manifests";
const LOG: &str = "log.txt";
/// Largest log that is continued: some 50,000 changes.
const LOG_MAX_BYTES: u64 = 8 * 1024 * 1024;

pub(crate) struct ManifestLog {
    workspace: Option<PathBuf>,
    custom_roots: bool,
    observer: Observer,
    last: Mutex<Last>,
}

/// The last manifest that this process saw.
#[derive(Clone, Default)]
struct Last {
    manifest: Option<Arc<[u8]>>,
    is_written: bool,
}

impl ManifestLog {
    pub(crate) fn new(workspace: Option<PathBuf>, custom_roots: bool, observer: Observer) -> ManifestLog {
        ManifestLog { workspace, custom_roots, observer, last: Mutex::default() }
    }

    /// Takes a manifest that was proven to run at `at` (Unix seconds).
    pub(crate) async fn see(&self, manifest: &[u8], at: u64) {
        let manifest: Arc<[u8]> = manifest.into();
        let new = Last { manifest: Some(manifest.clone()), is_written: true };
        let Last { manifest: before, is_written } = std::mem::replace(&mut *self.lock(), new);
        if is_written && before.as_deref() == Some(&*manifest) {
            return;
        }
        let logged = match self.record(manifest.clone(), at).await {
            Ok(logged) => logged,
            Err(error) => {
                // The next verification tries again.
                self.lock().is_written = false;
                (self.observer)(&Notice::Warning(format!("the manifest log was not written: {error}")));
                None
            }
        };
        if let Some(old) = before.as_deref().or(logged.as_deref()).filter(|old| **old != *manifest) {
            let (old_sha256, new_sha256) = (digest(old), digest(&manifest));
            let difference = difference(old, &manifest);
            (self.observer)(&Notice::ManifestChanged { old_sha256, new_sha256, difference });
        }
    }

    /// Writes it down, if there is a folder; gives the manifest of the line before.
    async fn record(&self, manifest: Arc<[u8]>, at: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(workspace) = self.workspace.clone() else { return Ok(None) };
        let custom_roots = self.custom_roots;
        let written =
            tokio::task::spawn_blocking(move || write(&workspace, &manifest, at, custom_roots)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("it failed")))
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes an entry when the manifest is another than that of the last line; gives the one of that line.
fn write(workspace: &Path, manifest: &[u8], at: u64, custom_roots: bool) -> io::Result<Option<Vec<u8>>> {
    disk::create_directory(workspace)?;
    // The folder itself may be reached through a link; whoever can write to it could exchange what is below.
    let workspace = fs::canonicalize(workspace)?;
    disk::check_directory(&workspace)?;
    let folder = workspace.join(FOLDER);
    disk::create_directory(&folder)?;
    disk::check_directory(&folder)?;
    // Nobody waits for a record: what another process holds is written the next time.
    let _lock = disk::try_lock(&folder.join(LOG))?;
    let mut log = read_log(&folder)?;
    let adopted = adopt(&folder, &mut log, at)?;
    let count = log.lines().count();
    let before = match count {
        0 => None,
        count => Some(read_manifest(&folder, count)?),
    };
    if before.as_deref() == Some(manifest) {
        if adopted {
            disk::replace_file(&folder, Path::new(LOG), log.as_bytes())?;
        }
        return Ok(before);
    }
    let number = count.saturating_add(1);
    let name = format!("{number}.json");
    disk::replace_file(&folder, Path::new(&name), manifest)?;
    if let Some(before) = &before {
        let text = format!("{} -> {}\n{}\n", digest(before), digest(manifest), difference(before, manifest));
        disk::replace_file(&folder, Path::new(&format!("{number}.diff.txt")), text.as_bytes())?;
    }
    let remark = if custom_roots { " CUSTOM roots" } else { "" };
    add_line(&mut log, at, number, manifest, remark);
    disk::replace_file(&folder, Path::new(LOG), log.as_bytes())?;
    Ok(before)
}

/// Adds the lines of manifests that are there and have none: a writer that was killed wrote the one and not the other. Their time is that
/// of this moment, and whose roots they were proven under is not known any more. Says whether there were any.
fn adopt(folder: &Path, log: &mut String, at: u64) -> io::Result<bool> {
    let length = log.len();
    loop {
        let number = log.lines().count().saturating_add(1);
        match read_manifest(folder, number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(log.len() > length),
            Err(error) => return Err(error),
            Ok(found) => add_line(log, at, number, &found, " found without a line"),
        }
    }
}

fn add_line(log: &mut String, at: u64, number: usize, manifest: &[u8], remark: &str) {
    if !log.is_empty() && !log.ends_with('\n') {
        log.push('\n');
    }
    let (time, digest) = (time::rfc3339(at), digest(manifest));
    log.push_str(&format!("{time} {FOLDER}/{number}.json sha256:{digest}{remark}\n"));
}

fn read_log(folder: &Path) -> io::Result<String> {
    match disk::read(&folder.join(LOG), LOG_MAX_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| io::Error::other(format!("{LOG} is no text"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(named(LOG, &error)),
    }
}

fn read_manifest(folder: &Path, number: usize) -> io::Result<Vec<u8>> {
    let name = format!("{number}.json");
    let limit = u64::try_from(CONTRAST_MANIFEST_MAX_BYTES).unwrap_or(u64::MAX);
    disk::read(&folder.join(&name), limit).map_err(|error| named(&name, &error))
}

/// The error with the file's name and of the same kind.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{FOLDER}/{name}: {error}"))
}

fn digest(manifest: &[u8]) -> String {
    hex::encode(&crypto::sha256(&[manifest]))
}

/// In lines. What the folder held before need not be a manifest.
fn difference(old: &[u8], new: &[u8]) -> String {
    differences(old, new)
        .map_or_else(|_| "  the one before cannot be read as a manifest".to_owned(), |found| describe(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the vendor's proxy leaves it is continued; the same manifest again is no entry.
    #[test]
    fn an_earlier_log_is_continued() {
        let home = tempfile::tempdir().unwrap();
        let workspace = home.path().join("work");
        let folder = workspace.join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        set_mode(&workspace, 0o755);
        set_mode(&folder, 0o755);
        fs::write(folder.join("1.json"), "one").unwrap();
        fs::write(folder.join("2.json"), "two").unwrap();
        fs::write(folder.join(LOG), "2026-01-01T00:00:00Z 1.json\n2026-01-02T00:00:00Z 2.json").unwrap();
        assert_eq!(write(&workspace, b"two", 0, false).unwrap().as_deref(), Some(b"two".as_slice()));
        assert!(!folder.join("3.json").exists());
        assert_eq!(write(&workspace, b"three", 0, true).unwrap().as_deref(), Some(b"two".as_slice()));
        let log = fs::read_to_string(folder.join(LOG)).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let wanted =
            format!("1970-01-01T00:00:00Z manifests/3.json sha256:{} CUSTOM roots", digest(b"three"));
        assert_eq!((lines.len(), lines[2]), (3, wanted.as_str()));
        assert_eq!(fs::read(folder.join("3.json")).unwrap(), b"three");
        assert!(fs::read_to_string(folder.join("3.diff.txt")).unwrap().contains(&digest(b"two")));
    }

    /// T59: a writer that was killed after the manifest and before its difference or its line; afterwards the same manifest runs, or another
    /// one, or the one before again.
    #[test]
    fn t59_an_interrupted_entry_is_completed() {
        for killed_at in [1, 2, 3] {
            for next in [b"one".as_slice(), b"two", b"three", b"four"] {
                let home = tempfile::tempdir().unwrap();
                let workspace = home.path().join("work");
                let (folder, log) = (workspace.join(FOLDER), workspace.join(FOLDER).join(LOG));
                let mut before = Vec::new();
                for (index, manifest) in
                    [b"one".as_slice(), b"two", b"three"].iter().take(killed_at).enumerate()
                {
                    if index + 1 == killed_at {
                        before = fs::read(&log).unwrap_or_default();
                    }
                    write(&workspace, manifest, 0, false).unwrap();
                }
                if before.is_empty() {
                    fs::remove_file(&log).unwrap();
                } else {
                    fs::write(&log, &before).unwrap();
                }
                let _ = fs::remove_file(folder.join(format!("{killed_at}.diff.txt")));
                let kept = fs::read(folder.join(format!("{killed_at}.json"))).unwrap();
                let logged = write(&workspace, next, 60, false).unwrap();
                assert_eq!(logged.as_deref(), Some(kept.as_slice()));
                let lines = fs::read_to_string(&log).unwrap();
                assert!(lines.as_bytes().starts_with(&before));
                let count = killed_at + usize::from(kept != next);
                assert_eq!(lines.lines().count(), count, "{lines}");
                for (index, line) in lines.lines().enumerate() {
                    let manifest = fs::read(folder.join(format!("{}.json", index + 1))).unwrap();
                    assert!(line.contains(&digest(&manifest)), "{line}");
                }
                assert_eq!(fs::read(folder.join(format!("{count}.json"))).unwrap(), next);
                write(&workspace, next, 120, false).unwrap();
                assert_eq!(fs::read_to_string(&log).unwrap(), lines);
            }
        }
    }

    /// T24, T59: links are not followed, nothing that was written is replaced, and a folder that others can write to is not used.
    #[cfg(unix)]
    #[test]
    fn spoilt_folders_are_left_alone() {
        type Spoil = fn(&Path, &Path);
        let cases: [(&str, Spoil); 6] = [
            ("log is a link", |folder, other| {
                fs::remove_file(folder.join(LOG)).unwrap();
                std::os::unix::fs::symlink(other, folder.join(LOG)).unwrap();
            }),
            ("log is no text", |folder, _| fs::write(folder.join(LOG), b"\xff\n").unwrap()),
            ("manifest removed", |folder, _| fs::remove_file(folder.join("1.json")).unwrap()),
            ("next is a link", |folder, other| {
                std::os::unix::fs::symlink(other, folder.join("2.json")).unwrap();
            }),
            ("open to others", |folder, _| set_mode(folder, 0o777)),
            ("workspace open to others", |folder, _| set_mode(folder.parent().unwrap(), 0o777)),
        ];
        for (name, spoil) in cases {
            let home = tempfile::tempdir().unwrap();
            let workspace = home.path().join("work");
            let other = home.path().join("other");
            fs::write(&other, "untouched\n").unwrap();
            write(&workspace, b"one", 0, false).unwrap();
            let folder = workspace.join(FOLDER);
            spoil(&folder, &other);
            let first = fs::read(folder.join("1.json")).ok();
            assert!(write(&workspace, b"two", 0, false).is_err(), "{name}");
            assert_eq!(fs::read_to_string(&other).unwrap(), "untouched\n", "{name}");
            assert_eq!(fs::read(folder.join("1.json")).ok(), first, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_log_is_private() {
        use std::os::unix::fs::MetadataExt;
        let home = tempfile::tempdir().unwrap();
        let workspace = home.path().join("work");
        write(&workspace, b"one", 0, false).unwrap();
        write(&workspace, b"two", 0, false).unwrap();
        let folder = workspace.join(FOLDER);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[cfg(unix)]
    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(not(unix))]
    fn set_mode(_path: &Path, _mode: u32) {}
}
