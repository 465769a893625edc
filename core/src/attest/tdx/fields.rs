//! Strict access to members of Intel's signed JSON. The signature is already good when these are used; a member of another form
//! means a document of another kind, which is refused.

use std::cmp::Reverse;

use super::checks;
use crate::claims::TcbStatus;
use crate::error::{Code, Error, Result};
use crate::pki::time;
use crate::wire::hex;
use crate::wire::json::Json;

/// An object of a signed document, with the check that a failure names.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Json,
    check: &'static str,
}

impl<'a> Fields<'a> {
    /// Wraps a value that must be an object.
    pub(super) fn new(object: &'a Json, check: &'static str) -> Result<Fields<'a>> {
        let fields = Fields { object, check };
        if object.as_object().is_some() { Ok(fields) } else { Err(fields.unexpected("object")) }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        self.object.get(name).and_then(Json::as_str).ok_or_else(|| self.unexpected(name))
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<T> {
        let number = self.object.get(name).and_then(Json::as_u64);
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| self.unexpected(name))
    }

    pub(super) fn hex<const N: usize>(&self, name: &str) -> Result<[u8; N]> {
        hex::decode_array(self.text(name)?).ok_or_else(|| self.unexpected(name))
    }

    pub(super) fn date(&self, name: &str) -> Result<u64> {
        time::unix_seconds(self.text(name)?).ok_or_else(|| self.unexpected(name))
    }

    pub(super) fn object(&self, name: &str) -> Result<Fields<'a>> {
        let object = self.object.get(name).ok_or_else(|| self.unexpected(name))?;
        Fields::new(object, self.check)
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields<'a>>> {
        let elements = self.object.get(name).and_then(Json::as_array).ok_or_else(|| self.unexpected(name))?;
        elements.iter().map(|element| Fields::new(element, self.check)).collect()
    }

    /// Like [`Fields::objects`]; an absent member is an empty list.
    pub(super) fn optional_objects(&self, name: &str) -> Result<Vec<Fields<'a>>> {
        if self.object.get(name).is_none() { Ok(Vec::new()) } else { self.objects(name) }
    }

    /// A list of texts; an absent member is an empty list.
    pub(super) fn optional_texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.object.get(name) else { return Ok(Vec::new()) };
        let texts = value.as_array().ok_or_else(|| self.unexpected(name))?;
        texts
            .iter()
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(|| self.unexpected(name)))
            .collect()
    }

    /// Refuses unless a member has exactly this text.
    pub(super) fn require_text(&self, name: &str, wanted: &str) -> Result<()> {
        let found = self.text(name)?;
        if found == wanted { Ok(()) } else { Err(self.unexpected(name).expected(wanted).found(found)) }
    }

    /// Refuses unless a member is exactly this number.
    pub(super) fn require_number(&self, name: &str, wanted: u64) -> Result<()> {
        let found: u64 = self.number(name)?;
        if found == wanted {
            return Ok(());
        }
        Err(self.unexpected(name).expected(wanted.to_string()).found(found.to_string()))
    }

    /// The status word of a level.
    pub(super) fn status(&self) -> Result<TcbStatus> {
        let word = self.text("tcbStatus")?;
        TcbStatus::from_word(word)
            .ok_or_else(|| Error::new(Code::TcbStatusRefused).at(checks::UNKNOWN_STATUS).found(word))
    }

    fn unexpected(&self, name: &str) -> Error {
        Error::new(Code::CollateralMismatch).at(self.check).context(format!("Unexpected member: {name}."))
    }
}

/// The judgement attached to a level.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub status: TcbStatus,
    pub date: u64,
    pub advisories: Vec<String>,
}

impl Verdict {
    pub(super) fn read(level: &Fields<'_>) -> Result<Verdict> {
        Ok(Verdict {
            status: level.status()?,
            date: level.date("tcbDate")?,
            advisories: level.optional_texts("advisoryIDs")?,
        })
    }
}

/// A level of a component that has one security version number: a TDX module or the quoting enclave.
#[derive(Clone, Debug)]
pub(super) struct SvnLevel {
    pub svn: u16,
    pub verdict: Verdict,
}

impl SvnLevel {
    /// Reads `tcbLevels`, newest first. Components know three states only; another would have no rule for combining.
    pub(super) fn read_all(owner: &Fields<'_>) -> Result<Vec<SvnLevel>> {
        let mut levels = Vec::new();
        for level in owner.objects("tcbLevels")? {
            let verdict = Verdict::read(&level)?;
            if !matches!(verdict.status, TcbStatus::UpToDate | TcbStatus::OutOfDate | TcbStatus::Revoked) {
                return Err(Error::new(Code::TcbStatusRefused)
                    .at(checks::UNKNOWN_STATUS)
                    .found(verdict.status.word()));
            }
            levels.push(SvnLevel { svn: level.object("tcb")?.number("isvsvn")?, verdict });
        }
        levels.sort_by_key(|level| Reverse(level.svn));
        Ok(levels)
    }

    /// The newest level that `svn` reaches.
    pub(super) fn reached(levels: &[SvnLevel], svn: u16) -> Option<&SvnLevel> {
        levels.iter().find(|level| level.svn <= svn)
    }
}
