//! `docs/surface.toml`: what it may hold, and all its names written out.
//!
//! Names follow from the Rust one: `Policy::from_json` is `pv_policy_from_json`, `Policy.from_json`, `Policy.fromJson`. An entry says
//! only what deviates from that, and then also why.

use std::collections::BTreeSet;
use std::fmt::Write;

use toml::{Table as Toml, Value};

use super::Language;

/// One idea or method.
pub struct Entry {
    /// What it is, for messages.
    pub about: String,
    /// Its names per language, in the order of [`Language::ALL`]; none where the language has no such thing.
    pub names: [Vec<String>; 5],
    /// Members of this type are not compared.
    pub opaque: bool,
    /// Key of the reason for what deviates.
    why: Option<String>,
}

/// The whole table.
pub struct Table {
    /// Types, and after each its members.
    pub entries: Vec<Entry>,
    reasons: BTreeSet<String>,
}

/// How names of members follow from that of their type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Methods: `pv_policy_name`.
    Type,
    /// Fields of a structure: `pv_buf.len`.
    Record,
    /// Values: `Verdict::Verified`, `PV_VERDICT_VERIFIED`. In C the type itself is no name.
    Enum,
    /// Free functions; the type itself is no name.
    Module,
}

impl Table {
    /// Reads the file; anything unknown is an error.
    pub fn parse(text: &str) -> Result<Table, String> {
        let file: Toml = text.parse().map_err(|error| format!("docs/surface.toml: {error}"))?;
        known(&file, &["reasons", "idea"], "docs/surface.toml")?;
        let reasons = file.get("reasons").and_then(Value::as_table).ok_or("docs/surface.toml: no reasons")?;
        let mut table = Table { entries: Vec::new(), reasons: reasons.keys().cloned().collect() };
        let ideas = file.get("idea").and_then(Value::as_array).ok_or("docs/surface.toml: no idea")?;
        for idea in ideas {
            let idea = idea.as_table().ok_or("docs/surface.toml: an idea is not a table")?;
            table.read_idea(idea)?;
        }
        Ok(table)
    }

    fn read_idea(&mut self, idea: &Toml) -> Result<(), String> {
        let about = idea.get("about").and_then(Value::as_str).ok_or("an idea without `about`")?;
        let place = format!("docs/surface.toml: {about}");
        known(
            idea,
            &["about", "kind", "opaque", "why", "members", "rust", "c", "python", "node", "uniffi"],
            &place,
        )?;
        let kind = match idea.get("kind").and_then(Value::as_str) {
            None => Kind::Type,
            Some("record") => Kind::Record,
            Some("enum") => Kind::Enum,
            Some("module") => Kind::Module,
            Some(other) => return Err(format!("{place}: unknown kind `{other}`")),
        };
        let names = Language::ALL.map(|language| texts(idea.get(language.key())));
        let why = idea.get("why").and_then(Value::as_str).map(str::to_owned);
        let everywhere = names.iter().all(|names| !names.is_empty());
        if everywhere == why.is_some() {
            return Err(format!("{place}: `why` goes with an absent column, and only with one"));
        }
        let opaque = idea.get("opaque").and_then(Value::as_bool).unwrap_or(false);
        let mut own = names.clone();
        if kind == Kind::Module {
            own = Default::default();
        }
        if kind == Kind::Enum {
            own[Language::C as usize] = Vec::new();
        }
        self.entries.push(Entry { about: about.to_owned(), names: own, opaque, why });
        let none = Toml::new();
        let members = idea.get("members").and_then(Value::as_table).unwrap_or(&none);
        for (member, deviations) in members {
            let place = format!("{about}: {member}");
            let entry = read_member(member, deviations.as_table().unwrap_or(&none), &names, kind)
                .map_err(|error| format!("docs/surface.toml: {place}: {error}"))?;
            self.entries.push(Entry { about: place, ..entry });
        }
        Ok(())
    }

    /// Reasons that are used but not given, given but not used, or not told in the decision record.
    pub fn unexplained(&self, record: &str) -> Vec<String> {
        let used: BTreeSet<&String> = self.entries.iter().filter_map(|entry| entry.why.as_ref()).collect();
        let mut found = Vec::new();
        for key in &used {
            if !self.reasons.contains(*key) {
                found.push(format!("docs/surface.toml: reason `{key}` is not under [reasons]"));
            }
        }
        for key in &self.reasons {
            if !used.contains(key) {
                found.push(format!("docs/surface.toml: reason `{key}` is not used"));
            }
            if !record.contains(&format!("`{key}`")) {
                found.push(format!("docs/adr/0009-surface.md does not explain `{key}`"));
            }
        }
        found
    }

    /// Every entry with all names.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for entry in &self.entries {
            // Writing to a String cannot fail; so below.
            let _ = write!(out, "{}", entry.about);
            for (language, names) in Language::ALL.iter().zip(&entry.names) {
                let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
                let _ = write!(out, "\n    {:<7} {names}", language.key());
            }
            let _ =
                writeln!(out, "{}", entry.why.as_ref().map_or(String::new(), |why| format!("\n    ({why})")));
        }
        out
    }
}

