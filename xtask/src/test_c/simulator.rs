//! The simulated providers for tests of other languages: `testkit/examples/serve.rs` and `serve_privatemode.rs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::package_c::target_dir;
use crate::process::{SIMULATORS, cargo, run};

/// A simulator under way; it ends when this is dropped.
pub struct Simulator {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Option<BufReader<ChildStdout>>,
    /// What it said about itself: `base_url`, `collateral_url`, `trust_roots`, `now`.
    pub hello: Value,
}

impl Simulator {
    /// Builds and starts a Venice.
    pub fn start(root: &Path) -> Result<Simulator, String> {
        Simulator::start_example(root, "serve")
    }

    /// Builds and starts a Privatemode.
    pub fn start_privatemode(root: &Path) -> Result<Simulator, String> {
        Simulator::start_example(root, "serve_privatemode")
    }

    fn start_example(root: &Path, name: &str) -> Result<Simulator, String> {
        run(root, &cargo(), SIMULATORS)?;
        let mut child = Command::new(target_dir(root).join("debug/examples").join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the simulator: {error}"))?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new);
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

    /// Lets a program give the commands from now on: by its standard output, with the answers on its standard input.
    pub fn hand_over(&mut self, command: &mut Command) {
        if let (Some(commands), Some(answers)) = (self.commands.take(), self.answers.take()) {
            // One line is all that came so far, and that was read: the buffer is empty.
            command.stdout(commands).stdin(answers.into_inner());
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
        let answers = self.answers.as_mut().ok_or("the simulator has ended")?;
        answers.read_line(&mut line).map_err(|error| format!("simulator: {error}"))?;
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
