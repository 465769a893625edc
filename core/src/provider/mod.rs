//! Providers: which bytes go where. Quote parsing, chains, sealing and framing are shared parts above this module.

mod appraise;
mod collateral;
mod endorsements;
mod exchange;
mod inspect;
mod inspect_input;
mod node;
pub mod privatemode;
mod reports;
pub mod venice;

pub use appraise::{EvidenceInput, ProviderEvidence, appraise, appraise_endorsed};
pub use exchange::{Exchange, ExchangeConfig, Step};
pub use inspect::{INSPECT_KINDS, inspect, open_field, opener_for_key, seal_field};
pub use reports::{RecordedReport, ReportShape, appraise_report};

use crate::error::{Code, Error, Result};
use crate::wire::nearest;

/// A provider of private inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Venice AI.
    Venice,
    /// Privatemode AI.
    Privatemode,
}

impl Provider {
    /// All providers.
    pub const ALL: &[Provider] = &[Provider::Venice, Provider::Privatemode];

    /// Name in every interface.
    pub const fn name(self) -> &'static str {
        match self {
            Provider::Venice => "venice",
            Provider::Privatemode => "privatemode",
        }
    }

    /// Public base URL.
    pub const fn default_base_url(self) -> &'static str {
        match self {
            Provider::Venice => "https://api.venice.ai/api/v1",
            Provider::Privatemode => "https://api.privatemode.ai",
        }
    }

    /// Environment variable that holds the API key.
    pub const fn api_key_variable(self) -> &'static str {
        match self {
            Provider::Venice => "VENICE_API_KEY",
            Provider::Privatemode => "PRIVATEMODE_API_KEY",
        }
    }

    /// The provider of this name; fails with `unknown_provider`, naming the nearest.
    pub fn parse(name: &str) -> Result<Provider> {
        Provider::ALL.iter().copied().find(|provider| provider.name() == name).ok_or_else(|| {
            let names = Provider::ALL.iter().map(|provider| provider.name());
            let error = Error::new(Code::UnknownProvider)
                .found(name)
                .expected(names.clone().collect::<Vec<_>>().join(", "));
            match nearest(name, names) {
                Some(near) => error.context(format!("Did you mean `{near}`?")),
                None => error,
            }
        })
    }
}
