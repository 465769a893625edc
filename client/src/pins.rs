//! Where pins are kept: in memory, or in a file that only its owner can write (threats T24, T59).
//!
//! Unlike the cache of collateral, what is kept here protects: a store that cannot be read is an error and never an empty one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use proveil_core::limits::{PINS_FILE_MAX_BYTES, PINS_MAX};
use proveil_core::pin::{Pin, PinKey, read_pins, write_pins};
use proveil_core::{Code, Error, Result};

use crate::disk;

/// Keeps what endpoints were seen to run.
///
/// An implementation must return an error when it cannot tell whether there is a pin: `None` means that there is none. Called from
/// threads that may block.
pub trait PinStore: Send + Sync {
    /// The pin of an endpoint.
    fn get(&self, key: &PinKey) -> Result<Option<Pin>>;

    /// Keeps a pin, in the place of an earlier one of the same endpoint.
    fn put(&self, pin: &Pin) -> Result<()>;

    /// Every pin, sorted by endpoint.
    fn list(&self) -> Result<Vec<Pin>>;
}

/// Pins for as long as the process runs.
#[derive(Debug, Default)]
pub struct MemoryPins(Mutex<BTreeMap<PinKey, Pin>>);

impl MemoryPins {
    /// Without any pin.
    pub fn new() -> MemoryPins {
        MemoryPins::default()
    }
}

impl PinStore for MemoryPins {
    fn get(&self, key: &PinKey) -> Result<Option<Pin>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn put(&self, pin: &Pin) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pin.key.clone(), pin.clone());
        Ok(())
    }

    fn list(&self) -> Result<Vec<Pin>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
    }
}

/// Pins in a file (`proveil.pins/v1`). It is read anew each time, so that a pin that another process accepts counts at once. A file
/// that is not there holds no pins; one that cannot be used is `pins_invalid`.
#[derive(Clone, Debug)]
pub struct FilePins {
    path: PathBuf,
}

