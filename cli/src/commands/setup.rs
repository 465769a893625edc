//! `proveil setup APP`: settings of common apps for the local proxy, ready to be copied.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proveil::core::wire::nearest;
use proveil::{Code, Error, Provider, Result};
use serde_json::{Value, json};

use crate::args;
use crate::config::{self, Loaded};
use crate::failure::Stop;
use crate::output::{Output, wrap};
use crate::proxy::served;

/// Where the proxy listens when nobody says otherwise.
const DEFAULT_PORT: u16 = 9876;

/// An app.
struct App {
    name: &'static str,
    about: &'static str,
    /// Where each text goes, and the text: `{base}`, `{origin}`, `{key}` and `{model}` are filled in.
    settings: &'static [(&'static str, &'static str)],
    note: Option<&'static str>,
}

const fn app(
    name: &'static str,
    about: &'static str,
    settings: &'static [(&'static str, &'static str)],
    note: Option<&'static str>,
) -> App {
    App { name, about, settings, note }
}

const SHELL: &str = "in the shell";

static APPS: &[App] = &[
    app(
        "openai-python",
        "the OpenAI library for Python",
        &[
            (SHELL, "export OPENAI_BASE_URL={base}\nexport OPENAI_API_KEY={key}"),
            (
                "or in the program",
                "from openai import OpenAI\n\nclient = OpenAI(base_url=\"{base}\", api_key=\"{key}\")\n\
                 answer = client.chat.completions.create(\n    model=\"{model}\",\n    \
                 messages=[{\"role\": \"user\", \"content\": \"Hello\"}],\n)\nprint(answer.choices[0].message.content)",
            ),
        ],
        None,
    ),
    app(
        "openai-node",
        "the OpenAI library for Node",
        &[
            (SHELL, "export OPENAI_BASE_URL={base}\nexport OPENAI_API_KEY={key}"),
            (
                "or in the program",
                "import OpenAI from \"openai\";\n\nconst client = new OpenAI({ baseURL: \"{base}\", apiKey: \"{key}\" });\n\
                 const answer = await client.chat.completions.create({\n  model: \"{model}\",\n  \
                 messages: [{ role: \"user\", content: \"Hello\" }],\n});\nconsole.log(answer.choices[0].message.content);",
            ),
        ],
        None,
    ),
    app(
        "anthropic",
        "Anthropic's library for Python, and tools that take its variables",
        &[
            (SHELL, "export ANTHROPIC_BASE_URL={origin}\nexport ANTHROPIC_API_KEY={key}"),
            (
                "or in the program",
                "from anthropic import Anthropic\n\nclient = Anthropic(base_url=\"{origin}\", api_key=\"{key}\")\n\
                 answer = client.messages.create(\n    model=\"{model}\",\n    max_tokens=1024,\n    \
                 messages=[{\"role\": \"user\", \"content\": \"Hello\"}],\n)\nprint(answer.content[0].text)",
            ),
        ],
        Some(
            "For Venice's models `/v1/messages` is made of a sealed chat: it takes texts only, and no tools.",
        ),
    ),
    app(
        "litellm",
        "the LiteLLM proxy",
        &[(
            "in config.yaml",
            "model_list:\n  - model_name: private\n    litellm_params:\n      model: openai/{model}\n      \
             api_base: {base}\n      api_key: {key}",
        )],
        Some(
            "Name no `fallbacks` to other services: LiteLLM would send them the prompt in clear when a model here is refused. \
             `[models]` in the configuration falls back among verified endpoints only.",
        ),
    ),
    app(
        "open-webui",
        "Open WebUI",
        &[
            (SHELL, "export OPENAI_API_BASE_URL={base}\nexport OPENAI_API_KEY={key}"),
            ("or on its page", "Admin Panel > Settings > Connections > OpenAI API\nURL  {base}\nKey  {key}"),
        ],
        Some(
            "In a container, 127.0.0.1 is the container itself: give it the host's network, or have the proxy listen where it can be \
             reached, with `client_tokens_file` and the name in `hosts`.",
        ),
    ),
    app(
        "aider",
        "aider",
        &[(
            SHELL,
            "export OPENAI_API_BASE={base}\nexport OPENAI_API_KEY={key}\naider --model openai/{model}",
        )],
        None,
    ),
    app(
        "continue",
        "Continue, in an editor",
        &[(
            "in ~/.continue/config.yaml",
            "name: Private\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: Private\n    provider: openai\n    \
             model: {model}\n    apiBase: {base}\n    apiKey: {key}\n    roles: [chat, edit, apply]",
        )],
        None,
    ),
    app(
        "llm",
        "the command `llm`",
        &[
            (
                "in extra-openai-models.yaml, beside the file that `llm logs path` names",
                "- model_id: private\n  model_name: {model}\n  api_base: \"{base}\"\n  api_key_name: proveil",
            ),
            (SHELL, "llm keys set proveil --value {key}\nllm -m private Hello"),
        ],
        None,
    ),
    app(
        "langchain",
        "LangChain for Python",
        &[(
            "in the program",
            "from langchain_openai import ChatOpenAI\n\nchat = ChatOpenAI(\n    base_url=\"{base}\",\n    \
             api_key=\"{key}\",\n    model=\"{model}\",\n)\nprint(chat.invoke(\"Hello\").content)",
        )],
        None,
    ),
    app(
        "ai-sdk",
        "the Vercel AI SDK",
        &[(
            "in the program",
            "import { createOpenAICompatible } from \"@ai-sdk/openai-compatible\";\nimport { generateText } from \"ai\";\n\n\
             const proveil = createOpenAICompatible({\n  name: \"proveil\",\n  baseURL: \"{base}\",\n  apiKey: \"{key}\",\n});\n\
             const { text } = await generateText({\n  model: proveil(\"{model}\"),\n  prompt: \"Hello\",\n});\nconsole.log(text);",
        )],
        None,
    ),
    app(
        "curl",
        "curl",
        &[(
            SHELL,
            "curl {base}/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\\n  -H 'Content-Type: application/json' \\\n  \
             -d '{\"model\": \"{model}\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'",
        )],
        None,
    ),
];

