//! A directory of small public files that may be lost, altered or shared at any time (threats T24, T59).
//!
//! Whoever reads an entry must verify it: nothing here is trusted. What this module guarantees is that a bad entry is a miss, that
//! a reader never sees half of one, that no link is followed, and that trouble with the disk is never more than a warning.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest entry: collateral with two revocation lists of the largest accepted size, as hex.
const ENTRY_MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Most entries that are read.
const ENTRIES_MAX: usize = 32;
/// All entries that are read, together.
const TOTAL_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Temporary files older than this were left behind by a process that died.
const TEMPORARY_MAX_AGE: Duration = Duration::from_secs(3600);
/// How names of temporary files begin.
const TEMPORARY: &str = ".new-";

/// A cache directory. Missing is fine; it is made on the first write.
#[derive(Clone, Debug)]
pub(crate) struct DiskCache {
    dir: PathBuf,
}

/// One entry as found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl DiskCache {
    pub(crate) fn new(dir: PathBuf) -> DiskCache {
        DiskCache { dir }
    }

    /// All entries whose names begin and end like this, by name; and one warning for each that could not be used.
    pub(crate) fn load(&self, prefix: &str, suffix: &str) -> (Vec<Entry>, Vec<String>) {
        let mut warnings = Vec::new();
        let mut entries = Vec::new();
        let names = match self.names(prefix, suffix) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (entries, warnings),
            Err(error) => return (entries, vec![format!("the cache directory cannot be used: {error}")]),
        };
        let mut left = TOTAL_MAX_BYTES;
        for name in names {
            match read(&self.dir.join(&name), left.min(ENTRY_MAX_BYTES)) {
                Ok(bytes) => {
                    left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    entries.push(Entry { name, bytes });
                }
                Err(error) => warnings.push(format!("cache entry {name} was ignored: {error}")),
            }
        }
        (entries, warnings)
    }

    /// Writes or replaces an entry in one step. The name must be made of letters, digits, `-` and `.` only.
    pub(crate) fn save(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.replace(name, bytes).map_err(|error| format!("cache entry {name} was not written: {error}"))
    }

    /// Removes the oldest entries of a kind beyond `keep`, and all that are too large together. Failures do not matter.
    pub(crate) fn trim(&self, prefix: &str, suffix: &str, keep: usize, total_bytes: u64) {
        if check_directory(&self.dir).is_err() {
            return;
        }
        let mut entries: Vec<(std::time::SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let named = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
            if let (true, Ok(metadata)) = (named, entry.metadata())
                && let Ok(time) = metadata.modified()
            {
                entries.push((time, metadata.len(), entry.path()));
            }
        }
        // Newest first; of entries of one moment the name decides, so that all processes remove the same.
        entries.sort_by(|a, b| (&b.0, &b.2).cmp(&(&a.0, &a.2)));
        let mut total = 0u64;
        for (i, (_, length, path)) in entries.iter().enumerate() {
            total = total.saturating_add(*length);
            if i >= keep || total > total_bytes {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn names(&self, prefix: &str, suffix: &str) -> io::Result<Vec<String>> {
        check_directory(&self.dir)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name.starts_with(prefix)
                && name.ends_with(suffix)
            {
                names.push(name);
            }
        }
        names.sort();
        names.truncate(ENTRIES_MAX);
        Ok(names)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if !is_plain(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        create_directory(&self.dir)?;
        check_directory(&self.dir)?;
        replace_file(&self.dir, Path::new(name), bytes)
    }
}

/// Removes what dead writers left. Failures do not matter.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let stale = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY))
            && entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > TEMPORARY_MAX_AGE));
        if stale {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file under another name and puts it in the place of the one with this name, in one step.
pub(crate) fn replace_file(dir: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut random = [0; 8];
    sweep(dir);
    getrandom::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    let temporary = dir.join(format!("{TEMPORARY}{}", u64::from_le_bytes(random)));
    let result = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, dir.join(name)));
    if result.is_err() {
        // Nothing more can be done about a file that cannot be removed either; the next sweep tries again.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::other("too large"));
    }
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

pub(crate) fn create_directory(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens without following a link and without waiting for the other end of a pipe.
#[cfg(unix)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path)?.file_type().is_symlink() {
        return Err(io::Error::other("a link"));
    }
    File::open(path)
}

/// A lock that ends where this is dropped.
///
/// It is taken back by a call of its own: closing the file would leave it with whoever has a copy of the descriptor, and a process that was
/// forked meanwhile has one until it runs another program or ends.
#[cfg(unix)]
pub(crate) struct Lock(File);

