//! The models of the simulated deployment (privatemode.md 8): names of its own, tasks as the real ones.

use proveil_core::wire::json::Json;

use crate::forge::{object, string};

/// Generates, thinks first, calls tools.
pub const REASONER: &str = "openai/sim-oss-120b";
/// Generates, calls tools, sees.
pub const VISION: &str = "sim-kimi-2";
/// Embeds.
pub const EMBEDDER: &str = "sim-embedding-4b";
/// Transcribes.
pub const TRANSCRIBER: &str = "openai/sim-whisper-3";

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Identifier.
    pub id: &'static str,
    /// Another name under which requests may ask for it.
    pub alias: Option<&'static str>,
    /// What it does.
    pub tasks: &'static [&'static str],
    /// Whether it thinks first.
    pub reasoning: bool,
}

/// All models.
pub const MODELS: [Model; 4] = [
    Model {
        id: REASONER,
        alias: Some("sim-oss-120b"),
        tasks: &["generate", "tool_calling"],
        reasoning: true,
    },
    Model { id: VISION, alias: None, tasks: &["generate", "tool_calling", "vision"], reasoning: false },
    Model { id: EMBEDDER, alias: None, tasks: &["embed"], reasoning: false },
    Model { id: TRANSCRIBER, alias: None, tasks: &["transcribe"], reasoning: false },
];

/// The model with this id or alias that does this task.
pub fn find(id: &str, task: &str) -> Option<&'static Model> {
    let named = |model: &&Model| model.id == id || model.alias == Some(id);
    MODELS.iter().filter(|model| model.tasks.contains(&task)).find(named)
}

/// Body of `GET /v1/models`.
pub fn list() -> Json {
    object([("object", string("list")), ("data", Json::Array(MODELS.iter().map(entry).collect()))])
}

/// Body of `GET /v1/models/<id>`.
pub fn detail(id: &str) -> Option<Json> {
    MODELS.iter().find(|model| model.id == id).map(entry)
}

fn entry(model: &Model) -> Json {
    let tasks = model.tasks.iter().map(|task| string(*task));
    object([
        ("id", string(model.id)),
        ("object", string("model")),
        ("created", Json::Number(1_760_000_000_u64.into())),
        ("owned_by", string("vllm")),
        ("tasks", Json::Array(tasks.collect())),
    ])
}