pub(super) fn run(args: &args::Setup, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    match &args.app {
        Some(name) => show(find(name)?, args.model.as_deref(), &config::load(file)?, output),
        None => list(output),
    }
}

fn find(name: &str) -> Result<&'static App> {
    APPS.iter().find(|app| app.name == name).ok_or_else(|| {
        let error = Error::new(Code::Usage).at("APP").found(name);
        match nearest(name, APPS.iter().map(|app| app.name)) {
            Some(near) => error.context(format!("Did you mean `{near}`? `proveil setup` lists all.")),
            None => error.context("`proveil setup` lists all."),
        }
    })
}

fn list(output: &Output) -> Result<u8, Stop> {
    if output.is_json() {
        let apps: Vec<Value> =
            APPS.iter().map(|app| json!({ "name": app.name, "about": app.about })).collect();
        output.document(&json!({ "schema": "proveil.setup-list/v1", "apps": apps }))?;
        return Ok(0);
    }
    let mut text = String::new();
    for app in APPS {
        text.push_str(&format!("{:<15}{}\n", app.name, app.about));
    }
    text.push_str("\n`proveil setup APP` prints the settings. Anything else that takes a base URL of OpenAI's API works as well.\n");
    output.result(&text)?;
    Ok(0)
}

fn show(app: &App, model: Option<&str>, loaded: &Loaded, output: &Output) -> Result<u8, Stop> {
    let named = loaded.config.proxy.providers.clone().unwrap_or_default();
    let providers = served::providers(&named, loaded)?;
    let place = Place::of(&providers, loaded);
    let model = model.map_or_else(|| model_for(&providers, loaded), str::to_owned);
    // It is put between quotes of four languages.
    if !model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/:@+".contains(&byte)) {
        let error = Error::new(Code::InvalidArgument).at("--model").found(model);
        return Err(error.expected("letters, digits and -._/:@+").into());
    }
    let settings: Vec<(&str, String)> =
        app.settings.iter().map(|(where_to, text)| (*where_to, place.fill(text, &model))).collect();
    let notes: Vec<String> = app.note.map(str::to_owned).into_iter().chain(place.notes.clone()).collect();
    if output.is_json() {
        let texts: Vec<Value> =
            settings.iter().map(|(where_to, text)| json!({ "where": where_to, "text": text })).collect();
        output.document(&json!({
            "schema": "proveil.setup/v1",
            "app": app.name,
            "base_url": format!("{}/v1", place.origin),
            "model": model,
            "settings": texts,
            "notes": notes,
        }))?;
        return Ok(0);
    }
    let mut text = String::new();
    for (where_to, setting) in &settings {
        text.push_str(&format!("# {where_to}\n{setting}\n\n"));
    }
    for note in &notes {
        text.push_str(&format!("{}\n\n", wrap(note)));
    }
    text.push_str("Start the proxy first: proveil proxy\n");
    output.result(&text)?;
    Ok(0)
}

