//! One provider as the proxy sees it: how its client is made, the client of the proxy's own API key or one for each key that callers
//! bring along, and the model list.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proveil::core::provider::privatemode::SharedSalt;
use proveil::{
    Client, ClientConfig, Code, Error, Notice, Observer, Provider, Result, SecretText, TrustRoots,
};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use super::gate::Caller;
use crate::api::CALLERS_KEY;
use crate::args::{self, Connection, Rules};
use crate::config::Loaded;
use crate::inputs;
use crate::output::Output;
use crate::secrets::{self, KeySource};

/// Clients of callers that bring their own keys; the one that was used longest ago goes first.
const CALLERS_MAX: usize = 64;
/// How long a model list is believed.
const LIST_AGE: Duration = Duration::from_secs(300);
/// How long an old list does when a new one cannot be had.
const LIST_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How the client of a provider is made, again and again as files change.
pub(crate) struct Recipe {
    pub(crate) provider: Provider,
    connection: Connection,
    rules: Rules,
    loaded: Arc<Loaded>,
    roots: Option<TrustRoots>,
    key: Key,
    cache_salt: Option<Arc<SharedSalt>>,
}

enum Key {
    /// A file or the environment.
    Own,
    /// What a simulator takes.
    Fixed(SecretText),
    /// Another variable than the usual one.
    Variable(&'static str),
    /// Callers bring theirs.
    Caller,
}

impl Recipe {
    /// What flags and configuration say about a provider. With `single`, flags about the connection are about this provider.
    pub(super) fn new(
        provider: Provider,
        args: &args::Proxy,
        loaded: &Arc<Loaded>,
        single: bool,
    ) -> Result<Recipe> {
        if !single && args.connection.names_an_address() {
            return Err(Error::new(Code::Usage).at("--base-url").context(
                "Addresses and keys on the command line go with one `--provider`; for several use the configuration file.",
            ));
        }
        let compatible = &args.compatible;
        let connection = args.connection.clone();
        let literal = compatible.api_key.as_deref().filter(|key| !key.starts_with('@'));
        let source = secrets::proxy_source(provider, connection.api_key_file.as_deref(), loaded);
        let key = match (literal, source) {
            (Some(key), _) if provider == Provider::Privatemode => {
                Key::Fixed(SecretText::new(key.to_owned()))
            }
            (_, KeySource::Variable(name)) if name != provider.api_key_variable() => Key::Variable(name),
            (_, KeySource::None) => Key::Caller,
            (_, KeySource::File(..) | KeySource::Variable(_)) => Key::Own,
        };
        let mut rules = args.rules.clone();
        if provider != Provider::Privatemode {
            rules.privatemode = args::Privatemode::default();
        }
        let cache_salt = cache_salt(provider, compatible, loaded)?;
        Ok(Recipe { provider, connection, rules, loaded: loaded.clone(), roots: None, key, cache_salt })
    }

    /// A simulated provider.
    pub(super) fn simulated(
        provider: Provider,
        connection: Connection,
        rules: Rules,
        roots: TrustRoots,
    ) -> Recipe {
        let key = Key::Fixed(SecretText::new("simulated".to_owned()));
        Recipe {
            provider,
            connection,
            rules,
            loaded: Arc::default(),
            roots: Some(roots),
            key,
            cache_salt: None,
        }
    }

    pub(super) fn has_own_key(&self) -> bool {
        !matches!(self.key, Key::Caller)
    }

    /// Files whose change calls for another client.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let configured = self.loaded.provider(self.provider);
        let key = match secrets::source(self.provider, self.connection.api_key_file.as_deref(), &self.loaded)
        {
            KeySource::File(path, _) if path.as_os_str() != "-" => Some(path),
            _ => None,
        };
        let policy = self.rules.policy.clone().or(configured.policy);
        let named = [
            key,
            self.connection.ca_bundle.clone().or(configured.ca_bundle),
            self.rules.privatemode.manifest.clone().or(configured.manifest),
            policy.map(PathBuf::from).filter(|path| path.is_file()),
        ];
        named.into_iter().flatten().collect()
    }

    fn own_key(&self, output: &Output) -> Result<Option<SecretText>> {
        let file = self.connection.api_key_file.as_deref();
        Ok(match &self.key {
            Key::Caller => None,
            Key::Fixed(key) => Some(key.duplicate()),
            Key::Variable(name) => Some(secrets::from_variable(name)?),
            Key::Own => Some(secrets::api_key(self.provider, file, &self.loaded, output)?),
        })
    }

    fn config(&self, key: SecretText, output: &Output) -> Result<ClientConfig> {
        let rules = Some(&self.rules);
        let mut config =
            inputs::client_config(self.provider, &self.connection, rules, &self.loaded, key, output)?;
        if let Some(roots) = &self.roots {
            config.roots = roots.clone();
            config.cache_dir = None;
            config.pins = None;
        }
        if let Some(salt) = &self.cache_salt {
            config.privatemode.cache_salt = Some(salt.clone());
        }
        Ok(config)
    }
}

