//! Evidence (being filled).
use crate::error::Result;
/// Collateral.
#[derive(Clone, Debug)]
pub struct TdxCollateral;
impl TdxCollateral {
    /// Reads the nine-string form.
    pub fn from_json(_json: &[u8]) -> Result<TdxCollateral> {
        Ok(TdxCollateral)
    }
    /// Writes the nine-string form.
    pub fn to_json(&self) -> String {
        String::new()
    }
}
