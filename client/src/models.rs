//! The provider's model list in the form that every language shows.

use proveil_core::Result;
use proveil_core::provider::Provider;

/// `{"models":[...]}` as [`crate::Client::models_json`] describes it.
pub(crate) fn describe(_provider: Provider, list: &[u8]) -> Result<String> {
    proveil_core::provider::inspect("venice.models", list)
}
