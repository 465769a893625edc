//! Errors: one case per class, each with everything that every language shows.

use std::fmt;
use std::sync::Arc;

use proveil_bindings_support::core::error::{Class, Error, Result};
use proveil_bindings_support::{ErrorFields, FlatEvent, guard};

use crate::code::Code;
use crate::values::Event;

/// A failure of Proveil, by class. Match on the case, on `info.id()` or on `info.slug()`, never on the text.
#[derive(Debug, uniffi::Error)]
pub enum ProveilError {
    /// 101-129: the request cannot be sent as it is.
    Input {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 130-199: configuration, policy or files.
    Config {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 2xx: the evidence says no. Nothing was sent.
    Verification {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 3xx: it could not be checked now. Nothing was sent.
    Indeterminate {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 4xx: an answer that is not what the proven key holder sent.
    Integrity {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 5xx: upstream, transport or protocol trouble, truncation.
    Protocol {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 6xx: a bound was exceeded.
    Limit {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 7xx: the API was used against its rules.
    Misuse {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 8xx: local access control.
    Access {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
    /// 9xx: a bug in Proveil.
    Internal {
        /// Everything about it.
        info: Arc<ErrorInfo>,
    },
}

impl fmt::Display for ProveilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProveilError::Input { info }
            | ProveilError::Config { info }
            | ProveilError::Verification { info }
            | ProveilError::Indeterminate { info }
            | ProveilError::Integrity { info }
            | ProveilError::Protocol { info }
            | ProveilError::Limit { info }
            | ProveilError::Misuse { info }
            | ProveilError::Access { info }
            | ProveilError::Internal { info } => fmt::Display::fmt(info, f),
        }
    }
}

impl std::error::Error for ProveilError {}

impl ProveilError {
    /// An error and the events that came out of valid fields before it.
    pub fn after(error: Error, events: Vec<FlatEvent>) -> ProveilError {
        let class = error.code().class();
        let info = Arc::new(ErrorInfo { error, events });
        match class {
            Class::Input => ProveilError::Input { info },
            Class::Config => ProveilError::Config { info },
            Class::Verification => ProveilError::Verification { info },
            Class::Indeterminate => ProveilError::Indeterminate { info },
            Class::Integrity => ProveilError::Integrity { info },
            Class::Protocol => ProveilError::Protocol { info },
            Class::Limit => ProveilError::Limit { info },
            Class::Misuse => ProveilError::Misuse { info },
            Class::Access => ProveilError::Access { info },
            Class::Internal => ProveilError::Internal { info },
        }
    }
}

impl From<Error> for ProveilError {
    fn from(error: Error) -> ProveilError {
        ProveilError::after(error, Vec::new())
    }
}

/// What every exported function gives.
pub type Outcome<T> = std::result::Result<T, ProveilError>;

/// Runs one exported function.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Outcome<T> {
    Ok(guard(work)?)
}

/// Everything about a failure. An object, so that printing an error never prints what was opened before it.
#[derive(uniffi::Object)]
#[uniffi::export(Debug, Display)]
pub struct ErrorInfo {
    error: Error,
    events: Vec<FlatEvent>,
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

#[uniffi::export]
impl ErrorInfo {
    /// The cause, for exhaustive matching.
    pub fn id(&self) -> Code {
        self.error.code().into()
    }

    /// `PV-205`.
    pub fn code(&self) -> String {
        self.error.code().text()
    }

    /// 205.
    pub fn number(&self) -> u16 {
        self.error.code().number()
    }

    /// `key_invalid`.
    pub fn slug(&self) -> String {
        self.error.slug().to_owned()
    }

    /// What happened.
    pub fn message(&self) -> String {
        self.error.message()
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        self.error.hint().to_owned()
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        self.error.retryable()
    }

    /// What was compared.
    pub fn details(&self) -> ErrorDetails {
        let ErrorFields { check, expected, found, .. } = ErrorFields::from(&self.error);
        ErrorDetails { check, expected, found }
    }

    /// `proveil.report/v1` JSON of the appraisal that led here, when there was one.
    pub fn report(&self) -> Option<String> {
        self.error.report_json().map(str::to_owned)
    }

    /// What valid fields of the same piece said before the one that failed.
    pub fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().map(Event::from).collect()
    }
}

/// What was compared; never a secret.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ErrorDetails {
    /// The check, field or limit.
    pub check: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}
