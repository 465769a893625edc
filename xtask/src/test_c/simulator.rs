//! The simulated provider for tests of other languages: `testkit/examples/serve.rs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::package_c::target_dir;
use crate::process::{cargo, run};

/// A simulator under way; it ends when this is dropped.
pub struct Simulator {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it said about itself: `base_url`, `collateral_url`, `trust_roots`, `now`.
    pub hello: Value,
}

impl Simulator {
    /// Builds and starts one that pauses `pace_ms` between two pieces of an answer.
    pub fn start(root: &Path, pace_ms: u32) -> Result<Simulator, String> {
        run(root, &cargo(), ["build", "--quiet", "--package", "proveil-testkit", "--example", "serve"])?;
        let mut child = Command::new(target_dir(root).join("debug/examples/serve"))
            .arg(format!("--pace-ms={pace_ms}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the simulator: {error}"))?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the simulator has no output")?);
        let mut simulator = Simulator { child, commands, answers, hello: Value::Null };
        simulator.hello = simulator.answer()?;
        Ok(simulator)
    }

    /// Gives a command and reads its answer.
    pub fn ask(&mut self, command: &str) -> Result<Value, String> {
        let commands = self.commands.as_mut().ok_or("the simulator has ended")?;
        writeln!(commands, "{command}").map_err(|error| format!("simulator: {error}"))?;
        let answer = self.answer()?;
        if answer.get("error").is_some() {
            Err(format!("simulator: {command}: {answer}"))
        } else {
            Ok(answer)
        }
    }

    /// A text that it said about itself.
    pub fn text(&self, name: &str) -> String {
        match self.hello.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| format!("simulator: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("simulator: {error}: {line}"))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}