fn read_member(
    member: &str,
    deviations: &Toml,
    parents: &[Vec<String>; 5],
    kind: Kind,
) -> Result<Entry, String> {
    known(deviations, &["rust", "c", "python", "node", "uniffi", "only", "without", "why"], "member")?;
    let (only, without) = (texts(deviations.get("only")), texts(deviations.get("without")));
    let mut names: [Vec<String>; 5] = Default::default();
    let mut deviates = false;
    for language in Language::ALL {
        let usual = usual_names(language, member, &parents[language as usize], kind);
        let key = language.key().to_owned();
        let given = texts(deviations.get(&key));
        let named_out = without.contains(&key);
        let left_out = named_out || (!only.is_empty() && !only.contains(&key));
        if (named_out && usual.is_empty()) || (left_out && !given.is_empty()) {
            return Err(format!("`{key}` is left out twice, or left out and named"));
        }
        if !given.is_empty() && given == usual {
            return Err(format!("`{key}` needs no name: {} follows from the type's", usual.join(", ")));
        }
        deviates |= (left_out && !usual.is_empty()) || !given.is_empty();
        names[language as usize] = match (left_out, given.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => usual,
            (false, false) => given,
        };
    }
    let why = deviations.get("why").and_then(Value::as_str).map(str::to_owned);
    if deviates != why.is_some() {
        return Err("`why` goes with a deviation, and only with one".to_owned());
    }
    if names.iter().all(Vec::is_empty) {
        return Err("no language has it".to_owned());
    }
    Ok(Entry { about: String::new(), names, opaque: false, why })
}

/// Names that follow from those of the type.
fn usual_names(language: Language, member: &str, parents: &[String], kind: Kind) -> Vec<String> {
    let value = kind == Kind::Enum;
    let join = |parent: &String| match language {
        Language::Rust if value => format!("{parent}::{}", upper_camel(member)),
        Language::Rust => format!("{parent}::{member}"),
        Language::C if value => format!("{parent}_{}", member.to_uppercase()),
        Language::C if kind == Kind::Record => format!("{parent}.{member}"),
        Language::C => format!("{parent}_{member}"),
        Language::Uniffi if value => format!("{parent}.{}", upper_camel(member)),
        Language::Python | Language::Node if value => format!("{parent}.{member}"),
        Language::Python if parent == "." => member.to_owned(),
        Language::Python => format!("{parent}.{member}"),
        Language::Node | Language::Uniffi if parent == "." => lower_camel(member),
        Language::Node | Language::Uniffi => format!("{parent}.{}", lower_camel(member)),
    };
    parents.iter().map(join).collect()
}

/// `from_json` as `fromJson`.
pub fn lower_camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &upper_camel(word))
}

/// `from_json` as `FromJson`.
fn upper_camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
        })
        .collect()
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn known(table: &Toml, keys: &[&str], place: &str) -> Result<(), String> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("{place}: unknown key `{key}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[reasons]\nidiom = 'x'\n[[idea]]\nabout = 'proof'\nrust = 'a::Proof'\nc = 'pv_proof'\n\
                        python = 'Proof'\nnode = 'Proof'\nuniffi = 'Proof'\n[idea.members]\n";

    #[test]
    fn names_follow_from_the_type() {
        let table = Table::parse(&format!(
            "{HEAD}not_after = {{}}\nclose = {{ only = ['c', 'node'], c = 'pv_proof_free', why = 'idiom' }}\n"
        ))
        .unwrap();
        let names = |index: usize| table.entries[index].names.concat().join(" ");
        assert_eq!(
            names(2),
            "a::Proof::not_after pv_proof_not_after Proof.not_after Proof.notAfter Proof.notAfter"
        );
        assert_eq!(names(1), "pv_proof_free Proof.close");
        assert!(table.unexplained("`idiom`: because").is_empty());
        assert_eq!(table.unexplained("").len(), 1, "the record must tell the reason");
    }

    #[test]
    fn deviations_need_a_reason_and_reasons_a_deviation() {
        for bad in [
            "seal = { without = ['c'] }",
            "seal = { why = 'idiom' }",
            "seal = { node = 'Proof.seal', why = 'idiom' }",
            "seal = { only = ['c'], node = 'x', why = 'idiom' }",
            "seal = { jvm = 'x' }",
            "seal = {}\nseal = {}",
        ] {
            assert!(Table::parse(&format!("{HEAD}{bad}\n")).is_err(), "{bad}");
        }
        let unused = Table::parse(&format!("{HEAD}seal = {{}}\n")).unwrap();
        assert_eq!(unused.unexplained("`idiom`").len(), 1, "a reason that nothing uses");
        let missing = Table::parse(&format!("{HEAD}seal = {{ without = ['c'], why = 'other' }}\n")).unwrap();
        assert_eq!(missing.unexplained("`idiom`").len(), 2, "not given, and one not used");
    }

    #[test]
    fn an_absent_column_needs_a_reason() {
        assert!(Table::parse(&HEAD.replace("c = 'pv_proof'\n", "")).is_err());
        assert!(Table::parse(&HEAD.replace("c = 'pv_proof'\n", "why = 'idiom'\n")).is_ok());
    }
}
