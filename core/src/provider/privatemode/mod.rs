//! Privatemode AI (protocols/privatemode.md): which parts of a request and an answer are sealed, in which order, and what goes with them.
//!
//! The deployment knows one key and counts fields; names, clear members, paths and headers are not authenticated (5.3). So everything
//! that stays clear is checked on both ways, and nothing that a gateway could have written becomes an answer.

mod answer;
mod appraise;
mod channel;
mod chunk;
mod evidence;
mod exchange;
mod failure;
mod headers;
mod inspect;
mod models;
mod ocsp;
mod options;
mod plain;
mod plan;
mod salt;
mod shard_key;
mod stream;
mod version;

pub use answer::{AnswerForm, AnswerPart, OpenedDocument, answer_form, is_same_model, open_document};
pub use appraise::ManifestOrigin;
pub use chunk::{Output, StreamUsage};
pub(crate) use evidence::appraise_capture;
pub use evidence::{CapturedExchange, PrivatemodeEvidence};
pub(crate) use exchange::PrivatemodeExchange;
pub use headers::{HeaderFacts, caller_header_passes, request_headers, request_id};
pub(super) use inspect::inspect;
pub use models::{Model, accept_models, models_request, parse_models};
pub use ocsp::{OcspPolicy, OcspRule, OcspStatus};
pub use options::{GpuRevocation, Leniency, PrivatemodeOptions};
pub use plain::{
    ClearRequest, Direction, check_clear_form, check_clear_request, check_clear_response, plain_members,
};
pub use plan::{Content, FileNames, Hex, MessageSize, PlanOptions, RequestPlan, plan};
pub use salt::{SharedSalt, caller_salt, inject_salt};
pub use shard_key::{ShardKey, shard_key_of};
pub use stream::AnswerOpener;
pub use version::ClientVersion;
