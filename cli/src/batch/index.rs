//! Which rows there are and which of them are done, in 20 bytes and a bit for each: a million rows are no burden.

use std::collections::BTreeMap;

use proveil::core::crypto::sha256;
use proveil::{Code, Error, Result};

use super::input::Rows;

/// Of a `custom_id`. Two that share it would be taken for duplicates; nobody gets there by chance.
type Digest = [u8; 16];

/// How the lines of the output are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) done: u64,
    /// By code.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Of both, what an earlier run wrote.
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Answers and errors.
    pub(crate) fn lines(&self) -> u64 {
        self.done.saturating_add(self.failures())
    }

    pub(crate) fn fail(&mut self, code: &str) {
        let count = self.failed.entry(code.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}

/// All rows of an input.
pub(crate) struct Index {
    /// Sorted.
    rows: Vec<(Digest, u32)>,
    done: Vec<bool>,
}

/// Reads the whole input once. Fails where a line has no `custom_id`, and where two have the same.
pub(crate) fn survey(mut rows: Rows) -> Result<Index> {
    let mut found: Vec<(Digest, u32)> = Vec::new();
    let mut lines: Vec<u32> = Vec::new();
    while let Some(row) = rows.advance()? {
        let too_many = |_| Error::new(Code::LimitExceeded).at("rows");
        found.push((digest(&row.custom_id), u32::try_from(found.len()).map_err(too_many)?));
        lines.push(u32::try_from(rows.line()).map_err(too_many)?);
    }
    found.sort_unstable();
    let pairs = found.windows(2).filter_map(|pair| match pair {
        [(a, first), (b, second)] if a == b => Some((*second, *first)),
        _ => None,
    });
    if let Some((second, first)) = pairs.min() {
        let line = |row: u32| usize::try_from(row).ok().and_then(|row| lines.get(row)).copied().unwrap_or(0);
        let place = usize::try_from(line(second)).unwrap_or(usize::MAX);
        let error = Error::new(Code::InvalidArgument)
            .expected("a `custom_id` of its own for each row")
            .context(format!("Lines {} and {} have the same `custom_id`.", line(first), line(second)));
        return Err(rows.at_line(error, 1).in_text(place, 1));
    }
    let done = vec![false; found.len()];
    Ok(Index { rows: found, done })
}

impl Index {
    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    /// The place of a row in the input, from 0.
    pub(super) fn find(&self, custom_id: &str) -> Option<usize> {
        let digest = digest(custom_id);
        let place = self.rows.binary_search_by(|(have, _)| have.cmp(&digest)).ok()?;
        self.rows.get(place).and_then(|(_, row)| usize::try_from(*row).ok())
    }

    pub(super) fn is_done(&self, row: usize) -> bool {
        self.done.get(row).copied().unwrap_or(false)
    }

    /// False when it was done before.
    pub(super) fn set_done(&mut self, row: usize) -> bool {
        self.done.get_mut(row).is_some_and(|done| !std::mem::replace(done, true))
    }
}

fn digest(custom_id: &str) -> Digest {
    let whole = sha256(&[custom_id.as_bytes()]);
    let mut half = Digest::default();
    half.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(ids: &[&str]) -> Result<Index> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.jsonl");
        let lines: String = ids.iter().map(|id| format!("{{\"custom_id\":\"{id}\"}}\n\n")).collect();
        std::fs::write(&path, lines).unwrap();
        survey(Rows::open(&path, proveil::Provider::Venice).unwrap())
    }

    #[test]
    fn rows_are_found() {
        let mut index = index(&["b", "a", "c"]).unwrap();
        assert_eq!(index.rows(), 3);
        let places = ["a", "b", "c", "d"].map(|id| index.find(id));
        assert_eq!(places, [Some(1), Some(0), Some(2), None]);
        assert!(!index.is_done(1) && index.set_done(1) && index.is_done(1) && !index.set_done(1));
        assert!(!index.is_done(0) && !index.is_done(7) && !index.set_done(7));
    }

    #[test]
    fn duplicates_are_named_by_their_lines() {
        let error = index(&["a", "b", "c", "b", "a"]).err().unwrap();
        assert_eq!((error.code(), error.place()), (Code::InvalidArgument, Some((7, 1))));
        assert!(error.message().contains("Lines 3 and 7"), "{}", error.message());
    }
}
