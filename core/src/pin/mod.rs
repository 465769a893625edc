//! Pinned software: what an endpoint was seen to run, kept by the host, and compared with what it runs now (README, decision 6).
//!
//! Owns what is pinned, the comparison, the difference in words (which register, which event of the log, which line of the application
//! description) and the form of a file of pins. Keeping that file is the host's. A pin can only refuse: it is no reference value, it
//! raises no level, and nothing here makes an endpoint.

mod compose;
mod difference;
mod document;
mod lines;
mod software;

pub use difference::{Difference, differences};
pub use document::{PINS_SCHEMA, read_pins, write_pins};
pub use software::{LogEvent, Software};

use crate::error::{Code, Error};
use crate::policy::Appraisal;
use crate::report::Roots;
use crate::wire::hex;

/// Id of the check.
pub(crate) const CHECK: &str = "software.pin";

/// What a pin is for: the endpoint as a client names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinKey {
    /// Provider name.
    pub provider: String,
    /// Model id.
    pub model: String,
    /// Where the provider is reached.
    pub base_url: String,
}

/// Software that an endpoint was seen to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The endpoint.
    pub key: PinKey,
    /// Whose signatures were accepted when it was pinned.
    pub roots: Roots,
    /// When it was pinned, in seconds since 1970-01-01T00:00:00Z.
    pub pinned_at: u64,
    /// What it ran.
    pub software: Software,
}

/// Compares what was measured with the pin, if there is one. `found` is `None` when no quote verified, so that nothing is known to be
/// measured.
pub(crate) fn check(
    appraisal: &mut Appraisal<'_>,
    pin: Option<&Pin>,
    found: Option<&Software>,
) -> Vec<Difference> {
    let Some(pin) = pin else { return Vec::new() };
    let Some(found) = found else {
        let error = Error::new(Code::RequiredCheckNotMade).at(CHECK);
        appraisal.fail("", CHECK, error.found("no verified measurements to compare with the pin"));
        return Vec::new();
    };
    let (old, new) = (pin.software.sha256(), found.sha256());
    if old == new {
        appraisal.pass_with("", CHECK, hex::short(&new));
        return Vec::new();
    }
    let differences = differences(&pin.software, found);
    for (i, difference) in differences.iter().enumerate() {
        appraisal.fact(format!("pin.difference.{}", i.saturating_add(1)), difference.to_string());
    }
    appraisal.fact("pin.pinned", hex::encode(&old));
    appraisal.fact("pin.found", hex::encode(&new));
    let places: Vec<&str> = differences.iter().map(Difference::place).take(4).collect();
    let more = if differences.len() > places.len() { ", ..." } else { "" };
    appraisal.fail(
        "",
        CHECK,
        Error::new(Code::SoftwareChanged)
            .at(CHECK)
            .expected(hex::short(&old))
            .found(hex::short(&new))
            .context(format!("They differ in {}{more}.", places.join(", "))),
    );
    differences
}
