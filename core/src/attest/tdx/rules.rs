//! Rules (being filled).
use super::TcbStatus;
/// An accepted status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedStatus {
    /// Status.
    pub status: TcbStatus,
    /// Advisories.
    pub advisories: Vec<String>,
}
/// Rules over claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxPolicy {
    /// Accepted statuses.
    pub accepted: Vec<AcceptedStatus>,
    /// Floor.
    pub min_tcb_evaluation_data_number: u32,
    /// SEPT_VE_DISABLE must be set.
    pub require_sept_ve_disable: bool,
    /// PERFMON allowed.
    pub allow_perfmon: bool,
    /// Service TD allowed.
    pub allow_service_td: bool,
}
impl TdxPolicy {
    /// Relaxations in words.
    pub fn relaxations(&self) -> Vec<String> {
        Vec::new()
    }
}
impl Default for TdxPolicy {
    fn default() -> Self {
        TdxPolicy {
            accepted: vec![AcceptedStatus { status: TcbStatus::UpToDate, advisories: Vec::new() }],
            min_tcb_evaluation_data_number: 17,
            require_sept_ve_disable: true,
            allow_perfmon: false,
            allow_service_td: false,
        }
    }
}
