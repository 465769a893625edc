//! The table against the surfaces, in both directions; and the names in a C header.

use std::collections::BTreeSet;

use proveil_core::wire::nearest;

use super::table::Table;
use super::{Item, Surface};

/// Every difference, one line each.
pub fn differences(table: &Table, surfaces: &[Surface]) -> Vec<String> {
    let mut found = Vec::new();
    for surface in surfaces {
        found.extend(missing(table, surface));
        found.extend(unnamed(table, surface));
    }
    found
}

/// Names of the table that the language does not have.
fn missing(table: &Table, surface: &Surface) -> Vec<String> {
    let there: BTreeSet<&str> = surface.items.iter().map(|item| item.name.as_str()).collect();
    let language = surface.language;
    let mut found = Vec::new();
    for entry in &table.entries {
        for name in entry.names[language as usize].iter().filter(|name| !there.contains(name.as_str())) {
            found.push(format!(
                "{}: {} has no `{name}` (docs/surface.toml, {}){}",
                language.artefact(),
                language.key(),
                entry.about,
                hint(name, there.iter().copied())
            ));
        }
    }
    found
}

/// Names of the language that no entry names.
fn unnamed(table: &Table, surface: &Surface) -> Vec<String> {
    let language = surface.language;
    let column = || table.entries.iter().map(|entry| (entry, &entry.names[language as usize]));
    let named: BTreeSet<&str> = column().flat_map(|(_, names)| names.iter().map(String::as_str)).collect();
    let opaque: BTreeSet<&str> = column()
        .filter(|(entry, _)| entry.opaque)
        .flat_map(|(_, names)| names.iter().map(String::as_str))
        .collect();
    let has_to_be_named = |item: &Item| match &item.parent {
        None => item.exported,
        Some(parent) => named.contains(parent.as_str()) && !opaque.contains(parent.as_str()),
    };
    surface
        .items
        .iter()
        .filter(|item| has_to_be_named(item) && !named.contains(item.name.as_str()))
        .map(|item| {
            format!(
                "{}: {} `{}` is in no entry of docs/surface.toml{}",
                item.file,
                language.key(),
                item.name,
                hint(&item.name, named.iter().copied())
            )
        })
        .collect()
}

fn hint<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or(String::new(), |near| format!("; the nearest is `{near}`"))
}

/// Functions, types, fields of structures, and constants but those of the error registry, of a header.
pub fn c_items(header: &str, file: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut structure: Option<String> = None;
    let mut comment = false;
    for line in header.lines() {
        let code = line.trim();
        comment |= code.starts_with("/*");
        if comment {
            comment = !code.ends_with("*/");
            continue;
        }
        let item = |name: &str, parent: Option<&String>| Item {
            name: name.to_owned(),
            parent: parent.cloned(),
            exported: true,
            file: file.to_owned(),
        };
        if let Some(parent) = structure.clone() {
            if code.starts_with('}') {
                structure = None;
            } else if let Some(field) = code.strip_suffix(';').and_then(last_word) {
                items.push(item(&format!("{parent}.{field}"), Some(&parent)));
            }
        } else if let Some(rest) = code.strip_prefix("typedef ") {
            let name = match rest.strip_suffix('{') {
                Some(head) => last_word(head),
                None => rest.strip_suffix(';').and_then(last_word),
            };
            let Some(name) = name else { continue };
            items.push(item(name, None));
            structure = rest.ends_with('{').then(|| name.to_owned());
        } else if let Some(rest) = code.strip_prefix("#define ") {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let of_registry = name.starts_with("PV_ERR_") || name.starts_with("PV_CLASS_");
            if name.starts_with("PV_") && !of_registry {
                items.push(item(name, None));
            }
        } else if let Some((head, _)) = code.split_once('(')
            && let Some(name) = last_word(head)
            && name.starts_with("pv_")
        {
            items.push(item(name, None));
        }
    }
    items
}

/// The identifier at the end.
fn last_word(text: &str) -> Option<&str> {
    let word = text.trim_end().rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    const TABLE: &str = "[reasons]\nidiom = 'x'\n[[idea]]\nabout = 'proof'\nrust = 'a::Proof'\nc = 'pv_proof'\n\
                         python = 'Proof'\nnode = 'Proof'\nuniffi = 'Proof'\n[idea.members]\nmodel = {}\n\
                         seal = { without = ['c'], why = 'idiom' }\n\
                         [[idea]]\nabout = 'bytes'\nopaque = true\nc = 'pv_buf'\nwhy = 'idiom'\n";

    const HEADER: &str = "/** A pv_thing(). */\n#define PV_ERR_X 1\ntypedef struct pv_proof pv_proof;\n\
                          typedef struct pv_buf {\n    /** a; */\n    size_t len;\n} pv_buf;\n\
                          const char *pv_proof_model(const pv_proof *proof,\n                   int x);\n";

    fn c(header: &str) -> Vec<String> {
        let surface = Surface { language: Language::C, items: c_items(header, "a.h") };
        differences(&Table::parse(TABLE).unwrap(), &[surface])
    }

    #[test]
    fn a_header_that_agrees() {
        assert!(c(HEADER).is_empty(), "{:?}", c(HEADER));
        let names: Vec<String> = c_items(HEADER, "a.h").into_iter().map(|item| item.name).collect();
        assert_eq!(names, ["pv_proof", "pv_buf", "pv_buf.len", "pv_proof_model"]);
    }

    #[test]
    fn what_the_header_lacks_is_named_with_language_and_file() {
        let found = c(&HEADER.replace("pv_proof_model(", "pv_proof_modal("));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("include/proveil.h: c has no `pv_proof_model`"), "{found:?}");
        assert!(found[1].contains("a.h: c `pv_proof_modal` is in no entry"), "{found:?}");
        assert!(found[1].ends_with("the nearest is `pv_proof_model`"), "{found:?}");
    }

    #[test]
    fn what_the_table_lacks_is_found_for_functions_types_and_constants() {
        for more in ["void pv_other(void);\n", "typedef struct pv_other pv_other;\n", "#define PV_OTHER 1\n"]
        {
            assert_eq!(c(&format!("{HEADER}{more}")).len(), 1, "{more}");
        }
        // An exception in the table holds only while it is one.
        assert_eq!(c(&format!("{HEADER}int pv_proof_seal(void);\n")).len(), 1);
    }
}
