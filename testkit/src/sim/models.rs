//! The simulated catalogue: every privacy mode, and names that must not be trusted (venice.md 1.2).

use proveil_core::wire::json::Json;

use crate::forge::{object, string};

/// End-to-end encrypted, served in the NEAR manner unless the configuration says otherwise.
pub const E2EE: &str = "e2ee-sim-27b";
/// End-to-end encrypted, with `reasoning_content` before the answer.
pub const E2EE_REASONING: &str = "e2ee-sim-reasoner-p";
/// Attested but not encrypted.
pub const TEE: &str = "tee-sim-9b";
/// Private by promise.
pub const PRIVATE: &str = "sim-open-70b";
/// Relayed to somebody else without the caller's name.
pub const ANONYMOUS: &str = "sim-frontier-1";
/// Named like an encrypted model, but it is not one.
pub const NAME_ONLY: &str = "e2ee-sim-name-only";

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Identifier.
    pub id: &'static str,
    /// Name at the upstream.
    pub upstream: &'static str,
    /// `private` or `anonymized`.
    pub privacy: &'static str,
    /// `supportsTeeAttestation`
    pub attested: bool,
    /// `supportsE2EE`
    pub e2ee: bool,
    /// `supportsReasoning`
    pub reasoning: bool,
}

const fn text(id: &'static str, upstream: &'static str, privacy: &'static str, level: u8) -> Model {
    Model { id, upstream, privacy, attested: level >= 1, e2ee: level >= 2, reasoning: level >= 3 }
}

/// The catalogue.
pub const MODELS: [Model; 6] = [
    text(E2EE, "Simulated/Sim-27B", "private", 2),
    text(E2EE_REASONING, "Simulated/Sim-Reasoner", "private", 3),
    text(TEE, "Simulated/Sim-9B", "private", 1),
    text(PRIVATE, "Simulated/Sim-70B", "private", 0),
    text(ANONYMOUS, "simulated-frontier-1", "anonymized", 0),
    text(NAME_ONLY, "Simulated/Sim-Plain", "private", 0),
];

/// The model with this id.
pub fn find(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

/// Body of `GET /models`.
pub fn list() -> Json {
    let mut data: Vec<Json> = MODELS.iter().map(entry).collect();
    data.push(object([
        ("id", string("sim-image-1")),
        ("type", string("image")),
        ("object", string("model")),
        ("model_spec", object([("privacy", string("private"))])),
    ]));
    object([("object", string("list")), ("type", string("all")), ("data", Json::Array(data))])
}

fn entry(model: &Model) -> Json {
    let capabilities = object([
        ("supportsTeeAttestation", Json::Bool(model.attested)),
        ("supportsE2EE", Json::Bool(model.e2ee)),
        ("supportsFunctionCalling", Json::Bool(true)),
        ("supportsReasoning", Json::Bool(model.reasoning)),
        ("supportsWebSearch", Json::Bool(!model.attested)),
        ("supportsVision", Json::Bool(false)),
        ("supportsLogProbs", Json::Bool(false)),
        ("supportsResponseSchema", Json::Bool(true)),
    ]);
    let spec = object([
        ("name", string(model.upstream)),
        ("privacy", string(model.privacy)),
        ("capabilities", capabilities),
        ("availableContextTokens", Json::Number(32_768u64.into())),
        ("constraints", object([("temperature", object([("default", Json::Number(1u64.into()))]))])),
    ]);
    object([
        ("id", string(model.id)),
        ("type", string("text")),
        ("object", string("model")),
        ("owned_by", string("venice.ai")),
        ("created", Json::Number(1_780_000_000u64.into())),
        ("model_spec", spec),
    ])
}