#[cfg(unix)]
impl Drop for Lock {
    fn drop(&mut self) {
        // Closing follows, so nothing is left to do about a failure.
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

/// Waits until nobody else has the lock. It is on a file of its own, because the file that it is for is replaced.
#[cfg(unix)]
pub(crate) fn lock(path: &Path) -> io::Result<Lock> {
    locked(path, rustix::fs::FlockOperation::LockExclusive)
}

/// The same, or an error when another has it.
#[cfg(unix)]
pub(crate) fn try_lock(path: &Path) -> io::Result<Lock> {
    locked(path, rustix::fs::FlockOperation::NonBlockingLockExclusive)
}

#[cfg(unix)]
fn locked(path: &Path, operation: rustix::fs::FlockOperation) -> io::Result<Lock> {
    use rustix::fs::{Mode, OFlags};
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&name, flags, Mode::RUSR | Mode::WUSR)?);
    rustix::fs::flock(&file, operation)?;
    Ok(Lock(file))
}

/// Where there is no such lock, the last of two writers at one time wins; neither leaves half a file.
#[cfg(not(unix))]
pub(crate) fn lock(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// See [`lock`].
#[cfg(not(unix))]
pub(crate) fn try_lock(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// A directory of ours that nobody else can write to.
pub(crate) fn check_directory(dir: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(dir)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("not a directory"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(io::Error::other("others can write to it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, DiskCache) {
        let home = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(home.path().join("a/proveil"));
        (home, cache)
    }

    #[test]
    fn entries_come_back_and_are_replaced() {
        let (_home, cache) = cache();
        assert_eq!(cache.load("tdx-", ".json"), (vec![], vec![]));
        cache.save("tdx-1.json", b"one").unwrap();
        cache.save("tdx-1.json", b"two").unwrap();
        cache.save("other.json", b"three").unwrap();
        let (entries, warnings) = cache.load("tdx-", ".json");
        assert_eq!(entries, [Entry { name: "tdx-1.json".to_owned(), bytes: b"two".to_vec() }]);
        assert!(warnings.is_empty());
        for name in ["../x", "a/b", ".hidden", "a\nb"] {
            assert!(cache.save(name, b"").is_err(), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_private() {
        use std::os::unix::fs::MetadataExt;
        let (_home, cache) = cache();
        cache.save("tdx-1.json", b"one").unwrap();
        assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(cache.dir.join("tdx-1.json")).unwrap().mode() & 0o777, 0o600);
    }

    /// Each of these is a miss with one warning, and the good entry beside it still loads (threats T24).
    #[cfg(unix)]
    #[test]
    fn bad_entries_are_misses() {
        type Spoil = fn(&Path);
        let cases: [(&str, Spoil); 4] = [
            ("symbolic link", |path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap()),
            ("directory", |path| fs::create_dir(path).unwrap()),
            ("pipe", |path| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    path,
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RUSR,
                    0,
                )
                .unwrap();
            }),
            ("too large", |path| File::create(path).unwrap().set_len(ENTRY_MAX_BYTES + 1).unwrap()),
        ];
        for (what, spoil) in cases {
            let (_home, cache) = cache();
            cache.save("tdx-2.json", b"good").unwrap();
            spoil(&cache.dir.join("tdx-1.json"));
            let (entries, warnings) = cache.load("tdx-", ".json");
            assert_eq!(entries.len(), 1, "{what}");
            assert_eq!(warnings.len(), 1, "{what}: {warnings:?}");
        }
    }

    /// Also while a copy of the descriptor is open, as a forked process has it.
    #[cfg(unix)]
    #[test]
    fn a_lock_ends_where_it_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let held = lock(&path).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(try_lock(&path).is_err());
        drop(held);
        assert!(try_lock(&path).is_ok());
        assert!(copy.metadata().unwrap().is_file());
    }

    #[test]
    fn old_entries_make_room() {
        let (_home, cache) = cache();
        cache.trim("a-", ".json", 1, 1);
        for i in 0..5u64 {
            cache.save(&format!("a-{i}.json"), &[0; 10]).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000 + i);
            File::open(cache.dir.join(format!("a-{i}.json"))).unwrap().set_modified(time).unwrap();
        }
        cache.save("b-0.json", &[0; 100]).unwrap();
        let left = |prefix| cache.load(prefix, ".json").0.into_iter().map(|e| e.name).collect::<Vec<_>>();
        cache.trim("a-", ".json", 3, 1_000);
        assert_eq!(left("a-"), ["a-2.json", "a-3.json", "a-4.json"]);
        cache.trim("a-", ".json", 3, 15);
        assert_eq!(left("a-"), ["a-4.json"]);
        assert_eq!(left("b-"), ["b-0.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn unsafe_directories_are_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let (home, cache) = cache();
        cache.save("tdx-1.json", b"one").unwrap();
        let linked = DiskCache::new(home.path().join("link"));
        std::os::unix::fs::symlink(&cache.dir, &linked.dir).unwrap();
        assert_eq!(linked.load("tdx-", ".json").1.len(), 1);
        assert!(linked.save("tdx-1.json", b"two").is_err());
        fs::set_permissions(&cache.dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.load("tdx-", ".json").0, []);
        assert!(cache.save("tdx-1.json", b"two").is_err());
        fs::set_permissions(&cache.dir, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(cache.load("tdx-", ".json").0.len(), 1);
    }

    /// A disk that cannot be written to is a warning and leaves nothing half-done (threats T59).
    #[test]
    fn trouble_with_the_disk_is_a_message() {
        let (home, cache) = cache();
        let file = home.path().join("a");
        fs::write(&file, b"in the way").unwrap();
        assert!(cache.save("tdx-1.json", b"one").is_err());
        let (entries, warnings) = cache.load("tdx-", ".json");
        assert_eq!((entries.len(), warnings.len()), (0, 1));
        fs::remove_file(&file).unwrap();
        cache.save("tdx-1.json", b"one").unwrap();
        // The target is a directory: renaming onto it fails, and the temporary file is gone.
        fs::create_dir(cache.dir.join("tdx-2.json")).unwrap();
        assert!(cache.save("tdx-2.json", b"two").is_err());
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), 2);
    }

    #[test]
    fn readers_never_see_half_an_entry() {
        let (_home, cache) = cache();
        let large = |byte: u8| vec![byte; 200_000];
        cache.save("tdx-1.json", &large(b'0')).unwrap();
        std::thread::scope(|scope| {
            for byte in [b'1', b'2'] {
                let cache = &cache;
                scope.spawn(move || (0..20).for_each(|_| cache.save("tdx-1.json", &large(byte)).unwrap()));
            }
            for _ in 0..40 {
                let (entries, warnings) = cache.load("tdx-", ".json");
                assert!(warnings.is_empty());
                let bytes = &entries[0].bytes;
                assert!(bytes.len() == 200_000 && bytes.iter().all(|byte| *byte == bytes[0]));
            }
        });
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), 1);
    }

    /// Names the folder into which [`writes_until_it_is_killed`] writes, in a process of its own.
    const VICTIM: &str = "PROVEIL_TEST_WRITES_INTO";

    /// Part of the next test: does nothing by itself.
    #[test]
    fn writes_until_it_is_killed() {
        let Some(dir) = std::env::var_os(VICTIM) else { return };
        let cache = DiskCache::new(dir.into());
        for byte in (b'a'..=b'z').cycle() {
            cache.save("tdx-1.json", &vec![byte; 500_000]).unwrap();
        }
    }

    /// Threats T24: a process that is killed while it writes leaves a whole entry, and nothing that is taken for one.
    #[test]
    fn a_kill_leaves_whole_entries() {
        let (_home, cache) = cache();
        for round in 0..12 {
            let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "disk::tests::writes_until_it_is_killed"])
                .env(VICTIM, &cache.dir)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            // Some entries are written before the kill, more of them each time.
            let mut seen = Vec::new();
            while seen.len() < 2 + round {
                let entry = cache.load("tdx-", ".json").0.into_iter().next();
                let first = entry.and_then(|entry| entry.bytes.first().copied());
                if first.is_some() && seen.last() != Some(&first) {
                    seen.push(first);
                }
                assert!(victim.try_wait().unwrap().is_none(), "it writes until it is killed");
            }
            victim.kill().unwrap();
            victim.wait().unwrap();
            let (entries, warnings) = cache.load("tdx-", ".json");
            assert!(warnings.is_empty(), "{warnings:?}");
            let bytes = &entries[0].bytes;
            assert!(bytes.len() == 500_000 && bytes.iter().all(|byte| *byte == bytes[0]), "{round}");
        }
        cache.save("tdx-1.json", b"one").unwrap();
        assert_eq!(cache.load("tdx-", ".json").0[0].bytes, b"one");
    }
}