impl FilePins {
    /// Opens nothing yet.
    pub fn new(path: impl Into<PathBuf>) -> FilePins {
        FilePins { path: path.into() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn trouble(&self, error: &io::Error) -> Error {
        Error::new(Code::PinsInvalid).at(self.path.display().to_string()).found(error.to_string())
    }

    fn read(&self) -> Result<Vec<Pin>> {
        match self.bytes() {
            Ok(bytes) => read_pins(&bytes).map_err(|error| {
                let member = error.check().unwrap_or_default().to_owned();
                error.at(format!("{} {member}", self.path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        check_directory(&self.directory())?;
        let file = disk::open(&self.path)?;
        check_file(&file)?;
        let limit = u64::try_from(PINS_FILE_MAX_BYTES).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn directory(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Reads, changes and replaces the file while no other process does.
    fn change(&self, pin: &Pin) -> Result<()> {
        let failed = |error: io::Error| self.trouble(&error);
        let directory = self.directory();
        disk::create_directory(&directory).map_err(failed)?;
        check_directory(&directory).map_err(failed)?;
        let _lock = disk::lock(&self.path).map_err(failed)?;
        let mut pins = self.read()?;
        pins.retain(|known| known.key != pin.key);
        pins.push(pin.clone());
        if pins.len() > PINS_MAX {
            return Err(Error::new(Code::LimitExceeded)
                .at(self.path.display().to_string())
                .expected(format!("{PINS_MAX} pins")));
        }
        let text = write_pins(&pins);
        let name = self.path.file_name().ok_or_else(|| self.trouble(&io::ErrorKind::InvalidInput.into()))?;
        disk::replace_file(&directory, Path::new(name), text.as_bytes()).map_err(failed)
    }
}

impl PinStore for FilePins {
    fn get(&self, key: &PinKey) -> Result<Option<Pin>> {
        Ok(self.read()?.into_iter().find(|pin| pin.key == *key))
    }

    fn put(&self, pin: &Pin) -> Result<()> {
        self.change(pin)
    }

    fn list(&self) -> Result<Vec<Pin>> {
        let mut pins = self.read()?;
        pins.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(pins)
    }
}

/// A regular file that nobody but its owner, who is this user or the administrator, can write.
fn check_file(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    check_owner(&metadata, false)
}

/// A directory in which nobody else can replace the file.
fn check_directory(directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("it is not in a directory"));
    }
    check_owner(&metadata, true)
}

#[cfg(unix)]
fn check_owner(metadata: &fs::Metadata, is_directory: bool) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    /// In a directory with this bit only owners can replace their files.
    const STICKY: u32 = 0o1000;
    let what = if is_directory { "its directory" } else { "it" };
    if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(io::Error::other(format!("{what} belongs to somebody else")));
    }
    let sticky = is_directory && metadata.mode() & STICKY != 0;
    if metadata.mode() & 0o022 != 0 && !sticky {
        return Err(io::Error::other(format!("others can write to {what}")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_metadata: &fs::Metadata, _is_directory: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proveil_core::report::Roots;

    /// A pin whose digest is right, by way of the file's own form.
    pub(crate) fn pin(model: &str) -> Pin {
        let values = r#"{"tdx.mr_td":"aa"}"#;
        let digest = {
            let canonical = format!(r#"{{"events":[],"values":{values}}}"#);
            proveil_core::wire::hex::encode(&proveil_core::crypto::sha256(&[canonical.as_bytes()]))
        };
        let text = format!(
            r#"{{"schema":"proveil.pins/v1","pins":[{{"provider":"venice","model":"{model}","base_url":"http://127.0.0.1:1",
            "roots":"vendor","pinned_at":7,"sha256":"{digest}","values":{values},"events":[],"compose":null}}]}}"#
        );
        read_pins(text.as_bytes()).unwrap().remove(0)
    }

    fn file() -> (tempfile::TempDir, FilePins) {
        let home = tempfile::tempdir().unwrap();
        let pins = FilePins::new(home.path().join("proveil/pins.json"));
        (home, pins)
    }

    #[test]
    fn pins_are_kept_and_replaced() {
        let (_home, file) = file();
        let memory = MemoryPins::new();
        let stores: [&dyn PinStore; 2] = [&file, &memory];
        for store in stores {
            assert_eq!(store.list().unwrap(), []);
            assert_eq!(store.get(&pin("a").key).unwrap(), None);
            for model in ["b", "a", "b"] {
                store.put(&pin(model)).unwrap();
            }
            assert_eq!(store.list().unwrap(), [pin("a"), pin("b")]);
            let newer = Pin { pinned_at: 9, roots: Roots::Custom, ..pin("a") };
            store.put(&newer).unwrap();
            assert_eq!(store.get(&newer.key).unwrap(), Some(newer.clone()));
            assert_eq!(store.list().unwrap(), [newer, pin("b")]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::MetadataExt;
        let (_home, pins) = file();
        pins.put(&pin("a")).unwrap();
        assert_eq!(fs::metadata(pins.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(pins.directory()).unwrap().mode() & 0o777, 0o700);
    }

    /// T59: a file that is broken, a link, writable by others, or in a directory that others can write to, is an error: for readers,
    /// and for a writer, who would otherwise replace it by one without the pins that it held.
    #[cfg(unix)]
    #[test]
    fn spoilt_files_are_errors() {
        use std::os::unix::fs::PermissionsExt;
        type Spoil = fn(&Path);
        let cases: [(&str, Spoil); 7] = [
            ("empty", |path| fs::write(path, "").unwrap()),
            ("cut", |path| {
                let text = fs::read_to_string(path).unwrap();
                fs::write(path, &text[..text.len() / 2]).unwrap();
            }),
            ("of a later version", |path| {
                fs::write(path, fs::read_to_string(path).unwrap().replace("pins/v1", "pins/v2")).unwrap();
            }),
            ("a link", |path| {
                fs::rename(path, path.with_extension("old")).unwrap();
                std::os::unix::fs::symlink(path.with_extension("old"), path).unwrap();
            }),
            ("a directory", |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }),
            ("writable", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o622)).unwrap()),
            ("in an open directory", |path| {
                fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
            }),
        ];
        for (name, spoil) in cases {
            let (_home, pins) = file();
            pins.put(&pin("a")).unwrap();
            spoil(pins.path());
            for result in [
                pins.get(&pin("a").key).map(drop),
                pins.get(&pin("b").key).map(drop),
                pins.list().map(drop),
                pins.put(&pin("b")),
            ] {
                let error = result.unwrap_err();
                assert_eq!(error.code(), Code::PinsInvalid, "{name}: {error}");
                assert!(error.check().unwrap().contains("pins.json"), "{name}: {error}");
            }
        }
    }

    #[test]
    fn writers_do_not_lose_each_others_pins() {
        let (_home, pins) = file();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let pins = pins.clone();
                scope.spawn(move || {
                    for i in 0..5 {
                        pins.put(&pin(&format!("{writer}-{i}"))).unwrap();
                    }
                });
            }
            for _ in 0..20 {
                pins.list().unwrap();
            }
        });
        assert_eq!(pins.list().unwrap().len(), 20);
        // Nothing is left but the file and its lock.
        assert_eq!(fs::read_dir(pins.directory()).unwrap().count(), 2);
    }
}
