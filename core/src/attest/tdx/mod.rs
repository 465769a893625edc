//! TDX (being filled).
pub mod rules;
/// Patch level status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcbStatus {
    /// Up to date.
    UpToDate,
    /// Revoked.
    Revoked,
}
impl TcbStatus {
    /// Parses a status name.
    pub fn parse(name: &str) -> Option<TcbStatus> {
        match name {
            "UpToDate" => Some(TcbStatus::UpToDate),
            "Revoked" => Some(TcbStatus::Revoked),
            _ => None,
        }
    }
    /// Name.
    pub const fn name(self) -> &'static str {
        match self {
            TcbStatus::UpToDate => "UpToDate",
            TcbStatus::Revoked => "Revoked",
        }
    }
}