/// The first alias, else a model of the first provider that is served.
fn model_for(providers: &[Provider], loaded: &Loaded) -> String {
    let example = || match providers.first() {
        Some(Provider::Privatemode) => "privatemode/gpt-oss-120b",
        Some(Provider::Venice) | None => "venice/e2ee-glm-5-2-p",
    };
    loaded.config.models.keys().next().cloned().unwrap_or_else(|| example().to_owned())
}

/// What apps send as their key, and what is to be said about it. Apps want one even where the proxy has the real one.
fn key_for(providers: &[Provider], loaded: &Loaded) -> (&'static str, Option<String>) {
    let tokens = loaded.config.proxy.client_tokens_file.as_ref();
    let keys: Vec<(Provider, bool)> =
        providers.iter().map(|provider| (*provider, served::has_key(*provider, loaded))).collect();
    let whose = served::whose_callers_bring_keys(&keys, tokens.is_some());
    match (whose, tokens) {
        (Err(error), _) => {
            let key = if tokens.is_some() { "YOUR-TOKEN" } else { "YOUR-API-KEY" };
            let at = error.check().unwrap_or_default();
            (key, Some(format!("With these settings the proxy does not start: {} ({at})", error.message())))
        }
        (Ok(_), Some(file)) => {
            ("YOUR-TOKEN", Some(format!("YOUR-TOKEN stands for a line of {}.", file.display())))
        }
        (Ok(Some(provider)), None) => {
            let name = provider.name();
            let why = "the proxy has none of its own, and passes on what the app sends";
            ("YOUR-API-KEY", Some(format!("YOUR-API-KEY stands for a key of {name}: {why}.")))
        }
        (Ok(None), None) => ("proveil", None),
    }
}

/// Where the proxy is reached, and what callers must send.
struct Place {
    /// Without path.
    origin: String,
    key: &'static str,
    notes: Vec<String>,
}

impl Place {
    fn of(providers: &[Provider], loaded: &Loaded) -> Place {
        let proxy = &loaded.config.proxy;
        let listen = proxy.listen.as_deref().and_then(|text| text.parse::<SocketAddr>().ok());
        let mut address = listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT));
        // On all addresses it is reached by the loopback one too.
        match address.ip() {
            ip if !ip.is_unspecified() => {}
            IpAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        }
        let mut notes = Vec::new();
        if address.port() == 0 {
            notes.push(
                "The configured port is 0, a free one: take the address that the proxy prints.".to_owned(),
            );
        }
        let (key, note) = key_for(providers, loaded);
        notes.extend(note);
        if proxy.tls_cert.is_some() {
            notes.push("The app must trust the proxy's certificate, and call it by a name in it.".to_owned());
        }
        if proxy.tls_client_ca.is_some() {
            notes.push("The app must send a client certificate.".to_owned());
        }
        let scheme = if proxy.tls_cert.is_some() { "https" } else { "http" };
        Place { origin: format!("{scheme}://{address}"), key, notes }
    }

    fn fill(&self, text: &str, model: &str) -> String {
        text.replace("{base}", &format!("{}/v1", self.origin))
            .replace("{origin}", &self.origin)
            .replace("{key}", self.key)
            .replace("{model}", model)
    }
}
