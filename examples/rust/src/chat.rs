//! Streams a chat with a proven enclave.
//!
//! ```text
//! VENICE_API_KEY=... chat venice MODEL PROMPT [BASE_URL [COLLATERAL_URL [TRUST_ROOTS.json]]]
//! PRIVATEMODE_API_KEY=... chat privatemode MODEL PROMPT [...]
//! ```
//!
//! The prompt leaves this program only after the enclave is verified, encrypted to the key that was proven. The three optional arguments
//! point at a simulator or a mirror.

use std::io::Write;
use std::process::ExitCode;

use proveil::{
    BaseUrl, ClientConfig, Error, Event, Provider, Result, SecretText, TextField, TrustRoots, blocking,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match chat(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nchat: {error} {}", error.hint());
            ExitCode::from(error.code().row().exit)
        }
    }
}

fn chat(arguments: &[String]) -> Result<()> {
    let argument = |place: usize| arguments.get(place).map(String::as_str);
    let (Some(provider), Some(model), Some(prompt)) = (argument(0), argument(1), argument(2)) else {
        return Err(Error::new(proveil::Code::Usage).expected("PROVIDER MODEL PROMPT"));
    };
    let provider = Provider::parse(provider)?;
    let key = std::env::var(provider.api_key_variable())
        .map_err(|_| Error::new(proveil::Code::MissingApiKey).expected(provider.api_key_variable()))?;

    let mut config = ClientConfig::new(provider, SecretText::new(key));
    config.base_url = argument(3).map(BaseUrl::parse).transpose()?;
    config.collateral_url = argument(4).map(BaseUrl::parse).transpose()?;
    if let Some(path) = argument(5) {
        let file = std::fs::read(path).map_err(|_| Error::new(proveil::Code::FileUnreadable).found(path))?;
        config.roots = TrustRoots::from_json(&file)?;
    }

    let client = blocking::Client::new(config)?;
    let body = serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": prompt }] });
    let mut stream = client.chat(body.to_string().as_bytes())?;
    eprintln!("{}", stream.report().headline());
    while let Some(event) = stream.next() {
        if let Event::Text { choice: 0, field: TextField::Content, text } = event? {
            print!("{text}");
            let _ = std::io::stdout().flush();
        }
    }
    println!();
    Ok(())
}