/// The salt that all callers share, if they share one (T50: each request has its own otherwise).
fn cache_salt(
    provider: Provider,
    flags: &args::Compatible,
    loaded: &Loaded,
) -> Result<Option<Arc<SharedSalt>>> {
    const KEY: &str = "provider.privatemode.prompt_cache_salt_file";
    let configured = loaded.provider(provider);
    let shared = flags.shared_prompt_cache.or(configured.shared_prompt_cache) == Some(true);
    if provider != Provider::Privatemode || !shared {
        return Ok(None);
    }
    let salt = match (&flags.prompt_cache_salt, &configured.prompt_cache_salt_file) {
        (Some(salt), _) => SecretText::new(salt.clone()),
        (None, Some(path)) => secrets::one_line(path, &loaded.name_of(KEY))?,
        (None, None) => fresh_salt()?,
    };
    Ok(Some(Arc::new(SharedSalt::new(salt)?)))
}

/// A salt that nobody knows, the same for all callers of this process.
fn fresh_salt() -> Result<SecretText> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| Error::new(Code::RandomFailed))?;
    Ok(SecretText::new(proveil::core::wire::hex::encode(&bytes)))
}

/// A provider that is served.
pub(super) struct Upstream {
    recipe: Arc<Recipe>,
    output: Output,
    /// The client of the proxy's own key.
    own: Option<Client>,
    callers: Mutex<VecDeque<(String, Client)>>,
    list: AsyncMutex<Option<(Instant, Arc<Vec<Model>>)>>,
}

/// A model that takes sealed requests.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) id: String,
    /// What it does, where the provider says so.
    pub(super) tasks: Vec<String>,
    pub(super) context_tokens: Option<u64>,
}

impl Upstream {
    /// Makes the client. Fails with the configuration family; opens no connection.
    pub(super) fn new(recipe: Arc<Recipe>, output: Output) -> Result<Upstream> {
        let own = match recipe.own_key(&output)? {
            Some(key) => Some(Client::observed(recipe.config(key, &output)?, observer(recipe.provider))?),
            None => None,
        };
        Ok(Upstream { recipe, output, own, callers: Mutex::default(), list: AsyncMutex::default() })
    }

    /// The same with the files as they are now.
    pub(super) fn anew(&self) -> Result<Upstream> {
        Upstream::new(self.recipe.clone(), self.output)
    }

    pub(super) fn provider(&self) -> Provider {
        self.recipe.provider
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.recipe.files()
    }

    /// The client of the proxy's own key, which can verify before anybody calls.
    pub(super) fn own(&self) -> Option<&Client> {
        self.own.as_ref()
    }

    /// The client for a caller. T56: where callers bring their own keys, nothing of one client reaches another caller.
    pub(super) fn client(&self, caller: &Caller) -> Result<Client> {
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        let key = caller.key.as_ref().ok_or_else(|| Error::new(Code::MissingApiKey).at(CALLERS_KEY))?;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = callers.iter().position(|(id, _)| *id == caller.id)
            && let Some(entry) = callers.remove(place)
        {
            let client = entry.1.clone();
            callers.push_back(entry);
            return Ok(client);
        }
        let config = self.recipe.config(key.duplicate(), &self.output.silent())?;
        let client = Client::observed(config, observer(self.recipe.provider))?;
        if callers.len() >= CALLERS_MAX {
            callers.pop_front();
        }
        callers.push_back((caller.id.clone(), client.clone()));
        Ok(client)
    }

    /// An error of the provider with its culprit: a key that it does not accept is the caller's mistake where the caller brought it.
    pub(super) fn blamed(&self, error: Error) -> Error {
        let callers = error.code() == Code::UpstreamUnauthorized && self.own.is_none();
        if callers { error.at(CALLERS_KEY) } else { error }
    }

    /// The models that take sealed requests. All who wait share one fetch.
    pub(super) async fn models(&self, client: &Client) -> Result<Arc<Vec<Model>>> {
        let mut list = self.list.lock().await;
        if let Some((since, models)) = &*list
            && since.elapsed() < LIST_AGE
        {
            return Ok(models.clone());
        }
        match client.models_json().await {
            Ok(json) => {
                let models = Arc::new(read_models(&json)?);
                *list = Some((Instant::now(), models.clone()));
                Ok(models)
            }
            Err(error) => match &*list {
                Some((since, models)) if since.elapsed() < LIST_AGE_MAX => Ok(models.clone()),
                _ => Err(self.blamed(error)),
            },
        }
    }
}

fn read_models(json: &str) -> Result<Vec<Model>> {
    let broken = || Error::new(Code::MalformedResponse).at("models");
    let document: Value = serde_json::from_str(json).map_err(|_| broken())?;
    let entries = document.get("models").and_then(Value::as_array).ok_or_else(broken)?;
    let sealed = entries.iter().filter(|entry| entry.get("class").and_then(Value::as_str) == Some("e2ee"));
    let model = |entry: &Value| {
        let tasks = entry.get("tasks").and_then(Value::as_array);
        let texts = tasks.into_iter().flatten().filter_map(Value::as_str);
        Some(Model {
            id: entry.get("id")?.as_str()?.to_owned(),
            tasks: texts.map(str::to_owned).collect(),
            context_tokens: entry.get("context_tokens").and_then(Value::as_u64),
        })
    };
    Ok(sealed.filter_map(model).collect())
}

/// What a client tells goes to the log: purposes and warnings, never content.
fn observer(provider: Provider) -> Observer {
    Arc::new(move |notice| match notice {
        Notice::Sending(purpose) => tracing::debug!(provider = provider.name(), purpose, "sending"),
        Notice::Retrying { why } => tracing::info!(provider = provider.name(), why, "trying again"),
        Notice::Warning(text) => tracing::warn!(provider = provider.name(), "{text}"),
        _ => {}
    })
}
