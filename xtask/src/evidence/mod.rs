//! Judges libraries of captured evidence and compares with the verdicts that their indexes expect.
//!
//! A library is a directory with `index.json` (samples), and mostly `mutations.json` and `synthetic.json`. One module per kind of
//! evidence turns a library into [`Row`]s; [`KINDS`] lists them. To add a kind: one module with a `judge` function, one line there.

pub mod change;
pub mod composite;
pub mod library;
pub mod nvidia;
mod nvidia_ops;
pub mod snp;
pub mod tdx;

use std::path::{Path, PathBuf};

use library::Library;

/// A group of cases in a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Captured evidence.
    Sample,
    /// Captured evidence with a change.
    Mutation,
    /// Home-made evidence, judged with its own root as trusted root.
    Synthetic,
    /// The same, judged with the vendors' roots: always to be rejected.
    SyntheticUnderVendorRoots,
}

impl Group {
    const ALL: [Group; 4] =
        [Group::Sample, Group::Mutation, Group::Synthetic, Group::SyntheticUnderVendorRoots];

    const fn title(self) -> &'static str {
        match self {
            Group::Sample => "samples",
            Group::Mutation => "mutations",
            Group::Synthetic => "synthetic",
            Group::SyntheticUnderVendorRoots => "synthetic under vendor roots",
        }
    }
}

/// What a verifier made of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// Accepted; with the platform's patch status where there is one.
    Accept(Option<String>),
    /// Rejected, for the reason; with the platform's patch status where it was reached.
    Reject(String, Option<String>),
}

/// What the library expects of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// True for `accept`.
    pub accept: bool,
    /// Reasons that are right for a rejection; none means that any is.
    pub reasons: Vec<String>,
    /// Patch status that must have been found when verification got that far.
    pub tcb_status: Option<String>,
}

/// One judged case.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which group it belongs to.
    pub group: Group,
    /// Id of the case.
    pub id: String,
    /// What the library says.
    pub expected: Expected,
    /// What the verifier says.
    pub got: Got,
    /// Differences between the library's notes and the parsed evidence.
    pub differences: Vec<String>,
}

impl Row {
    /// True when verdict, reason and noted facts are right.
    pub fn is_right(&self) -> bool {
        let verdict = match &self.got {
            Got::Accept(status) => self.expected.accept && self.status_fits(status.as_deref()),
            Got::Reject(reason, status) => {
                !self.expected.accept
                    && (self.expected.reasons.is_empty() || self.expected.reasons.contains(reason))
                    && self.status_fits(status.as_deref())
            }
        };
        verdict && self.differences.is_empty()
    }

    fn status_fits(&self, found: Option<&str>) -> bool {
        match (&self.expected.tcb_status, found) {
            (Some(expected), Some(found)) => expected == found,
            _ => true,
        }
    }

    fn text(&self) -> String {
        let expected = if self.expected.accept { "accept" } else { "reject" };
        let status = |status: &Option<String>| status.clone().unwrap_or_else(|| "-".into());
        let got = match &self.got {
            Got::Accept(found) => format!("accept, status {}", status(found)),
            Got::Reject(reason, found) => format!("reject {reason}, status {}", status(found)),
        };
        format!(
            "  MISMATCH {} {}: expected {expected} {}, status {}; got {got} {}\n",
            self.group.title(),
            self.id,
            self.expected.reasons.join("|"),
            status(&self.expected.tcb_status),
            self.differences.join("; "),
        )
    }
}

/// A kind of evidence that can be judged.
pub struct Kind {
    /// The `kind` of the library's index.
    pub name: &'static str,
    /// Judges every case of a library. An error means that the library cannot be read.
    pub judge: fn(&Library) -> Result<Vec<Row>, String>,
}

/// Every kind that can be judged.
pub const KINDS: &[Kind] = &[
    Kind { name: "snp", judge: snp::judge },
    Kind { name: "tdx", judge: tdx::judge },
    Kind { name: "nvidia", judge: nvidia::judge },
    Kind { name: "composite", judge: composite::judge },
];

/// Result of judging a directory.
#[derive(Debug, Default)]
pub struct Report {
    judged: Vec<(String, Vec<Row>)>,
    not_judged: Vec<String>,
}

impl Report {
    /// True when something was judged and no case differs from what was expected.
    pub fn is_right(&self) -> bool {
        !self.judged.is_empty() && self.rows().all(Row::is_right)
    }

    /// Every judged case.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.judged.iter().flat_map(|(_, rows)| rows)
    }

    /// A table per kind, then each mismatch, then what could not be judged.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (kind, rows) in &self.judged {
            out.push_str(&format!("{kind}\n"));
            out.push_str(
                "  group                         cases  expected accept/reject  got accept/reject  right\n",
            );
            for group in Group::ALL {
                let of_group: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
                if of_group.is_empty() {
                    continue;
                }
                let count = |test: &dyn Fn(&Row) -> bool| of_group.iter().filter(|row| test(row)).count();
                let accepted = |row: &Row| matches!(row.got, Got::Accept(_));
                out.push_str(&format!(
                    "  {:<30}{:>5}{:>18} /{:>4}{:>13} /{:>4}{:>7}\n",
                    group.title(),
                    of_group.len(),
                    count(&|row| row.expected.accept),
                    count(&|row| !row.expected.accept),
                    count(&accepted),
                    count(&|row| !accepted(row)),
                    count(&Row::is_right),
                ));
            }
            for row in rows.iter().filter(|row| !row.is_right()) {
                out.push_str(&row.text());
            }
        }
        for line in &self.not_judged {
            out.push_str(&format!("{line}\n"));
        }
        let wrong = self.rows().filter(|row| !row.is_right()).count();
        out.push_str(&format!("{} cases judged, {wrong} mismatches\n", self.rows().count()));
        out
    }
}

/// `$PROVEIL_EVIDENCE`, or the evidence beside the repository.
pub fn default_dir() -> PathBuf {
    std::env::var_os("PROVEIL_EVIDENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/evidence"), PathBuf::from)
}

/// Judges a library or the libraries in the subdirectories; `kind` restricts to one kind.
pub fn judge(dir: &Path, kind: Option<&str>) -> Result<Report, String> {
    let mut report = Report::default();
    for library in library::find(dir)? {
        if kind.is_some_and(|kind| kind != library.kind) {
            continue;
        }
        match KINDS.iter().find(|known| known.name == library.kind) {
            Some(known) => {
                report.judged.push((library.kind.clone(), (known.judge)(&library)?));
            }
            None => report.not_judged.push(format!(
                "{}: not judged ({} samples, {} mutations, {} synthetic)",
                library.kind,
                library.samples().len(),
                library.mutations().len(),
                library.synthetic().len()
            )),
        }
    }
    if report.judged.is_empty() && report.not_judged.is_empty() {
        return Err(format!("no evidence of kind {} in {}", kind.unwrap_or("any"), dir.display()));
    }
    Ok(report)
}
