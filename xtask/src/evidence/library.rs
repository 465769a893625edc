//! Reading a directory of evidence: its three JSON files and the files they name.

use std::path::{Path, PathBuf};

use proveil_core::wire::json::Json;

use super::Expected;

/// A directory with an `index.json`.
pub struct Library {
    /// The directory.
    pub dir: PathBuf,
    /// `kind` of the index.
    pub kind: String,
    index: Json,
    mutations: Option<Json>,
    /// `synthetic.json`, if present.
    pub synthetic: Option<Json>,
}

/// The library in `dir`, or those in its subdirectories in order of name.
pub fn find(dir: &Path) -> Result<Vec<Library>, String> {
    if dir.join("index.json").is_file() {
        return Ok(vec![Library::open(dir)?]);
    }
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut dirs: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    dirs.retain(|dir| dir.join("index.json").is_file());
    dirs.sort();
    dirs.iter().map(|dir| Library::open(dir)).collect()
}

impl Library {
    fn open(dir: &Path) -> Result<Library, String> {
        let index = read_json(&dir.join("index.json"))?;
        let optional = |name: &str| {
            let path = dir.join(name);
            if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
        };
        Ok(Library {
            dir: dir.to_owned(),
            kind: text(&index, "kind")?.to_owned(),
            mutations: optional("mutations.json")?,
            synthetic: optional("synthetic.json")?,
            index,
        })
    }

    /// The captured samples.
    pub fn samples(&self) -> &[Json] {
        self.index.get("samples").and_then(Json::as_array).unwrap_or_default()
    }

    /// The sample with this id.
    pub fn sample(&self, id: &str) -> Result<&Json, String> {
        self.samples()
            .iter()
            .find(|sample| sample.get("id").and_then(Json::as_str) == Some(id))
            .ok_or_else(|| format!("no sample {id}"))
    }

    /// The changes to samples.
    pub fn mutations(&self) -> &[Json] {
        let list = self.mutations.as_ref().and_then(|file| file.get("mutations"));
        list.and_then(Json::as_array).unwrap_or_default()
    }

    /// The home-made cases.
    pub fn synthetic(&self) -> &[Json] {
        let list = self.synthetic.as_ref().and_then(|file| file.get("cases"));
        list.and_then(Json::as_array).unwrap_or_default()
    }

    /// Content of the file that a sample names under a role.
    pub fn file(&self, sample: &Json, role: &str) -> Result<Vec<u8>, String> {
        let files = sample.get("files").ok_or("a sample has no files")?;
        let path = self.dir.join(text(files, role)?);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The expectation of a case: `expected` with `reason` or `reason_any`, and `observed` beside it where it is a list.
pub fn expected(case: &Json) -> Result<Expected, String> {
    let expected = case.get("expected").ok_or("a case has no expectation")?;
    let mut reasons: Vec<String> = Vec::new();
    reasons.extend(expected.get("reason").and_then(Json::as_str).map(str::to_owned));
    for list in [expected.get("reason_any"), case.get("observed")] {
        let texts = list.and_then(Json::as_array).unwrap_or_default();
        reasons.extend(texts.iter().filter_map(Json::as_str).map(str::to_owned));
    }
    Ok(Expected {
        accept: text(expected, "verdict")? == "accept",
        reasons,
        tcb_status: expected.get("tcb_status").and_then(Json::as_str).map(str::to_owned),
    })
}

/// A text member.
pub fn text<'a>(object: &'a Json, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Json::as_str).ok_or_else(|| format!("no text member {name}"))
}

/// A number member.
pub fn number(object: &Json, name: &str) -> Result<u64, String> {
    object.get(name).and_then(Json::as_u64).ok_or_else(|| format!("no number member {name}"))
}

fn read_json(path: &Path) -> Result<Json, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Json::parse(&bytes).map_err(|error| format!("{}: {error:?}", path.display()))
}
