use proveil_core::Error;

/// The fields of an error that every language shows under these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFields {
    /// `PV-205`.
    pub code: String,
    /// 205.
    pub number: u16,
    /// `key_invalid`.
    pub slug: &'static str,
    /// `VerificationError`, ...: the error class.
    pub class: &'static str,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: &'static str,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The check, field or limit.
    pub check: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// `proveil.report/v1` JSON of the appraisal that led here.
    pub report_json: Option<String>,
}

impl From<&Error> for ErrorFields {
    fn from(error: &Error) -> ErrorFields {
        let row = error.code().row();
        ErrorFields {
            code: error.code().text(),
            number: row.number,
            slug: row.slug,
            class: error.code().class().name(),
            message: error.message(),
            hint: row.hint,
            retryable: row.retryable,
            check: error.check().map(str::to_owned),
            expected: error.expected_value().map(str::to_owned),
            found: error.found_value().map(str::to_owned),
            report_json: error.report_json().map(str::to_owned),
        }
    }
}
