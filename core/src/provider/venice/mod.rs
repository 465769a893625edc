//! Venice AI (being filled).
use super::exchange::{ExchangeConfig, Step};
use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::evidence::TdxCollateral;
use crate::http::{HttpResponse, TransportFailure};
#[derive(Debug)]
pub(crate) struct VeniceExchange;
impl VeniceExchange {
    pub fn new(_config: ExchangeConfig, _rng: &mut dyn SecureRandom) -> Result<VeniceExchange> {
        Ok(VeniceExchange)
    }
    pub fn next(&mut self, _at: u64) -> Result<Step> {
        Err(Error::new(Code::Internal))
    }
    pub fn feed(&mut self, _response: HttpResponse) -> Result<()> {
        Ok(())
    }
    pub fn fail(&mut self, _failure: TransportFailure) -> Result<()> {
        Ok(())
    }
    pub fn fetched_collateral(&self) -> &[TdxCollateral] {
        &[]
    }
    pub fn fetched_model_list(&self) -> Option<&[u8]> {
        None
    }
    pub fn evidence(&self) -> Option<(&[u8], &[u8; 32])> {
        None
    }
}
