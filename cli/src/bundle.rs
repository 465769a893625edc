//! Captures on disk: a directory of plain files, or one file.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use proveil::core::bundle::EvidenceBundle;
use proveil::core::limits::EVIDENCE_BUNDLE_MAX_BYTES;
use proveil::{Code, Error, Report, Result};

use crate::inputs;

/// The report of the time of the capture, beside the evidence. Nothing reads it to decide.
const REPORT_FILE: &str = "report.json";
const FLAG: &str = "--evidence";

/// Reads a capture.
pub(crate) fn read(place: &Path) -> Result<EvidenceBundle> {
    let kind = fs::metadata(place).map_err(|error| {
        Error::new(Code::FileUnreadable).at(FLAG).found(format!("{}: {error}", place.display()))
    })?;
    if !kind.is_dir() {
        let limit = u64::try_from(EVIDENCE_BUNDLE_MAX_BYTES).unwrap_or(u64::MAX);
        return EvidenceBundle::from_json(&inputs::read(place, FLAG, limit)?);
    }
    EvidenceBundle::from_files(&mut |name, max| {
        let path = place.join(name);
        // A pipe or device would be waited for.
        if fs::metadata(&path).is_ok_and(|kind| !kind.is_file()) {
            let found = format!("{}: not a plain file", path.display());
            return Err(Error::new(Code::FileUnreadable).at(FLAG).found(found));
        }
        inputs::read(&path, FLAG, u64::try_from(max).unwrap_or(u64::MAX))
    })
}

/// Refuses a place that holds something already.
pub(crate) fn check_place(place: &Path, flag: &str) -> Result<()> {
    let unwritable =
        |why: String| Error::new(Code::FileUnwritable).at(flag).found(format!("{}: {why}", place.display()));
    match fs::read_dir(place).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unwritable("the directory is not empty".to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(error.to_string())),
    }
}

/// Writes a capture, and the report of its time. Nothing is ever replaced.
pub(crate) fn write(place: &Path, flag: &str, bundle: &EvidenceBundle, report: &Report) -> Result<()> {
    check_place(place, flag)?;
    let failed = |path: &Path, error: std::io::Error| {
        Error::new(Code::FileUnwritable).at(flag).found(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(place).map_err(|error| failed(place, error))?;
    let mut files: Vec<(String, Vec<u8>)> =
        bundle.to_files().into_iter().map(|file| (file.name, file.bytes)).collect();
    files.push((REPORT_FILE.to_owned(), format!("{}\n", report.to_json()).into_bytes()));
    for (name, bytes) in files {
        let path = place.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
