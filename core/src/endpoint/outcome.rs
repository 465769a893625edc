//! The three outcomes of a verification.

use super::VerifiedEndpoint;
use crate::error::Error;
use crate::report::Report;

/// How a verification ended. Only `Verified` can send.
#[derive(Debug)]
pub enum Outcome {
    /// Every check that counts passed.
    Verified(VerifiedEndpoint),
    /// The evidence says no. The error carries the report too.
    Refused(Report, Error),
    /// It could not be checked now. The error carries the report too.
    Indeterminate(Report, Error),
}

impl Outcome {
    /// The report, whatever the outcome.
    pub const fn report(&self) -> &Report {
        match self {
            Outcome::Verified(endpoint) => endpoint.report(),
            Outcome::Refused(report, _) | Outcome::Indeterminate(report, _) => report,
        }
    }

    /// The endpoint, or the error with the report attached.
    pub fn into_result(self) -> Result<VerifiedEndpoint, Error> {
        match self {
            Outcome::Verified(endpoint) => Ok(endpoint),
            Outcome::Refused(_, error) | Outcome::Indeterminate(_, error) => Err(error),
        }
    }
}
