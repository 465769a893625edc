//! Which file is read, and whether it may be. It decides what must hold before a prompt is sent, so nobody else may be able to write it.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proveil::{Code, Error, Result};

use super::environment::FILE_VARIABLE;
use crate::inputs;

/// Largest file of settings.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
const NAME: &str = "config.toml";

/// A place where settings may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    /// `--config`, `PROVEIL_CONFIG`, `user`, `system`.
    pub(crate) from: &'static str,
    /// Named by the user: it is an error if it is not there.
    named: bool,
}

impl Candidate {
    /// True when there is something at the place, be it readable or not.
    pub(crate) fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
    }
}

/// The places in their order; the first that exists is read, and no other. A named one leaves no other.
pub(crate) fn candidates(
    explicit: Option<&Path>,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<Candidate>> {
    if let Some(path) = explicit {
        return Ok(vec![Candidate { path: path.to_owned(), from: "--config", named: true }]);
    }
    if let Some(path) = lookup(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
        // A relative one would mean another file in each directory (threats T57).
        if !path.is_absolute() {
            let error = Error::new(Code::ConfigInvalid).at(FILE_VARIABLE).expected("an absolute path");
            return Err(error.found(path.display().to_string()));
        }
        return Ok(vec![Candidate { path, from: FILE_VARIABLE, named: true }]);
    }
    let user = inputs::config_dir(&lookup).map(|dir| (dir, "user"));
    // Elsewhere than on Unix, everybody may make such a directory.
    let system = cfg!(unix).then(|| (PathBuf::from("/etc/proveil"), "system"));
    let places = [user, system].into_iter().flatten();
    Ok(places.map(|(dir, from)| Candidate { path: dir.join(NAME), from, named: false }).collect())
}

/// The file that counts with its text, if there is one.
pub(super) fn read(candidates: &[Candidate]) -> Result<Option<(PathBuf, String)>> {
    let there = candidates.iter().find(|candidate| candidate.named || candidate.exists());
    there.map(|candidate| read_one(candidate).map(|text| (candidate.path.clone(), text))).transpose()
}

fn read_one(candidate: &Candidate) -> Result<String> {
    let path = &candidate.path;
    let unreadable = |why: String| {
        Error::new(Code::FileUnreadable).at(candidate.from).found(format!("{}: {why}", path.display()))
    };
    let kind = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    // A pipe would be waited for.
    if !kind.is_file() {
        return Err(unreadable("not a plain file".to_owned()));
    }
    refuse_if_shared(path).map_err(|error| error.at(candidate.from))?;
    let bytes = inputs::read(path, candidate.from, FILE_MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|_| unreadable("not UTF-8".to_owned()))
}

/// Fails when somebody else can write the file, or put another one in its place: where it is named, and where links lead to.
#[cfg(unix)]
fn refuse_if_shared(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = fs::canonicalize(path).unwrap_or_else(|_| whole.clone());
    let own = rustix::process::geteuid().as_raw();
    let directories = [whole.parent(), real.parent()].into_iter().flatten();
    for place in std::iter::once(real.as_path()).chain(directories) {
        let refuse = |why: &str| {
            let found = format!("{}: {why}", place.display());
            Error::new(Code::ConfigInvalid)
                .found(found)
                .context("A configuration decides what must hold, so others must not be able to write it.")
        };
        let metadata = fs::metadata(place).map_err(|error| refuse(&error.to_string()))?;
        if is_read_only(place) {
            continue;
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(refuse("others can write to it; `chmod go-w` it"));
        }
        if ![0, own].contains(&metadata.uid()) {
            return Err(refuse("it belongs to somebody else"));
        }
    }
    Ok(())
}

/// On a file system that nobody can write to here, modes say nothing: mounted ConfigMaps are open to all by mode.
#[cfg(unix)]
fn is_read_only(place: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};
    statvfs(place).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(not(unix))]
fn refuse_if_shared(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn places_in_their_order() {
        type Variables = &'static [(&'static str, &'static str)];
        let user = |path: &str| vec![path.to_owned(), "/etc/proveil/config.toml".to_owned()];
        let cases: [(Option<&str>, Variables, Vec<String>); 7] = [
            (Some("x.toml"), &[("PROVEIL_CONFIG", "/a"), ("HOME", "/h")], vec!["x.toml".to_owned()]),
            (None, &[("PROVEIL_CONFIG", "/a/b"), ("HOME", "/h")], vec!["/a/b".to_owned()]),
            (None, &[("PROVEIL_CONFIG", ""), ("HOME", "/h")], user("/h/.config/proveil/config.toml")),
            (None, &[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")], user("/c/proveil/config.toml")),
            (None, &[("XDG_CONFIG_HOME", "c"), ("HOME", "/h")], user("/h/.config/proveil/config.toml")),
            (None, &[("XDG_CONFIG_HOME", "."), ("HOME", ".")], vec!["/etc/proveil/config.toml".to_owned()]),
            (None, &[], vec!["/etc/proveil/config.toml".to_owned()]),
        ];
        for (explicit, variables, expected) in cases {
            let lookup = |name: &str| {
                variables.iter().find(|(have, _)| *have == name).map(|(_, value)| OsString::from(value))
            };
            let found = candidates(explicit.map(Path::new), lookup).unwrap();
            let paths: Vec<String> = found.iter().map(|it| it.path.display().to_string()).collect();
            assert_eq!(paths, expected, "{variables:?}");
        }
        let relative = |name: &str| (name == FILE_VARIABLE).then(|| "config.toml".into());
        assert_eq!(candidates(None, relative).unwrap_err().code(), Code::ConfigInvalid);
    }

    #[test]
    fn the_first_that_exists_is_read_and_no_other() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let write = |path: &Path, text: &str| {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        };
        let place = |name: &str| Candidate { path: home.path().join(name), from: "user", named: false };
        let (first, second) = (place("a.toml"), place("b.toml"));
        let places = [first.clone(), second.clone()];
        assert_eq!(read(&places).unwrap(), None);
        write(&second.path, "two");
        assert_eq!(read(&places).unwrap().unwrap().1, "two");
        write(&first.path, "one");
        assert_eq!(read(&places).unwrap().unwrap().1, "one");
        // A link that leads nowhere is not passed over: what it was meant to say is missing.
        fs::remove_file(&first.path).unwrap();
        std::os::unix::fs::symlink("nowhere", &first.path).unwrap();
        assert_eq!(read(&places).unwrap_err().code(), Code::FileUnreadable);
    }
}
