//! `proveil` programs that go on in the background and say in one JSON document where they are reached.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A program that ends with this value.
pub(super) struct Program {
    child: Child,
    announcement: Value,
    name: String,
}

impl Program {
    /// Starts it with a home of its own and waits for its announcement.
    pub(super) fn start(
        proveil: &Path,
        work: &Path,
        name: &str,
        arguments: &[&str],
    ) -> Result<Program, String> {
        let home = work.join("home");
        let fail = |error: std::io::Error| format!("cannot run proveil {name}: {error}");
        let log = std::fs::File::create(work.join(format!("{name}.log"))).map_err(fail)?;
        let mut command = Command::new(proveil);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        for variable in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env(variable, &home);
        }
        command.env("VENICE_API_KEY", "any").env_remove("PRIVATEMODE_API_KEY").env_remove("PROVEIL_CONFIG");
        let mut child = command.spawn().map_err(fail)?;
        let announced = child.stdout.take().map(|out| {
            serde_json::Deserializer::from_reader(BufReader::new(out)).into_iter::<Value>().next()
        });
        // Whoever asks for a member of nothing says so.
        let announcement = announced.flatten().and_then(Result::ok).unwrap_or_default();
        Ok(Program { child, announcement, name: name.to_owned() })
    }

    /// A member of the announcement.
    pub(super) fn announced(&self, member: &str) -> Result<String, String> {
        let text = self.announcement[member].as_str().map(str::to_owned);
        text.ok_or_else(|| format!("proveil {} announced no {member}: {}", self.name, self.announcement))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
